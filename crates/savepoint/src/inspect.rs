//! What a savepoint contains: its job, operators and states, with their types and sizes.

use crate::entries::StateReader;
use crate::error::SavepointError;
use crate::open::Savepoint;
use reflow_coordination::manifest::VertexState;
use reflow_graph::{DeclaredList, DeclaredState, Operator};
use reflow_protocol::snapshot::{Redistribution, StateFormat};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Whether entries and keys are counted, for which all state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Only the manifest is read.
    No,
    /// All state is read.
    Yes,
}

/// What a savepoint contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Its directory.
    pub path: String,
    /// `savepoint` or `checkpoint`.
    pub kind: &'static str,
    /// The version of the manifest's format.
    pub format: u16,
    /// The id of the checkpoint.
    pub checkpoint: u64,
    /// The id of the job.
    pub job: String,
    /// The name of the job.
    pub job_name: String,
    /// The SHA-256 of the job's executable.
    pub build: String,
    /// When it was triggered, in milliseconds since the Unix epoch.
    pub triggered_at: i64,
    /// The bytes of all state.
    pub bytes: u64,
    /// Its vertices.
    pub vertices: Vec<VertexReport>,
}

/// A vertex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VertexReport {
    /// The names of its operators.
    pub name: String,
    /// The number of its key groups, if it has state by key.
    pub max_parallelism: Option<u32>,
    /// The number of subtasks that had state by key.
    pub parallelism: Option<u32>,
    /// The lowest watermark of its subtasks.
    pub watermark: i64,
    /// Its operators.
    pub operators: Vec<OperatorReport>,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OperatorReport {
    /// Its uid.
    pub uid: String,
    /// Whether the uid follows from its position, because the user gave none.
    pub has_derived_uid: bool,
    /// Its name.
    pub name: String,
    /// The states by key.
    pub states: Vec<StateReport>,
    /// The lists without a key, such as the splits of a source.
    pub lists: Vec<ListReport>,
    /// The bytes of the state of a source's enumerator.
    pub enumerator_bytes: Option<u64>,
}

/// A state by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The types of key and value, if they are known.
    pub types: Option<String>,
    /// The time in milliseconds after which entries expire.
    pub time_to_live_ms: Option<u64>,
    /// The bytes that are read to restore it.
    pub bytes: u64,
    /// Over how many segments of adjacent key groups it is spread.
    pub segments: usize,
    /// The bytes of the largest segment.
    pub largest_segment_bytes: u64,
    /// The number of keys, if they were counted.
    pub keys: Option<u64>,
    /// The number of entries, if they were counted: elements of lists, entries of maps, timers, panes.
    pub entries: Option<u64>,
}

/// A list without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListReport {
    /// Its name.
    pub name: String,
    /// How its items are redistributed: `split`, `union` or `broadcast`. `None` if there are no items.
    pub redistribution: Option<&'static str>,
    /// The type of an item, if it is known.
    pub types: Option<String>,
    /// The number of items of all subtasks.
    pub items: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Describes a savepoint.
///
/// # Errors
/// If state cannot be read, which only happens if it is counted.
pub fn inspect(savepoint: &Savepoint<'_>, counting: Counting) -> Result<Report, SavepointError> {
    let manifest = &savepoint.manifest;
    let vertices = manifest.vertices.iter().map(|vertex| vertex_report(savepoint, vertex, counting));
    Ok(Report {
        path: savepoint.at.clone(),
        kind: match manifest.format {
            StateFormat::Checkpoint => "checkpoint",
            StateFormat::Savepoint => "savepoint",
        },
        format: manifest.version,
        checkpoint: manifest.checkpoint.0,
        job: manifest.job.to_string(),
        job_name: manifest.job_name.clone(),
        build: manifest.build.clone(),
        triggered_at: manifest.triggered_at,
        bytes: manifest.state_bytes(),
        vertices: vertices.collect::<Result<_, _>>()?,
    })
}

