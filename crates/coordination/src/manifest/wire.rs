//! The format of `_metadata`, which encodes a decision.
//!
//! ```text
//! magic (8 bytes) | format version (u16, little-endian) | content, lineage (postcard) | CRC-32 of all before (u32, LE)
//! ```
//!
//! The operators of each vertex follow the lineage, with the schemas of their states, from version 6 on. Version 5 has the
//! numbers and names of the states that functions declare instead. From version 7 on, the vertices follow whose state was
//! taken over from an earlier checkpoint. If the job ends with the checkpoint, its `Ending` is last.
//!
//! Hundreds of segments with about twenty runs each name only a few objects. So the names are written once, in a table, and
//! a run refers to its object by index: about 8 bytes for a run instead of 80.
//!
//! A reader validates everything: first length, magic, version and checksum, then each index and each set.

use super::{Decision, Ending, Lineage, Manifest, OwnedRuns, SegmentRuns, VertexState};
use crate::end_state::EndState;
use bytes::Bytes;
use reflow_graph::{DeclaredState, Operator, StateKind};
use reflow_protocol::snapshot::RunRef;
use reflow_types::key_group::segment_groups;
use reflow_types::{CheckpointId, KeyGroupSet, MaxParallelism};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

const MAGIC: [u8; 8] = *b"REFLOWCP";
/// The version of this format, and of what the objects that it names hold. 2: a window's pane is kept under start and
/// end of its window; under 1 it was the end alone. 3: with the lineage. 4: state is encoded as `Data` says, before it was
/// as serde says. 5: with the names of states. 6: with the schemas of states, and the names of operators. 7: with the
/// checkpoints in which vertices took part.
pub const FORMAT: u16 = 7;
/// The first version with the schemas of states.
pub(super) const FIRST_WITH_SCHEMAS: u16 = 6;
/// The first version with the checkpoints in which vertices took part.
const FIRST_WITH_TAKEN_IN: u16 = 7;
/// The oldest version that can be read. Up to 4, each vertex has one state without a name, or a window's.
const OLDEST: u16 = 4;
const HEADER: usize = MAGIC.len() + 2;
const TRAILER: usize = 4;

/// Why bytes are not a decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are something else, or shorter than a header.
    #[error("{len} bytes that do not begin as a Reflow manifest does: not a checkpoint or savepoint")]
    NotAManifest {
        /// The number of bytes.
        len: usize,
    },
    /// The format is that of another release.
    #[error(
        "manifest format {found}, this release reads {OLDEST} to {FORMAT}: use the release that wrote it"
    )]
    Format {
        /// The format version in the bytes.
        found: u16,
    },
    /// The bytes are truncated or have flipped bits.
    #[error(
        "a manifest of {len} bytes is damaged: its checksum is {found:08x}, its content gives {computed:08x}"
    )]
    Damaged {
        /// The number of bytes.
        len: usize,
        /// The checksum at the end of the bytes.
        found: u32,
        /// The computed checksum.
        computed: u32,
    },
    /// The checksum is correct, but the content is invalid.
    #[error("a manifest cannot be read: {0}")]
    Malformed(String),
}

/// `(object, offset, length)`, with the object's index in `Content::objects`.
type WireRun = (u32, u64, u32);
/// `(segment, table, runs)`.
type WireSegment = (u16, u16, Vec<WireRun>);
/// `(groups, segments)`.
type WirePart = (KeyGroupSet, Vec<WireSegment>);

#[derive(Serialize, Deserialize)]
enum Content {
    Abandoned,
    Complete {
        objects: Vec<String>,
        /// By vertex.
        keyed: Vec<Vec<WirePart>>,
        /// Without keyed state.
        rest: Box<Manifest>,
    },
    Ended(EndState),
}

/// The bytes of a decision.
pub fn encode(decision: &Decision) -> Bytes {
    let content = match decision {
        Decision::Abandoned(_) => Content::Abandoned,
        Decision::Ended { state, .. } => Content::Ended(*state),
        Decision::Complete(manifest) => pack(manifest),
    };
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out = postcard::to_extend(&content, out)
        .and_then(|out| postcard::to_extend(decision.lineage(), out))
        .and_then(|out| match decision {
            Decision::Complete(manifest) => {
                let operators: Vec<_> = manifest.vertices.iter().map(|vertex| &vertex.operators).collect();
                let out = postcard::to_extend(&operators, out)?;
                let older = manifest.vertices.iter().map(|vertex| vertex.taken_in).enumerate();
                let older = older.filter(|(_, taken_in)| *taken_in != manifest.checkpoint);
                let out = postcard::to_extend(&older.collect::<Vec<_>>(), out)?;
                manifest.ending.iter().try_fold(out, |out, ending| postcard::to_extend(ending, out))
            }
            _ => Ok(out),
        })
        .expect("a manifest is plain data, which postcard can always encode");
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Bytes::from(out)
}

