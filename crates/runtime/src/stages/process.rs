//! The stage that runs a process function without a key.

use crate::error_handler::{ErrorHandler, OnFailure};
use crate::failure::OperatorName;
use crate::lifecycle::Lifecycle;
use crate::stage::{Control, OpenContext, SnapshotContext, Stage};
use crate::wiring::Place;
use reflow_api::operator_state::{self, OperatorList, RestoredLists, SnapshotLists};
use reflow_api::{Input, OnError, OutputTag, RuntimeContext, UnkeyedContext, UnkeyedProcessFunction};
use reflow_graph::DeclaredList;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::Failure;
use reflow_protocol::snapshot::Redistribution;
use reflow_types::{Data, Instant, MIN_WATERMARK, Timestamp};

/// Runs a process function for each record.
pub struct UnkeyedProcess<P, D, E = ErrorHandler> {
    function: P,
    lifecycle: Lifecycle,
    errors: E,
    watermark: Timestamp,
    processing_time: Timestamp,
    /// The lists of the function.
    lists: Vec<OperatorList>,
    /// Their items, until it is started.
    restored: RestoredLists,
    next: D,
}

impl<P: UnkeyedProcessFunction, D, E: From<ErrorHandler>> UnkeyedProcess<P, D, E> {
    /// A stage that passes the records that `function` emits to `next`.
    pub fn new(operator: OperatorName, function: P, on_error: OnError, next: D) -> Self {
        Self {
            lists: function.operator_lists(),
            restored: RestoredLists::default(),
            function,
            lifecycle: Lifecycle::new(operator.clone()),
            errors: ErrorHandler::new(operator, on_error).into(),
            watermark: MIN_WATERMARK,
            processing_time: MIN_WATERMARK,
            next,
        }
    }
}

/// The context of a function for one record without a key.
pub(crate) struct WithoutKey<'a, D> {
    pub(crate) time: Timestamp,
    pub(crate) watermark: Timestamp,
    pub(crate) output_watermark: Timestamp,
    pub(crate) processing_time: Timestamp,
    pub(crate) lifecycle: &'a mut Lifecycle,
    pub(crate) next: &'a mut D,
}

impl<Out, D: Stage<Out>> UnkeyedContext<Out> for WithoutKey<'_, D> {
    fn runtime(&self) -> &RuntimeContext {
        self.lifecycle.context()
    }

    fn timestamp(&self) -> Timestamp {
        self.time
    }

    fn watermark(&self) -> Timestamp {
        self.watermark
    }

    fn processing_time(&self) -> Timestamp {
        self.processing_time
    }

    fn output_watermark(&self) -> Timestamp {
        self.output_watermark
    }

    #[inline]
    fn emit(&mut self, value: Out) {
        self.next.push(value, self.time);
    }

    #[inline]
    fn emit_late_at(&mut self, time: Timestamp, value: Out) {
        self.next.push(value, time);
    }

    #[inline]
    fn emit_to<E: Data>(&mut self, tag: &OutputTag<E>, value: E) {
        self.lifecycle.emit_to(self.next, tag, value, self.time);
    }
}

impl<P, D, E> Stage<P::In> for UnkeyedProcess<P, D, E>
where
    P: UnkeyedProcessFunction,
    D: Stage<P::Out>,
    E: OnFailure<P::In>,
{
    #[inline]
    fn push(&mut self, value: P::In, time: Timestamp) {
        let Self { function, lifecycle, errors, next, watermark, processing_time, .. } = self;
        let kept = errors.keep(&value);
        let (watermark, processing_time) = (*watermark, *processing_time);
        let output_watermark = watermark;
        let mut at = WithoutKey { time, watermark, output_watermark, processing_time, lifecycle, next };
        if let Err(error) = function.process(&mut at, value) {
            errors.failed(kept, &error, time, next);
        }
    }
}

impl<P, D, E> Control for UnkeyedProcess<P, D, E>
where
    P: UnkeyedProcessFunction,
    D: Control,
    E: OnFailure<P::In>,
{
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.lifecycle.set(context);
        let mut items =
            |name: &str| context.take_items(self.lifecycle.uid(), &DeclaredList::of_function(name));
        let lists = self.lists.iter().map(|list| (list.name.clone(), items(&list.name)));
        self.restored = RestoredLists::new(lists.collect());
        self.watermark = context.watermark;
        self.processing_time = context.now.as_millis();
        self.next.open(context);
    }

    fn start(&mut self) {
        self.next.start();
        let Self { lifecycle, function, restored, lists, .. } = self;
        if !lists.is_empty() {
            lifecycle.keep(|| function.restore(restored));
            *restored = RestoredLists::default();
        }
        lifecycle.open(|context| function.open(context));
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        let Self { lifecycle, function, lists, .. } = self;
        if !lists.is_empty() {
            let mut snapshot = SnapshotLists::new(lists.iter().map(|list| list.name.clone()));
            lifecycle.keep(|| function.snapshot(&mut snapshot));
            for (list, items) in lists.iter().zip(snapshot.into_items()) {
                let redistribution = match list.redistribution {
                    operator_state::Redistribution::Split => Redistribution::Split,
                    operator_state::Redistribution::Union => Redistribution::Union,
                    operator_state::Redistribution::Broadcast => Redistribution::Broadcast,
                };
                context.put_items(
                    lifecycle.uid(),
                    DeclaredList::of_function(&list.name),
                    redistribution,
                    items,
                );
            }
        }
        let resets = context.resets;
        self.next.snapshot(context);
        if resets {
            self.watermark = MIN_WATERMARK;
        }
    }

    fn rescaled(&mut self, place: Place) {
        self.next.rescaled(place);
        let Self { lifecycle, function, .. } = self;
        lifecycle.rescaled(place, |context| function.rescaled(context));
    }

    fn input_ended(&mut self, input: Input) {
        let Self { lifecycle, function, .. } = self;
        lifecycle.input_ended(|context| function.input_ended(input, context));
        self.next.input_ended(input);
    }

    fn close(&mut self, failures: &mut Vec<Failure>) {
        let Self { lifecycle, function, .. } = self;
        lifecycle.close(failures, || function.close());
        self.next.close(failures);
    }

    fn watermark(&mut self, time: Timestamp) {
        self.watermark = time;
        self.next.watermark(time);
    }

    fn tick(&mut self, now: Instant) {
        self.processing_time = self.processing_time.max(now.as_millis());
        self.errors.as_mut().tick(now);
        self.next.tick(now);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.as_ref().count(metrics);
        self.next.count(metrics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{EndOfChain, Fate};
    use reflow_api::UserError;
    use reflow_protocol::snapshot::AfterBarrier;
    use reflow_state::SnapshotKind;
    use reflow_types::CheckpointId;

    /// Emits each record a millisecond later.
    #[derive(Clone)]
    struct Later;

    impl UnkeyedProcessFunction for Later {
        type In = i64;
        type Out = i64;

        fn process(&mut self, context: &mut impl UnkeyedContext<i64>, value: i64) -> Result<(), UserError> {
            Ok(context.emit_at(context.timestamp() + 1, value)?)
        }
    }

    /// At a live rescale, a subtask may get input of another one, whose event time is behind.
    #[test]
    fn no_record_is_late_after_event_time_was_reset() {
        let operator = OperatorName { name: "Later".into(), uid: "later".into() };
        let mut stage: UnkeyedProcess<_, _> = UnkeyedProcess::new(operator, Later, OnError::Fail, EndOfChain);
        stage.watermark(100);
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
        stage.push(10, 10);
    }
}
