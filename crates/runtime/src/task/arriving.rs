//! Reading ahead: what checkpoints hold of key groups that are to come, while the task goes on.
//!
//! A later checkpoint mostly adds runs to those that have been read; then only these are read. Where it has a segment
//! in full again, what was read of that segment is forgotten.

use crate::stage::Control;
use bytes::Bytes;
use reflow_api::Io;
use reflow_env::{Location, StoreOp, StoreReply, Ticket};
use reflow_protocol::snapshot::{Restore, RunRef};
use reflow_state::{Origin, TableId};
use reflow_types::{CheckpointId, KeyGroupSet};
use std::collections::{BTreeMap, VecDeque};

/// Runs by table and segment, with the groups for which they are read.
type Runs = BTreeMap<(u16, u16), Vec<(KeyGroupSet, Vec<RunRef>)>>;

/// What a task reads ahead.
pub(super) struct Arriving {
    io: Io,
    /// So many reads are under way at once.
    most_reads: usize,
    /// What has been read or is about to be.
    have: Runs,
    to_read: VecDeque<(KeyGroupSet, RunRef)>,
    reading: VecDeque<(Ticket, KeyGroupSet, RunRef)>,
    /// Is said once all is read.
    owed: Option<CheckpointId>,
}

/// What came of a step.
pub(super) enum Step {
    /// Nothing to do now.
    Rests,
    /// It has read something.
    Worked,
    /// Everything up to this checkpoint is there.
    Ready(CheckpointId),
}

impl Arriving {
    pub(super) fn new(io: Io, most_reads: usize) -> Self {
        Self {
            io,
            most_reads,
            have: Runs::new(),
            to_read: VecDeque::new(),
            reading: VecDeque::new(),
            owed: None,
        }
    }

    /// Reads what `checkpoint` has, beyond what is there.
    pub(super) fn want(&mut self, checkpoint: CheckpointId, restore: &Restore, chain: &mut impl Control) {
        self.owed = Some(checkpoint);
        let mut wanted = Runs::new();
        for part in &restore.keyed {
            let mut runs: BTreeMap<(u16, u16), Vec<RunRef>> = BTreeMap::new();
            for run in part.runs.iter().filter(|run| run.len > 0) {
                runs.entry((run.table, run.segment)).or_default().push(run.clone());
            }
            for (at, runs) in runs {
                wanted.entry(at).or_default().push((part.groups.clone(), runs));
            }
        }
        let gone: Vec<_> = self.have.keys().filter(|at| !wanted.contains_key(at)).copied().collect();
        for at in gone {
            self.forget(at, chain);
        }
        for (at, parts) in wanted {
            let known = self.have.get(&at);
            let extends = known.is_some_and(|known| {
                known.len() == parts.len()
                    && known.iter().zip(&parts).all(|((a, had), (b, runs))| a == b && runs.starts_with(had))
            });
            let skip = |i: usize| if extends { known.map_or(0, |known| known[i].1.len()) } else { 0 };
            let new: Vec<_> = parts.iter().enumerate().map(|(i, part)| (part, skip(i))).collect();
            let new = new.into_iter().flat_map(|((groups, runs), skip)| {
                runs[skip..].iter().map(move |run| (groups.clone(), run.clone()))
            });
            let new: Vec<_> = new.collect();
            if !extends {
                self.forget(at, chain);
            }
            self.to_read.extend(new);
            self.have.insert(at, parts);
        }
    }

    /// Forgets what was read of a segment. Reads of it that are under way come first, in order, so they must not be
    /// there: whoever calls has read everything, or nothing.
    fn forget(&mut self, at: (u16, u16), chain: &mut impl Control) {
        let Some(parts) = self.have.remove(&at) else { return };
        chain.tables(&mut |table| {
            if table.id() == TableId(at.0) {
                parts.iter().for_each(|(groups, _)| table.forget_arrivals(at.1, groups));
            }
        });
    }

    /// Reads nothing more.
    pub(super) fn stop(&mut self) {
        *self = Self::new(self.io.clone(), self.most_reads); // forgets what is being read
    }

    /// Takes in what has been read.
    pub(super) fn step(&mut self, chain: &mut impl Control) -> Result<Step, String> {
        let Some(owed) = self.owed else { return Ok(Step::Rests) };
        while self.reading.len() < self.most_reads
            && let Some((groups, run)) = self.to_read.pop_front()
        {
            let range = Some(run.offset..run.offset + u64::from(run.len));
            let at = Location(run.object.clone());
            self.reading.push_back((self.io.submit(StoreOp::Get { at, range }), groups, run));
        }
        let Some((ticket, ..)) = self.reading.front() else {
            self.owed = None;
            return Ok(Step::Ready(owed));
        };
        let Some(answer) = self.io.take(*ticket) else { return Ok(Step::Rests) };
        let (_, groups, run) = self.reading.pop_front().expect("there is one at the front");
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => return Err("the store answered a read with something else".to_owned()),
            Err(error) => {
                return Err(format!("cannot read the state of key groups that are to come: {error}"));
            }
        };
        arrive(chain, run.table, &bytes, &groups, Origin::Own).map(|()| Step::Worked)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.reading.iter().for_each(|(ticket, ..)| self.io.forget(*ticket));
    }
}

/// Brings bytes to their table.
pub(super) fn arrive(
    chain: &mut impl Control,
    table: u16,
    bytes: &Bytes,
    groups: &KeyGroupSet,
    origin: Origin,
) -> Result<(), String> {
    let mut result = Err(format!("there is no table {table}"));
    chain.tables(&mut |candidate| {
        if candidate.id() == TableId(table) {
            let restore = reflow_state::Restore { table: candidate.id(), owned: groups, origin };
            result = candidate.arrive(bytes, restore).map_err(|error| error.to_string());
        }
    });
    result
}