/// Reads the bytes of a decision.
pub fn decode(bytes: &[u8]) -> Result<Decision, ManifestError> {
    let len = bytes.len();
    if len < HEADER + TRAILER || bytes[..MAGIC.len()] != MAGIC {
        return Err(ManifestError::NotAManifest { len });
    }
    let (signed, checksum) = bytes.split_at(len - TRAILER);
    let version = &signed[MAGIC.len()..HEADER];
    let version = u16::from_le_bytes(version.try_into().expect("a slice of two bytes"));
    let found = u32::from_le_bytes(checksum.try_into().expect("a slice of four bytes"));
    let computed = crc32fast::hash(signed);
    if found != computed {
        return Err(ManifestError::Damaged { len, found, computed });
    }
    if !(OLDEST..=FORMAT).contains(&version) {
        return Err(ManifestError::Format { found: version });
    }
    let malformed = |error: postcard::Error| ManifestError::Malformed(error.to_string());
    let (content, rest) = postcard::take_from_bytes(&signed[HEADER..]).map_err(malformed)?;
    let (lineage, rest) = postcard::take_from_bytes(rest).map_err(malformed)?;
    let (operators, rest) = match &content {
        Content::Complete { .. } => take_operators(version, rest)?,
        _ => (None, rest),
    };
    let (older, rest): (Vec<(usize, CheckpointId)>, _) = match &content {
        Content::Complete { .. } if version >= FIRST_WITH_TAKEN_IN => {
            postcard::take_from_bytes(rest).map_err(malformed)?
        }
        _ => (Vec::new(), rest),
    };
    let (ending, rest) = match &content {
        Content::Complete { .. } if !rest.is_empty() => {
            let (ending, rest): (Ending, _) = postcard::take_from_bytes(rest).map_err(malformed)?;
            (Some(ending), rest)
        }
        _ => (None, rest),
    };
    if !rest.is_empty() {
        return Err(ManifestError::Malformed(format!("{} bytes too many", rest.len())));
    }
    match content {
        Content::Abandoned => Ok(Decision::Abandoned(lineage)),
        Content::Ended(state) => Ok(Decision::Ended { state, lineage }),
        Content::Complete { objects, keyed, rest } => {
            let mut manifest = unpack(&objects, keyed, rest).map_err(ManifestError::Malformed)?;
            (manifest.lineage, manifest.ending, manifest.version) = (lineage, ending, version);
            set_taken_in(&mut manifest, older).map_err(ManifestError::Malformed)?;
            if let Some(operators) = operators {
                set_operators(&mut manifest, operators).map_err(ManifestError::Malformed)?;
            }
            Ok(Decision::Complete(manifest))
        }
    }
}

/// The operators of each vertex, as far as the version has them.
type Operators = Option<Vec<Vec<Operator>>>;

/// Takes the operators from the front of `rest`.
fn take_operators(version: u16, rest: &[u8]) -> Result<(Operators, &[u8]), ManifestError> {
    let malformed = |error: postcard::Error| ManifestError::Malformed(error.to_string());
    match version {
        ..=4 => Ok((None, rest)),
        5 => {
            let (states, rest): (Vec<Vec<(u16, String)>>, _) =
                postcard::take_from_bytes(rest).map_err(malformed)?;
            let head = |states: Vec<(u16, String)>| {
                let state = |(table, name)| DeclaredState {
                    table,
                    name,
                    kind: StateKind::Value, // or another, which makes no difference without a schema
                    time_to_live: None,
                    schema: None,
                };
                vec![Operator { states: states.into_iter().map(state).collect(), ..Operator::default() }]
            };
            Ok((Some(states.into_iter().map(head).collect()), rest))
        }
        _ => {
            let (operators, rest): (Vec<Vec<Operator>>, _) =
                postcard::take_from_bytes(rest).map_err(malformed)?;
            Ok((Some(operators), rest))
        }
    }
}

