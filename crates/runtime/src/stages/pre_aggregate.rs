//! The first of two stages of windows over all records: it aggregates the records of its subtask, so that one record a
//! window crosses the exchange instead of all.
//!
//! Its accumulators are not part of checkpoints: they are emitted before each barrier. They are also emitted before
//! anything after which the receiver could find them late: before the watermark that ends their window, and before the
//! subtask counts as idle, because event time then goes on without it. So a record is late behind the exchange exactly if
//! it were late without this stage.

use crate::failure::OperatorName;
use crate::stage::{Control, OpenContext, SnapshotContext, Stage};
use crate::stages::TIME_RANGE;
use reflow_api::window::{Assigner, Window};
use reflow_api::{TimeDomain, TryAggregate, UserError};
use reflow_protocol::failure::Fault;
use reflow_types::{MIN_WATERMARK, Timestamp};
use std::collections::BTreeMap;

/// Aggregates records by window, and emits the accumulators with their windows.
pub struct PreAggregate<W, A: TryAggregate, D> {
    operator: OperatorName,
    assigner: W,
    aggregate: A,
    /// By the end and the start of their windows.
    panes: BTreeMap<(Timestamp, Timestamp), A::Acc>,
    /// The most that are kept, and so the most that are emitted at once.
    most_panes: usize,
    watermark: Timestamp,
    idle: bool,
    /// The windows of the current record.
    assigned: Vec<Window>,
    next: D,
}

impl<W: Assigner, A: TryAggregate, D: Stage<(Window, A::Acc)>> PreAggregate<W, A, D> {
    /// A stage that keeps at most `most_panes` accumulators.
    pub fn new(operator: OperatorName, (assigner, aggregate): (W, A), most_panes: usize, next: D) -> Self {
        const {
            assert!(
                matches!(W::DOMAIN, TimeDomain::Event),
                "window_all aggregates in two stages only in event time: write .window_all(…).in_one_subtask() for \
                 processing time"
            );
        }
        let (panes, assigned, watermark, idle) = (BTreeMap::new(), Vec::new(), MIN_WATERMARK, false);
        Self { operator, assigner, aggregate, panes, most_panes, watermark, idle, assigned, next }
    }

    #[inline]
    fn add(&mut self, window: Window, value: A::In) {
        let aggregate = &self.aggregate;
        let accumulator = self.panes.entry((window.end, window.start)).or_insert_with(|| aggregate.create());
        if let Err(error) = aggregate.try_add(accumulator, value) {
            self.fail(&error);
        }
    }

    /// Emits the accumulators for which `due` holds, those of the earliest windows first.
    fn emit_while(&mut self, due: impl Fn(&Window, usize) -> bool) {
        while let Some(pane) = self.panes.first_entry() {
            let (end, start) = *pane.key();
            let window = Window { start, end };
            if !due(&window, self.panes.len()) {
                return;
            }
            if let Some((_, accumulator)) = self.panes.pop_first() {
                self.next.push((window, accumulator), window.max_timestamp());
            }
        }
    }

    #[cold]
    fn fail(&self, error: &UserError) -> ! {
        self.operator.fail(Fault::User, &**error)
    }
}

impl<T, W, A, D> Stage<T> for PreAggregate<W, A, D>
where
    T: Clone,
    W: Assigner,
    A: TryAggregate<In = T>,
    D: Stage<(Window, A::Acc)>,
{
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        if W::NEEDS_TIME && !TIME_RANGE.contains(&time) {
            let error =
                format!("the timestamp {time} is out of range: give the stream event time in milliseconds");
            self.fail(&error.into());
        }
        let mut assigned = std::mem::take(&mut self.assigned);
        self.assigner.assign(time, |window| assigned.push(window));
        if let Some(last) = assigned.pop() {
            assigned.drain(..).for_each(|window| self.add(window, value.clone()));
            self.add(last, value);
        }
        self.assigned = assigned;
        // What the receiver may have to count as late, or waits for, is not kept.
        let (watermark, idle, most) = (self.watermark, self.idle, self.most_panes);
        self.emit_while(|window, panes| idle || panes > most || window.max_timestamp() <= watermark);
    }
}

impl<W: Assigner, A: TryAggregate, D: Stage<(Window, A::Acc)>> Control for PreAggregate<W, A, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.watermark = context.watermark;
        self.next.open(context);
    }

    fn watermark(&mut self, time: Timestamp) {
        self.watermark = time;
        self.emit_while(|window, _| window.max_timestamp() <= time);
        self.next.watermark(time);
    }

    fn idle(&mut self, idle: bool) {
        self.idle = idle;
        self.emit_while(|_, _| idle);
        self.next.idle(idle);
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        self.emit_while(|_, _| true);
        let resets = context.resets;
        self.next.snapshot(context);
        if resets {
            (self.watermark, self.idle) = (MIN_WATERMARK, false);
        }
    }

    fn end(&mut self) {
        self.emit_while(|_, _| true);
        self.next.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{EndOfChain, Fate};
    use crate::stages::Inspect;
    use reflow_api::Aggregate;
    use reflow_api::window::TumblingWindows;
    use reflow_protocol::snapshot::AfterBarrier;
    use reflow_state::SnapshotKind;
    use reflow_types::CheckpointId;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[derive(Clone)]
    struct Count;

    impl Aggregate for Count {
        type In = ();
        type Acc = u64;
        type Out = u64;

        fn create(&self) -> u64 {
            0
        }

        fn add(&self, count: &mut u64, (): ()) {
            *count += 1;
        }

        fn result(&self, count: &u64) -> u64 {
            *count
        }
    }

    /// Behind the barrier, the receiver may wait for what was over before it.
    #[test]
    fn records_are_aggregated_again_when_event_time_was_reset() {
        let emitted = Arc::new(AtomicU64::new(0));
        let seen = emitted.clone();
        let next =
            Inspect::new(move |_: &(Window, u64)| _ = seen.fetch_add(1, Ordering::Relaxed), EndOfChain);
        let operator = OperatorName { name: "Count".into(), uid: "count".into() };
        let windows = TumblingWindows::of(Duration::from_millis(10));
        let mut stage = PreAggregate::new(operator, (windows, Count), 10, next);
        let emits = |stage: &mut PreAggregate<_, _, _>, records: u64| {
            let before = emitted.load(Ordering::Relaxed);
            (0..records).for_each(|_| stage.push((), 5));
            emitted.load(Ordering::Relaxed) - before
        };
        assert_eq!(emits(&mut stage, 3), 0);
        Control::watermark(&mut stage, 100);
        Control::idle(&mut stage, true);
        assert_eq!(emits(&mut stage, 3), 3, "they are late");
        stage.snapshot(&mut SnapshotContext {
            checkpoint: CheckpointId(1),
            kind: SnapshotKind::Cut,
            resets: true,
            then: AfterBarrier::Continue,
            fate: Fate::Stays,
            release: None,
            operator: &mut Vec::new(),
            released: &mut Vec::new(),
        });
        assert_eq!(emits(&mut stage, 3), 0);
    }
}
