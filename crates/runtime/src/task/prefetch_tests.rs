//! How fast state is read and loaded while records flow.

use super::{Load, PrefetchContext, RECORDS_TO_LOADING, StatePrefetch, Step};
use crate::stage::SnapshotContext;
use crate::task::stateful_chain::StatefulChain;
use bytes::Bytes;
use reflow_api::Io;
use reflow_env::{Clock, Request, StoreOp, StoreReply};
use reflow_network::Bandwidth;
use reflow_protocol::snapshot::{Restore, RestorePart, RunRef};
use reflow_state::{KeyedTable, SnapshotTable, TableId};
use reflow_types::{CheckpointId, Instant, KeyGroupSet, MaxParallelism};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock on which each look at it takes a millisecond, and so does loading a run.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct OneTable(KeyedTable<u64, u64>);

impl StatefulChain for OneTable {
    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.0);
    }
    fn snapshot(&mut self, _: &mut SnapshotContext<'_>) {}
    fn prepared(&mut self) -> Result<bool, String> {
        Ok(true)
    }
    fn completed(&mut self, _: CheckpointId) {}
    fn aborted(&mut self, _: CheckpointId) {}
}

struct Rig {
    prefetch: StatePrefetch,
    io: Io,
    clock: Arc<Ticking>,
    chain: OneTable,
}

const RUN_BYTES: u32 = 1_000;

impl Rig {
    /// A task that is to read this many runs.
    fn new(runs: u16, bandwidth: Option<u64>) -> Self {
        let (io, clock) = (Io::default(), Arc::new(Ticking::default()));
        let bandwidth = bandwidth.and_then(NonZeroU64::new).map(Bandwidth::new);
        let context = PrefetchContext { io: io.clone(), clock: clock.clone(), max_reads: 4, bandwidth };
        let max = MaxParallelism::DEFAULT;
        let mut chain = OneTable(KeyedTable::new(TableId(0), "counts", max));
        let mut prefetch = StatePrefetch::new(context);
        let run = |segment| RunRef { object: "run".into(), table: 0, segment, offset: 0, len: RUN_BYTES };
        let part = RestorePart { groups: KeyGroupSet::all(max), runs: (0..runs).map(run).collect() };
        let restore = Restore { keyed: vec![part], ..Restore::default() };
        prefetch.request(CheckpointId(1), &restore, &mut chain);
        Self { prefetch, io, clock, chain }
    }

    fn step(&mut self, now: Instant, load: Load) -> Step {
        self.prefetch.step(now, load, &mut self.chain).unwrap()
    }

    /// Answers all reads. Returns their number.
    fn answer(&mut self) -> usize {
        let submitted = self.io.drain_submitted().into_iter();
        let reads = submitted.map(|(ticket, request)| {
            assert!(matches!(request, Request::Store(StoreOp::Get { .. })));
            self.io.answer(ticket, Ok(StoreReply::Bytes(Bytes::new())));
        });
        reads.count()
    }
}

#[test]
fn records_have_three_quarters_of_the_time_while_there_are_any() {
    let mut rig = Rig::new(100, None);
    let (mut loading, mut records) = (0, 0);
    loop {
        let now = rig.clock.now();
        rig.prefetch.start_reads(now);
        rig.answer();
        match rig.step(now, Load::Records) {
            Step::Complete(_) => break,
            Step::Loaded(bytes) => {
                assert_eq!(bytes, u64::from(RUN_BYTES));
                loading += 1;
            }
            Step::Deferred => records += 1,
            Step::Waiting => panic!("its reads are answered"),
        }
    }
    assert_eq!(loading, 100);
    // The first look at the clock after a pause finds that it has ended.
    let least = (loading - 1) * (RECORDS_TO_LOADING as usize - 1);
    assert!(records >= least, "{records} of at least {least} steps without loading");

    let mut idle = Rig::new(100, None);
    let mut steps = 0;
    loop {
        let now = idle.clock.now();
        idle.prefetch.start_reads(now);
        idle.answer();
        steps += 1;
        if matches!(idle.step(now, Load::Idle), Step::Complete(_)) {
            break;
        }
    }
    assert_eq!(steps, 101, "a task without records loads in each step");
}

#[test]
fn reads_begin_as_the_bandwidth_allows() {
    let mut rig = Rig::new(10, Some(u64::from(RUN_BYTES) * 10));
    let mut now = Instant::from_millis(1_000);
    let begun = now;
    let mut reads = 0;
    loop {
        let step = rig.step(now, Load::Idle);
        let answered = rig.answer();
        reads += answered;
        assert!(answered <= 1, "each read takes a tenth of a second");
        match step {
            Step::Complete(checkpoint) => break assert_eq!(checkpoint, CheckpointId(1)),
            Step::Waiting if answered == 0 => {
                now = rig.prefetch.next_wakeup().expect("it waits for its turn")
            }
            _ => {}
        }
        assert!(now.since(begun) < Duration::from_secs(2));
    }
    assert_eq!((reads, now.since(begun)), (10, Duration::from_millis(900)));
    assert_eq!(rig.prefetch.next_wakeup(), None);
}

#[test]
fn a_transfer_that_ends_leaves_no_wakeup() {
    let mut rig = Rig::new(10, Some(u64::from(RUN_BYTES)));
    rig.step(Instant::from_millis(1), Load::Idle);
    rig.step(Instant::from_millis(2), Load::Idle);
    assert!(rig.prefetch.next_wakeup().is_some());
    rig.prefetch.stop();
    assert_eq!(rig.prefetch.next_wakeup(), None);
}