/// Adds to the operators, of which only the uids are known so far, what is in `operators`.
fn set_operators(manifest: &mut Manifest, operators: Vec<Vec<Operator>>) -> Result<(), String> {
    let (of, vertices) = (operators.len(), manifest.vertices.len());
    if of != vertices {
        return Err(format!("operators of {of} vertices, but {vertices} vertices"));
    }
    for (vertex, operators) in manifest.vertices.iter_mut().zip(operators) {
        for (operator, more) in vertex.operators.iter_mut().zip(operators) {
            let states = more.states.iter().filter_map(|state| state.schema.as_ref());
            let lists = more.lists.iter().filter_map(|list| list.schema.as_ref());
            for schema in states.chain(lists) {
                schema.validate().map_err(|error| format!("operator '{}': {error}", operator.uid))?;
            }
            *operator = Operator { uid: std::mem::take(&mut operator.uid), ..more };
        }
    }
    Ok(())
}

/// Sets the checkpoint in which each vertex took part: the manifest's own, unless it is in `older`.
fn set_taken_in(manifest: &mut Manifest, older: Vec<(usize, CheckpointId)>) -> Result<(), String> {
    let (checkpoint, of) = (manifest.checkpoint, manifest.vertices.len());
    manifest.vertices.iter_mut().for_each(|vertex| vertex.taken_in = checkpoint);
    for (index, taken_in) in older {
        let vertex = manifest.vertices.get_mut(index).filter(|_| taken_in < checkpoint);
        let vertex = vertex.ok_or_else(|| {
            format!("checkpoint {checkpoint} with vertex {index} of {of} as of checkpoint {taken_in}")
        })?;
        vertex.taken_in = taken_in;
    }
    Ok(())
}

/// Writes the uids of operators.
pub(super) fn only_uids<S: Serializer>(operators: &[Operator], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(operators.iter().map(|operator| &operator.uid))
}

/// Reads the uids of operators.
pub(super) fn of_uids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Operator>, D::Error> {
    let uids = Vec::<String>::deserialize(deserializer)?;
    Ok(uids.into_iter().map(|uid| Operator { uid, ..Operator::default() }).collect())
}

fn pack(manifest: &Manifest) -> Content {
    let mut places: BTreeMap<&str, u32> = BTreeMap::new();
    let mut objects = Vec::new();
    for run in manifest.vertices.iter().flat_map(VertexState::runs) {
        places.entry(&run.object).or_insert_with(|| {
            objects.push(run.object.clone());
            (objects.len() - 1) as u32
        });
    }
    let run = |run: &RunRef| -> WireRun { (places[run.object.as_str()], run.offset, run.len) };
    let segment = |s: &SegmentRuns| -> WireSegment { (s.segment, s.table, s.runs.iter().map(run).collect()) };
    let part = |p: &OwnedRuns| -> WirePart { (p.groups.clone(), p.segments.iter().map(segment).collect()) };
    let keyed = manifest.vertices.iter().map(|vertex| vertex.keyed.iter().map(part).collect()).collect();
    let vertices = manifest.vertices.iter().map(VertexState::shallow).collect();
    Content::Complete { objects, keyed, rest: Box::new(Manifest { vertices, ..manifest.shallow() }) }
}

fn unpack(
    objects: &[String],
    keyed: Vec<Vec<WirePart>>,
    mut rest: Box<Manifest>,
) -> Result<Box<Manifest>, String> {
    if keyed.len() != rest.vertices.len() {
        return Err(format!("keyed state of {} vertices, but {} vertices", keyed.len(), rest.vertices.len()));
    }
    for (vertex, parts) in rest.vertices.iter_mut().zip(keyed) {
        let (name, max) = (&vertex.name, vertex.max_parallelism);
        if vertex.table.as_ref().is_some_and(|table| table.max_parallelism() != max) {
            return Err(format!("the ownership table of '{name}' is not of its max parallelism {max}"));
        }
        let parts = parts.into_iter().map(|part| unpack_part(objects, max, part));
        vertex.keyed = parts.collect::<Result<_, _>>().map_err(|reason| format!("'{name}': {reason}"))?;
    }
    Ok(rest)
}

