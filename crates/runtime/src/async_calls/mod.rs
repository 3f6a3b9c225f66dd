//! The operator of asynchronous calls, which is the head of its task.
//!
//! It makes a call for each record and passes results on as answers arrive ([`queue`]). Everything happens in the task's
//! steps; an answer wakes the slot. Records under way are operator state: a snapshot contains them and does not wait for
//! their answers, and a restore makes their calls again. At a cut, records whose key group leaves the subtask, or all of a
//! subtask that leaves, go through the JobManager to the subtasks that take them over. Those hold event time back until
//! the records are there, so that none becomes late.

mod queue;
#[cfg(test)]
mod queue_tests;

use self::queue::{Due, Passed, Queue, Record, Signal};
use crate::error_handler::{ErrorHandler, OnFailure};
use crate::failure::OperatorName;
use crate::keyed::{Head, Intake};
use crate::lifecycle::Lifecycle;
use crate::stage::{AdoptedState, Control, OpenContext, Release, SnapshotContext, Stage, Starved};
use crate::stages::WithoutKey;
use crate::wiring::{Place, Wiring};
use bytes::Bytes;
use reflow_api::async_calls::{AsyncCalls, AsyncFunction};
use reflow_api::io::Calls;
use reflow_api::{CallError, Client, Input, Io, OnError, UserError};
use reflow_graph::DeclaredList;
use reflow_network::Row;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::snapshot::{AfterBarrier, Redistribution};
use reflow_types::{
    CheckpointId, Instant, KeyHash, MIN_WATERMARK, MaxParallelism, Timestamp, data, injected_fault,
};
use std::time::Duration;

/// The name of the operator state that contains the records under way.
const UNDER_WAY: &str = DeclaredList::UNDER_WAY;

/// An item of that state: the hash of the record's key, its time, and itself. It begins with the hash in little-endian order,
/// as items that are redistributed by key must ([`Redistribution::ByKey`]).
pub type UnderWay<T> = ([u8; 8], Timestamp, T);

/// The final result of a record's calls.
enum Outcome<A> {
    Answered(A),
    Failed(CallError),
    /// The function has made no request.
    Refused(UserError),
}

type Answer<Q> = <<Q as AsyncFunction>::Client as Client>::Answer;

/// Runs an asynchronous function.
pub struct Async<Q: AsyncFunction, D, E = ErrorHandler> {
    lifecycle: Lifecycle,
    errors: E,
    function: Q,
    settings: AsyncCalls,
    calls: Calls<Q::Client>,
    queue: Queue<Q::In, Outcome<Answer<Q>>>,
    /// How records are redistributed to another number of subtasks.
    redistribution: Redistribution,
    max: MaxParallelism,
    /// The bytes that it takes above its capacity, so that a barrier can pass.
    reserve_bytes: u64,
    now: Instant,
    /// What the input has reached.
    input: EventTime,
    /// The watermark that was passed on.
    watermark: Timestamp,
    pause: Pause,
    /// Whether the end was passed on.
    has_ended: bool,
    next: D,
}

/// Event time of the input.
#[derive(Clone, Copy)]
struct EventTime {
    watermark: Timestamp,
    is_idle: bool,
}

impl EventTime {
    const UNKNOWN: Self = Self { watermark: MIN_WATERMARK, is_idle: false };
}

/// Whether nothing is emitted, because the attempt ends with a checkpoint that has the records under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    No,
    UntilAborted(CheckpointId),
    /// The job was restored only to end.
    UntilTheEnd,
}

