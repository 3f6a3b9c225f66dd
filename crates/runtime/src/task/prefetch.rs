//! The state prefetch: reads the state of incoming key groups from checkpoints while their old owners still
//! process them.
//!
//! A later checkpoint usually extends the chains of runs that have been read; then only the new runs are read. If it
//! has a segment in full again, the prefetched state of that segment is dropped first.

use super::stateful_chain::StatefulChain;
use bytes::Bytes;
use reflow_api::Io;
use reflow_env::{Clock, Location, StoreOp, StoreReply, Ticket};
use reflow_network::Bandwidth;
use reflow_protocol::snapshot::{Restore, RunRef};
use reflow_state::{Origin, TableId};
use reflow_types::{CheckpointId, Instant, KeyGroupSet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// After a run was loaded, a task that has records to process does so for this many times as long.
const RECORDS_TO_LOADING: u32 = 3;

/// Runs by table and segment, with the key groups to load from them.
type Runs = BTreeMap<(u16, u16), Vec<(KeyGroupSet, Vec<RunRef>)>>;

/// The prefetched state of one task.
pub(super) struct StatePrefetch {
    context: PrefetchContext,
    /// The runs that were read or will be.
    requested: Runs,
    to_read: VecDeque<(KeyGroupSet, RunRef)>,
    reading: VecDeque<(Ticket, KeyGroupSet, RunRef)>,
    /// The checkpoint that is being read, until all of its state is loaded.
    target: Option<CheckpointId>,
    /// When the next read may begin, if its bandwidth is reserved.
    reserved: Option<Instant>,
    /// Until then, records precede the state that was read.
    records_until: Instant,
}

/// What the prefetch uses of its task.
#[derive(Clone)]
pub(super) struct PrefetchContext {
    pub(super) io: Io,
    pub(super) clock: Arc<dyn Clock>,
    /// The most reads under way.
    pub(super) max_reads: usize,
    pub(super) bandwidth: Option<Bandwidth>,
}

/// What the task did in its last step, apart from the prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// It had records to process, so the prefetch takes only a share of its time.
    Records,
    /// It had nothing to do.
    Idle,
}

/// The result of a step.
pub(super) enum Step {
    /// Nothing to do now.
    Waiting,
    /// State has been read, and is loaded in one of the next steps.
    Deferred,
    /// A run of this many bytes was loaded.
    Loaded(u64),
    /// All state of this checkpoint is loaded.
    Complete(CheckpointId),
}

impl StatePrefetch {
    pub(super) fn new(context: PrefetchContext) -> Self {
        let (reserved, records_until) = Default::default();
        let (requested, to_read, reading, target) = Default::default();
        Self { context, requested, to_read, reading, target, reserved, records_until }
    }

    /// Requests the state of `checkpoint`, as far as it was not requested before.
    pub(super) fn request(
        &mut self,
        checkpoint: CheckpointId,
        restore: &Restore,
        chain: &mut dyn StatefulChain,
    ) {
        self.target = Some(checkpoint);
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
        let gone: Vec<_> = self.requested.keys().filter(|at| !wanted.contains_key(at)).copied().collect();
        for at in gone {
            self.drop_segment(at, chain);
        }
        for (at, parts) in wanted {
            let known = self.requested.get(&at);
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
                self.drop_segment(at, chain);
            }
            self.to_read.extend(new);
            self.requested.insert(at, parts);
        }
    }

    /// Drops the prefetched state of a segment. No read of it may be under way, because its bytes would be loaded
    /// afterwards. Callers have read either everything or nothing.
    fn drop_segment(&mut self, at: (u16, u16), chain: &mut dyn StatefulChain) {
        let Some(parts) = self.requested.remove(&at) else { return };
        chain.tables(&mut |table| {
            if table.id() == TableId(at.0) {
                parts.iter().for_each(|(groups, _)| table.forget_arrivals(at.1, groups));
            }
        });
    }

    /// Stops reading. State that is in the tables stays there.
    pub(super) fn stop(&mut self) {
        *self = Self::new(self.context.clone()); // dropping the former value cancels its reads
    }

    /// Starts reads, and adds the bytes of the oldest finished one to its table.
    pub(super) fn step(
        &mut self,
        now: Instant,
        load: Load,
        chain: &mut dyn StatefulChain,
    ) -> Result<Step, String> {
        let Some(target) = self.target else { return Ok(Step::Waiting) };
        self.start_reads(now);
        let Some((ticket, ..)) = self.reading.front() else {
            if !self.to_read.is_empty() {
                return Ok(Step::Waiting);
            }
            self.target = None;
            return Ok(Step::Complete(target));
        };
        if load == Load::Records && now < self.records_until {
            return Ok(Step::Deferred);
        }
        let Some(answer) = self.context.io.take(*ticket) else { return Ok(Step::Waiting) };
        let (_, groups, run) = self.reading.pop_front().expect("there is one at the front");
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => return Err("the storage answered a read with another kind of reply".to_owned()),
            Err(error) => {
                return Err(format!("cannot prefetch the state of incoming key groups: {error}"));
            }
        };
        let begun = self.context.clock.now();
        add_run(chain, run.table, &bytes, &groups, Origin::Own)?;
        let loaded = self.context.clock.now();
        self.records_until = loaded + loaded.since(begun) * RECORDS_TO_LOADING;
        Ok(Step::Loaded(u64::from(run.len)))
    }

    /// Starts reads, as many as may be under way and as the bandwidth allows.
    fn start_reads(&mut self, now: Instant) {
        let PrefetchContext { io, max_reads, bandwidth, .. } = &self.context;
        while self.reading.len() < *max_reads
            && let Some((_, run)) = self.to_read.front()
        {
            let reserve = || bandwidth.as_ref().map_or(now, |all| all.reserve(now, u64::from(run.len)));
            if *self.reserved.get_or_insert_with(reserve) > now {
                return;
            }
            self.reserved = None;
            let Some((groups, run)) = self.to_read.pop_front() else { return };
            let range = Some(run.offset..run.offset + u64::from(run.len));
            let at = Location(run.object.clone());
            self.reading.push_back((io.submit(StoreOp::Get { at, range }), groups, run));
        }
    }

    /// When the next read begins, if it waits for its bandwidth.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.reserved
    }
}

impl Drop for StatePrefetch {
    fn drop(&mut self) {
        self.reading.iter().for_each(|(ticket, ..)| self.context.io.forget(*ticket));
    }
}

/// Adds the entries of `groups` in a run to their table.
pub(super) fn add_run(
    chain: &mut dyn StatefulChain,
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

#[cfg(test)]
#[path = "prefetch_tests.rs"]
mod tests;
