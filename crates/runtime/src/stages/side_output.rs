//! The stage that takes the records of one side output. It stands directly behind the operator that emits to it.

use super::Tail;
use crate::stage::{Control, Refused, SnapshotContext, Stage};
use crate::wiring::Wiring;
use reflow_api::OutputTag;
use reflow_network::Output;
use reflow_network::output::NoKey;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::data::LatencyMarker;
use reflow_types::{CheckpointId, Data, Timestamp};
use std::any::{Any, type_name};

/// Sends the records of a tag to an edge of their own, and all others to the next stage. What concerns both goes to
/// both: the step ends when either is full, and each gets every watermark, barrier and cut.
pub struct SideOutput<T, D> {
    tag: OutputTag<T>,
    side: Tail<T, NoKey>,
    next: D,
}

impl<T: Data, D> SideOutput<T, D> {
    /// A stage that sends the records of `tag` to `output`, and all others to `next`.
    pub fn new(tag: OutputTag<T>, output: Output<T, NoKey>, next: D) -> Self {
        Self { tag, side: Tail::new(output), next }
    }
}

impl<R, T: Data, D: Stage<R>> Stage<R> for SideOutput<T, D> {
    #[inline]
    fn push(&mut self, value: R, time: Timestamp) {
        self.next.push(value, time);
    }
}

impl<T: Data, D: Control> Control for SideOutput<T, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    #[inline]
    fn emit_to<E: 'static>(&mut self, tag: &OutputTag<E>, value: E, time: Timestamp) -> Result<(), Refused> {
        if !tag.is_named_as(&self.tag) {
            return self.next.emit_to(tag, value, time);
        }
        // Both types are known when this is compiled, so nothing is left of the cast.
        let mut value = Some(value);
        match (&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take) {
            Some(value) => {
                self.side.push(value, time);
                Ok(())
            }
            None => Err(Refused::TakenAs(type_name::<T>())),
        }
    }

    fn watermark(&mut self, time: Timestamp) {
        self.side.watermark(time);
        self.next.watermark(time);
    }

    fn idle(&mut self, idle: bool) {
        self.side.idle(idle);
        self.next.idle(idle);
    }

    fn latency_marker(&mut self, marker: LatencyMarker) {
        self.side.latency_marker(marker);
        self.next.latency_marker(marker);
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        self.side.snapshot(context);
        self.next.snapshot(context);
    }

    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.side.barrier(checkpoint);
        self.next.barrier(checkpoint);
    }

    fn prepare(&mut self, wiring: Option<&Wiring>) {
        self.side.prepare(wiring);
        self.next.prepare(wiring);
    }

    fn abandon(&mut self) {
        self.side.abandon();
        self.next.abandon();
    }

    fn end(&mut self) {
        self.side.end();
        self.next.end();
    }

    fn has_room(&mut self) -> bool {
        // Both are asked, because each then sends what it holds back.
        let side = self.side.has_room();
        self.next.has_room() && side
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.side.is_full() || self.next.is_full()
    }

    fn flush(&mut self) {
        self.side.flush();
        self.next.flush();
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.side.count(metrics);
        self.next.count(metrics);
    }
}