fn unpack_part(
    objects: &[String],
    max: MaxParallelism,
    (groups, segments): WirePart,
) -> Result<OwnedRuns, String> {
    if groups.ranges().last().is_some_and(|&(_, last)| u32::from(last) >= max.get()) {
        return Err(format!("key groups {:?} at max parallelism {max}", groups.ranges()));
    }
    let run = |table: u16, segment: u16| {
        move |(object, offset, len): WireRun| match objects.get(object as usize) {
            Some(object) => Ok(RunRef { object: object.clone(), table, segment, offset, len }),
            None => Err(format!("object {object} of {}", objects.len())),
        }
    };
    let segment = |(segment, table, runs): WireSegment| {
        if segment_groups(max, segment).is_none() {
            return Err(format!("segment {segment} at max parallelism {max}"));
        }
        let runs = runs.into_iter().map(run(table, segment)).collect::<Result<_, _>>()?;
        Ok(SegmentRuns { segment, table, runs })
    };
    Ok(OwnedRuns { groups, segments: segments.into_iter().map(segment).collect::<Result<_, _>>()? })
}

impl Manifest {
    /// A copy without the vertices.
    fn shallow(&self) -> Self {
        Self {
            job_name: self.job_name.clone(),
            build: self.build.clone(),
            vertices: Vec::new(),
            enumerators: self.enumerators.clone(),
            lineage: Lineage::default(),
            ending: None,
            ..*self
        }
    }
}