impl<Q, D, E> Async<Q, D, E>
where
    Q: AsyncFunction,
    D: Stage<Q::Out>,
    E: OnFailure<Q::In>,
{
    /// An operator that runs `function` at the place `wiring`.
    pub fn new(
        operator: OperatorName,
        (function, settings): (Q, AsyncCalls),
        on_error: OnError,
        wiring: &Wiring,
        next: D,
    ) -> Self {
        let redistribution = match wiring.groups() {
            Some(_) => Redistribution::ByKey,
            None => Redistribution::Split,
        };
        Self {
            lifecycle: Lifecycle::new(operator.clone()),
            errors: ErrorHandler::new(operator, on_error).into(),
            function,
            queue: Queue::new(settings.order()),
            settings,
            calls: Calls::new(Io::default()),
            redistribution,
            max: MaxParallelism::DEFAULT,
            reserve_bytes: 0,
            now: Instant::default(),
            input: EventTime::UNKNOWN,
            watermark: MIN_WATERMARK,
            pause: Pause::No,
            has_ended: false,
            next,
        }
    }

    /// Decides what becomes of the records whose calls were answered.
    fn take_answers(&mut self) {
        while let Some((ticket, answer)) = self.calls.next_answer() {
            let Some((number, calls, deadline)) = self.queue.answered(ticket) else { continue };
            let retry_at = self.settings.retry_after(calls).map(|delay| self.now + delay);
            match retry_at.filter(|at| *at < deadline && self.function.is_retried(&answer)) {
                Some(at) => self.queue.repeat(number, at),
                None => self.queue.finish(number, self.outcome(answer, deadline)),
            }
        }
    }

    fn outcome(&self, answer: Result<Answer<Q>, CallError>, deadline: Instant) -> Outcome<Answer<Q>> {
        match answer {
            Ok(answer) => Outcome::Answered(answer),
            // The last call had only the rest of the record's time.
            Err(CallError::TimedOut { system, .. }) if self.now >= deadline => {
                Outcome::Failed(CallError::TimedOut { system, limit: self.settings.limit() })
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Makes the calls that are due, at most `most`. Returns whether there may be more to do: further calls, or results of
    /// records for which there is none.
    fn make_calls(&mut self, most: usize) -> bool {
        let mut any_refused = false;
        for _ in 0..most {
            let due = self.queue.due(self.now, self.settings.most_calls());
            let Some(Due { number, value, deadline }) = due else { return any_refused };
            let request = match self.function.request(value) {
                Ok(request) => request,
                Err(error) => {
                    self.queue.finish(number, Outcome::Refused(error));
                    any_refused = true;
                    continue;
                }
            };
            let deadline = deadline.unwrap_or(self.now + self.settings.limit());
            let limit = self.settings.limit_of_call(deadline.since(self.now));
            let ticket = self.calls.call(self.function.client(), request, limit);
            self.queue.called(number, ticket, deadline);
        }
        true
    }

    /// Passes the results of a record on.
    fn emit(&mut self, record: Record<Q::In>, outcome: Outcome<Answer<Q>>) {
        let Self { function, lifecycle, errors, next, watermark, now, .. } = self;
        let Record { time, value, .. } = record;
        let kept = errors.keep(&value);
        let (watermark, processing_time) = (*watermark, now.as_millis());
        let output_watermark = watermark;
        let mut at = WithoutKey { time, watermark, output_watermark, processing_time, lifecycle, next };
        let result = match outcome {
            Outcome::Answered(answer) => function.answered(&mut at, value, answer),
            Outcome::Failed(error) => function.failed(&mut at, value, error),
            Outcome::Refused(error) => Err(error),
        };
        if let Err(error) = result {
            errors.failed(kept, &error, time, next);
        }
    }

    fn pass_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Watermark(time) => {
                self.watermark = time;
                self.next.watermark(time);
            }
            Signal::Idle(idle) => self.next.idle(idle),
            Signal::End => {
                self.has_ended = true;
                self.next.end();
            }
        }
    }

    /// Passes on again what the input has reached, behind the records so far.
    fn repeat_event_time(&mut self) {
        let EventTime { watermark, is_idle } = self.input;
        if self.has_ended || self.queue.has_end() {
            return;
        }
        if watermark > MIN_WATERMARK {
            self.take_signal(Signal::Watermark(watermark));
        }
        if is_idle {
            self.take_signal(Signal::Idle(true));
        }
    }

    fn take_signal(&mut self, signal: Signal) {
        if let Some(signal) = self.queue.signal(signal) {
            self.pass_signal(signal);
        }
    }

    fn record(&self, hash: KeyHash, time: Timestamp, value: Q::In) -> Record<Q::In> {
        let bytes = data::encoded_len(&value) as u64;
        Record { hash, time, value, bytes }
    }

    fn encode(&self, record: &Record<Q::In>) -> Bytes {
        let Record { hash, time, value, .. } = record;
        let mut item = Vec::new();
        let encoded = data::encode(&hash.0.to_le_bytes(), &mut item)
            .and_then(|()| data::encode(time, &mut item))
            .and_then(|()| data::encode(value, &mut item));
        if let Err(error) = encoded {
            self.lifecycle
                .fail(Fault::User, &format!("a record cannot be encoded for a checkpoint: {error}"));
        }
        item.into()
    }

    fn records(&self, items: Vec<UnderWay<Q::In>>) -> Vec<Record<Q::In>> {
        let record = |(hash, time, value)| self.record(KeyHash(u64::from_le_bytes(hash)), time, value);
        items.into_iter().map(record).collect()
    }

    /// At a cut that changes the subtasks of the vertex: releases the records that leave, and waits for those that come.
    fn cut(&mut self, release: Release, context: &mut SnapshotContext<'_>) {
        let max = self.max;
        let (records, calls) = match &release {
            Release::Nothing => Default::default(),
            Release::All => self.queue.release(|_| true),
            Release::AllBut(groups) => self.queue.release(|hash| !groups.contains(hash.group(max))),
        };
        calls.into_iter().for_each(|call| self.calls.cancel(call));
        let items: Vec<Bytes> = records.iter().map(|record| self.encode(record)).collect();
        if !injected_fault::is_active("records_under_way_lost") {
            context.release_items(self.lifecycle.uid(), UNDER_WAY.to_owned(), self.redistribution, items);
        }
        match release {
            Release::All => self.queue.clear_signals(),
            // Everything has passed before the end, and a subtask that has ended gets nothing.
            _ if self.has_ended => {}
            // The watermark that was passed on may be ahead of the records that come.
            _ => {
                self.queue.hold();
                context.resets = true;
            }
        }
    }
}

impl<Q, D, E> Head<Q::In> for Async<Q, D, E>
where
    Q: AsyncFunction,
    D: Stage<Q::Out>,
    E: OnFailure<Q::In>,
{
    #[inline]
    fn row(&mut self, row: Row<Q::In>) {
        let record = self.record(row.hash, row.time, row.value);
        self.queue.push(record);
    }

    #[inline]
    fn intake(&self) -> Intake {
        let (records, bytes) = self.queue.len();
        if self.settings.has_capacity(records, bytes) {
            Intake::Open
        } else if self.queue.memory_bytes() < self.reserve_bytes {
            Intake::BeforeBarrier
        } else {
            Intake::Closed
        }
    }
}

impl<Q, D, E> Control for Async<Q, D, E>
where
    Q: AsyncFunction,
    D: Stage<Q::Out>,
    E: OnFailure<Q::In>,
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
        self.calls = Calls::new(context.io.clone());
        (self.max, self.now) = (context.max_parallelism, context.now);
        self.reserve_bytes = context.bounds.reserved_bytes;
        self.input.watermark = context.watermark;
        if context.then == AfterBarrier::Finish {
            self.pause = Pause::UntilTheEnd;
        }
        let records = self.records(context.take_list(self.lifecycle.uid(), UNDER_WAY));
        if !records.is_empty() {
            self.queue.push_front(records);
            // The input continues behind this watermark, which these records may precede.
            if context.watermark > MIN_WATERMARK {
                self.queue.signal(Signal::Watermark(context.watermark));
                context.watermark = MIN_WATERMARK;
            }
        }
        self.watermark = context.watermark;
        self.next.open(context);
    }

    fn start(&mut self) {
        self.next.start();
        let Self { lifecycle, function, .. } = self;
        lifecycle.open(|context| function.open(context));
    }

    fn rescaled(&mut self, place: Place) {
        self.next.rescaled(place);
        let Self { lifecycle, function, .. } = self;
        lifecycle.rescaled(place, |context| function.rescaled(context));
    }

    fn close(&mut self, failures: &mut Vec<Failure>) {
        let Self { lifecycle, function, .. } = self;
        lifecycle.close(failures, || function.close());
        self.next.close(failures);
    }

    fn watermark(&mut self, time: Timestamp) {
        self.input.watermark = time;
        self.take_signal(Signal::Watermark(time));
    }

    fn idle(&mut self, idle: bool) {
        self.input.is_idle = idle;
        self.take_signal(Signal::Idle(idle));
    }

    fn input_ended(&mut self, input: Input) {
        self.next.input_ended(input);
    }

    fn end(&mut self) {
        self.take_signal(Signal::End);
    }

    /// A record under way is not missing.
    fn starved(&mut self, at: Duration, splits: Starved<'_>) {
        if self.queue.is_empty() {
            self.next.starved(at, splits);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.errors.as_mut().tick(now);
        self.next.tick(now);
    }

    fn resume(&mut self, most: usize) -> Option<usize> {
        if let Some(passed) = self.next.resume(most) {
            return Some(passed);
        }
        if self.pause != Pause::No {
            return None;
        }
        self.take_answers();
        let most = most.max(1);
        let (mut passed, mut worked) = (0, false);
        while passed < most && !self.next.has_rest() && !self.next.is_full() {
            match self.queue.pass() {
                Some(Passed::Result(record, outcome)) => {
                    self.emit(record, outcome);
                    passed += 1;
                }
                Some(Passed::Signal(signal)) => self.pass_signal(signal),
                None => break,
            }
            worked = true;
        }
        worked |= self.make_calls(most);
        worked.then_some(passed)
    }

    fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.next.is_drained()
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let own = self.queue.next_repetition().filter(|_| self.pause == Pause::No);
        own.into_iter().chain(self.next.next_wakeup()).min()
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        let items = self.queue.records().map(|record| self.encode(record)).collect();
        context.put_items(self.lifecycle.uid(), UNDER_WAY.to_owned(), self.redistribution, items);
        if matches!(context.then, AfterBarrier::Pause | AfterBarrier::Finish) {
            self.pause = Pause::UntilAborted(context.checkpoint);
        }
        let input_resets = context.resets;
        if let Some(release) = context.take_release() {
            self.cut(release, context);
        }
        let resets = context.resets;
        self.next.snapshot(context);
        if resets {
            self.queue.reset_event_time();
            self.watermark = MIN_WATERMARK;
        }
        match input_resets {
            true => self.input = EventTime::UNKNOWN,
            // The input does not repeat what it has reached.
            false if resets => self.repeat_event_time(),
            false => {}
        }
    }

    fn adopt(&mut self, states: &mut AdoptedState) {
        let records = self.records(states.take_list(self.lifecycle.uid(), UNDER_WAY));
        self.queue.push_front(records);
        if self.queue.is_held() {
            self.queue.resume();
        } else {
            self.next.adopt(states); // the subtask is being added
        }
    }

    fn aborted(&mut self, checkpoint: CheckpointId) {
        if self.pause == Pause::UntilAborted(checkpoint) {
            self.pause = Pause::No;
        }
        self.next.aborted(checkpoint);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.as_ref().count(metrics);
        self.next.count(metrics);
    }
}