fn vertex_report(
    savepoint: &Savepoint<'_>,
    vertex: &VertexState,
    counting: Counting,
) -> Result<VertexReport, SavepointError> {
    let operator = |operator: &Operator| {
        let states = operator.states.iter().map(|state| state_report(savepoint, vertex, state, counting));
        let enumerator = savepoint.manifest.enumerators.iter().find(|(uid, _)| *uid == operator.uid);
        Ok::<_, SavepointError>(OperatorReport {
            uid: operator.uid.clone(),
            has_derived_uid: operator.has_derived_uid,
            name: operator.name.clone(),
            states: states.collect::<Result<_, _>>()?,
            lists: lists(savepoint, operator),
            enumerator_bytes: enumerator.map(|(_, state)| state.len() as u64),
        })
    };
    Ok(VertexReport {
        name: vertex.name.clone(),
        max_parallelism: vertex.table.as_ref().map(|_| vertex.max_parallelism.get()),
        parallelism: vertex.table.as_ref().map(|table| table.parallelism()),
        watermark: vertex.watermark,
        operators: vertex.operators.iter().map(operator).collect::<Result<_, _>>()?,
    })
}

fn state_report(
    savepoint: &Savepoint<'_>,
    vertex: &VertexState,
    state: &DeclaredState,
    counting: Counting,
) -> Result<StateReport, SavepointError> {
    let mut segments: BTreeMap<u16, u64> = BTreeMap::new();
    for run in vertex.runs().filter(|run| run.table == state.table && run.len > 0) {
        *segments.entry(run.segment).or_default() += u64::from(run.len);
    }
    let reader = StateReader::new(savepoint, vertex, state);
    let counts = match counting {
        Counting::Yes => Some(count(reader.as_ref().map_err(|_| no_schemas(savepoint))?)?),
        Counting::No => None,
    };
    Ok(StateReport {
        name: state.name.clone(),
        kind: state.kind.to_string(),
        types: reader.ok().map(|reader| reader.shape().types()),
        time_to_live_ms: state.time_to_live.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        bytes: segments.values().sum(),
        segments: segments.len(),
        largest_segment_bytes: segments.values().max().copied().unwrap_or(0),
        keys: counts.map(|(keys, _)| keys),
        entries: counts.map(|(_, entries)| entries),
    })
}

fn no_schemas(savepoint: &Savepoint<'_>) -> SavepointError {
    SavepointError::NoSchemas { at: savepoint.at.clone() }
}

/// The numbers of keys and of entries. The keys of one segment are in memory.
fn count(reader: &StateReader<'_>) -> Result<(u64, u64), SavepointError> {
    let (mut keys, mut entries) = (0, 0);
    reader.for_each_segment(&mut |_, segment| {
        let mut here: HashSet<Box<[u8]>> = HashSet::new();
        segment(&mut |entry| {
            entries += 1;
            if !here.contains(entry.key.key) {
                here.insert(entry.key.key.into());
            }
            Ok(())
        })?;
        keys += here.len() as u64;
        Ok(())
    })?;
    Ok((keys, entries))
}

/// The lists that the operator declares, and those that have items.
fn lists(savepoint: &Savepoint<'_>, operator: &Operator) -> Vec<ListReport> {
    let items = || {
        let vertices = savepoint.manifest.vertices.iter();
        vertices.flat_map(|vertex| &vertex.operator).filter(|state| state.operator == operator.uid)
    };
    let mut names: BTreeSet<&str> = operator.lists.iter().map(|list| list.name.as_str()).collect();
    names.extend(items().map(|state| state.name.as_str()));
    let report = |name: &str| {
        let of_list = || items().filter(|state| state.name == name);
        let declared = operator.lists.iter().find(|list| list.name == name);
        ListReport {
            name: DeclaredList::display_name(name).to_owned(),
            redistribution: of_list().next().map(|state| match state.redistribution {
                Redistribution::Split => "split",
                Redistribution::Union => "union",
                Redistribution::Broadcast => "broadcast",
                Redistribution::ByKey => "by key",
            }),
            types: declared.and_then(|list| list.schema.as_ref()).map(ToString::to_string),
            items: of_list().map(|state| state.items.len()).sum(),
            bytes: of_list().flat_map(|state| &state.items).map(|item| item.len() as u64).sum(),
        }
    };
    names.into_iter().map(report).collect()
}