impl VertexState {
    /// A copy without keyed state.
    fn shallow(&self) -> Self {
        Self {
            name: self.name.clone(),
            operators: self.operators.clone(),
            table: self.table.clone(),
            keyed: Vec::new(),
            operator: self.operator.clone(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_protocol::snapshot::{AfterBarrier, StateFormat};
    use reflow_types::data::Schema;
    use reflow_types::{JobId, KeyGroup, LeaderEpoch, OwnershipTable, SubtaskId, VertexId};

    /// One keyed vertex of 4096 groups: 512 segments with 20 runs each.
    fn manifest() -> Manifest {
        let max = MaxParallelism::DEFAULT;
        let run = |segment: u16| {
            move |n: u64| RunRef {
                object: format!("s3://bucket/checkpoints/0123456789abcdef/data/1-{n}-7-1"),
                table: 0,
                segment,
                offset: u64::from(segment) * 1_000_000,
                len: 9_000,
            }
        };
        let segment = |segment| SegmentRuns { segment, table: 0, runs: (0..20).map(run(segment)).collect() };
        let keyed =
            vec![OwnedRuns { groups: KeyGroupSet::all(max), segments: (0..512).map(segment).collect() }];
        let state = DeclaredState {
            table: 0,
            name: "state".into(),
            kind: StateKind::Value,
            time_to_live: None,
            schema: Some(Schema::of::<(u64, String)>()),
        };
        let operator = Operator { uid: "count".into(), states: vec![state], ..Operator::default() };
        let vertex = VertexState {
            vertex: VertexId(2),
            name: "count".into(),
            operators: vec![operator],
            max_parallelism: max,
            table: Some(OwnershipTable::initial(max, 3)),
            taken_in: CheckpointId(9),
            watermark: 5,
            keyed,
            operator: Vec::new(),
        };
        Manifest {
            checkpoint: CheckpointId(9),
            job: JobId(1),
            job_name: "job".into(),
            format: StateFormat::Checkpoint,
            key_encoding: 1,
            build: "b".into(),
            triggered_at: 1,
            next_subtask: SubtaskId(8),
            vertices: vec![vertex],
            enumerators: vec![("source".into(), Bytes::from_static(b"x"))],
            lineage: Lineage::new(LeaderEpoch(3)).taken_over(LeaderEpoch(4), CheckpointId(8)),
            ending: None,
            version: FORMAT,
        }
    }

    #[test]
    fn what_is_written_is_read_and_small() {
        let lineage = manifest().lineage;
        let complete = Decision::Complete(Box::new(manifest()));
        let ending = Some(Ending { then: AfterBarrier::Finish, state: EndState::Finished });
        let last = Decision::Complete(Box::new(Manifest { ending, ..manifest() }));
        let mut older = manifest();
        older.vertices[0].taken_in = CheckpointId(7);
        let older = Decision::Complete(Box::new(older));
        let ended = Decision::Ended { state: EndState::Canceled, lineage: lineage.clone() };
        for decision in [Decision::Abandoned(lineage), ended, complete, last, older] {
            let bytes = encode(&decision);
            assert_eq!(decode(&bytes), Ok(decision));
            assert!(bytes.len() < 130_000, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn damage_is_told_and_never_panics() {
        let mut small = manifest();
        small.vertices[0].keyed[0].segments.truncate(2);
        let bytes = encode(&Decision::Complete(Box::new(small))).to_vec();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        for i in (0..bytes.len()).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[i] ^= 1 << (i % 8);
            assert!(decode(&flipped).is_err(), "{i}");
            // If the checksum is made to fit, the result is an error or another manifest, not a panic.
            let end = flipped.len() - TRAILER;
            let checksum = crc32fast::hash(&flipped[..end]).to_le_bytes();
            flipped[end..].copy_from_slice(&checksum);
            let _ = decode(&flipped);
        }
        for found in [OLDEST - 1, FORMAT + 1] {
            let mut other = bytes[..bytes.len() - TRAILER].to_vec();
            other[MAGIC.len()..HEADER].copy_from_slice(&found.to_le_bytes());
            let checksum = crc32fast::hash(&other).to_le_bytes();
            other.extend(checksum);
            assert_eq!(decode(&other), Err(ManifestError::Format { found }));
        }
    }

    #[test]
    fn state_of_a_later_checkpoint_or_of_an_unknown_vertex_is_refused() {
        let mut later = manifest();
        later.vertices[0].taken_in = CheckpointId(10);
        let refused = decode(&encode(&Decision::Complete(Box::new(later))));
        assert!(matches!(refused, Err(ManifestError::Malformed(_))), "{refused:?}");
        assert!(set_taken_in(&mut manifest(), vec![(1, CheckpointId(3))]).is_err());
    }

    /// What versions 4 to 6 wrote: as version 7, but without the checkpoints in which vertices took part, and, before 6, without
    /// operators, or with the states of heads instead.
    #[test]
    fn manifests_of_the_versions_before_are_read() {
        let states = postcard::to_stdvec(&vec![vec![(0u16, "state")]]).expect("plain data");
        let schemas = postcard::to_stdvec(&vec![&manifest().vertices[0].operators]).expect("plain data");
        for (version, written) in [(4u16, Vec::new()), (5, states), (6, schemas)] {
            for ending in [None, Some(Ending { then: AfterBarrier::Finish, state: EndState::Finished })] {
                let mut manifest = Manifest { ending, version, ..manifest() };
                let operators =
                    postcard::to_stdvec(&vec![&manifest.vertices[0].operators]).expect("plain data");
                let ending =
                    ending.map_or(0, |ending| postcard::to_stdvec(&ending).expect("plain data").len());
                let mut bytes = encode(&Decision::Complete(Box::new(manifest.clone()))).to_vec();
                // The empty list of vertices whose state was taken over is one byte.
                let end = bytes.len() - TRAILER - ending - 1;
                assert_eq!(bytes[end - operators.len()..end], operators);
                bytes.splice(end - operators.len()..=end, written.iter().copied());
                bytes.truncate(bytes.len() - TRAILER);
                bytes[MAGIC.len()..HEADER].copy_from_slice(&version.to_le_bytes());
                let checksum = crc32fast::hash(&bytes).to_le_bytes();
                bytes.extend(checksum);
                let head = &mut manifest.vertices[0].operators[0];
                head.states.truncate(usize::from(version) - 4);
                if version < FIRST_WITH_SCHEMAS {
                    head.states.iter_mut().for_each(|state| state.schema = None);
                }
                assert_eq!(manifest.has_schemas(), version >= FIRST_WITH_SCHEMAS);
                assert_eq!(decode(&bytes), Ok(Decision::Complete(Box::new(manifest))));
            }
        }
    }

    #[test]
    fn impossible_groups_and_segments_are_refused() {
        for (segment, group) in [(512, 0), (0, 4096)] {
            let mut manifest = manifest();
            manifest.vertices[0].keyed[0].segments[0].segment = segment;
            manifest.vertices[0].keyed[0].groups = KeyGroupSet::from_iter([KeyGroup(group)]);
            let refused = decode(&encode(&Decision::Complete(Box::new(manifest))));
            assert!(matches!(refused, Err(ManifestError::Malformed(_))), "{refused:?}");
        }
    }
}
