//! The boxed stage, which hides the type of a chain, for chains that depend on the job's arguments.
//!
//! Each record costs an indirect call, and the stages after it are not inlined into those before it. So a chain
//! is boxed only if the job requests it.

use crate::stage::{AdoptedState, Control, OpenContext, SnapshotContext, Stage, Starved};
use crate::stages::SplitTimes;
use crate::wiring::Place;
use crate::wiring::Wiring;
use reflow_api::Input;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::data::LatencyMarker;
use reflow_protocol::failure::Failure;
use reflow_state::SnapshotTable;
use reflow_types::{CheckpointId, Instant, Timestamp};
use std::time::Duration;

/// Any stage that takes records of type `T`.
pub struct BoxedStage<T>(Box<dyn ErasedStage<T>>);

impl<T> BoxedStage<T> {
    /// Hides the type of a stage.
    pub fn new(stage: impl Stage<T> + 'static) -> Self {
        Self(Box::new(stage))
    }
}

impl<T> Stage<T> for BoxedStage<T> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        self.0.push(value, time);
    }
}

/// The end of a chain: its sink, or the exchange to a sink in a task of its own, which costs an indirect call for each
/// record. Which of them it is, a job decides after it has built the chain.
pub enum SinkEnd<T, S> {
    /// The sink is in the chain.
    Here(S),
    /// It is in a task of its own.
    Elsewhere(BoxedStage<T>),
}

impl<T, S: Stage<T>> Stage<T> for SinkEnd<T, S> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        match self {
            Self::Here(sink) => Stage::push(sink, value, time),
            Self::Elsewhere(exchange) => Stage::push(exchange, value, time),
        }
    }
}

/// Defines a trait with the methods of `Control` that can be a trait object. `Control` cannot, because it has an
/// associated type.
macro_rules! erase {
    (
        &self { $($read:ident($($a:ident: $A:ty),*) $(-> $R:ty)?;)* }
        &mut self { $($call:ident($($b:ident: $B:ty),*) $(-> $S:ty)?;)* }
    ) => {
        trait ErasedStage<T>: Send {
            fn push(&mut self, value: T, time: Timestamp);
            $(fn $read(&self $(, $a: $A)*) $(-> $R)?;)*
            $(fn $call(&mut self $(, $b: $B)*) $(-> $S)?;)*
        }

        impl<T, S: Stage<T>> ErasedStage<T> for S {
            fn push(&mut self, value: T, time: Timestamp) {
                Stage::push(self, value, time);
            }
            $(fn $read(&self $(, $a: $A)*) $(-> $R)? { Control::$read(self $(, $a)*) })*
            $(fn $call(&mut self $(, $b: $B)*) $(-> $S)? { Control::$call(self $(, $b)*) })*
        }

        impl<T> Control for BoxedStage<T> {
            type Next = Self;
            fn next_stage(&self) -> &Self {
                unreachable!("a boxed stage passes on every call itself")
            }
            fn next_stage_mut(&mut self) -> &mut Self {
                unreachable!("a boxed stage passes on every call itself")
            }
            $(fn $read(&self $(, $a: $A)*) $(-> $R)? { self.0.$read($($a),*) })*
            $(fn $call(&mut self $(, $b: $B)*) $(-> $S)? { self.0.$call($($b),*) })*
        }

        impl<T, S: Stage<T>> Control for SinkEnd<T, S> {
            type Next = Self;
            fn next_stage(&self) -> &Self {
                unreachable!("the end of a chain passes on every call itself")
            }
            fn next_stage_mut(&mut self) -> &mut Self {
                unreachable!("the end of a chain passes on every call itself")
            }
            $(fn $read(&self $(, $a: $A)*) $(-> $R)? {
                match self {
                    Self::Here(sink) => Control::$read(sink $(, $a)*),
                    Self::Elsewhere(exchange) => Control::$read(exchange $(, $a)*),
                }
            })*
            $(fn $call(&mut self $(, $b: $B)*) $(-> $S)? {
                match self {
                    Self::Here(sink) => Control::$call(sink $(, $b)*),
                    Self::Elsewhere(exchange) => Control::$call(exchange $(, $b)*),
                }
            })*
        }
    };
}

erase! {
    &self {
        has_rest() -> bool;
        next_wakeup() -> Option<Instant>;
        is_settled() -> bool;
        is_full() -> bool;
        aligned() -> Option<&SplitTimes>;
        count(metrics: &mut SubtaskMetrics);
    }
    &mut self {
        open(context: &mut OpenContext<'_>);
        start();
        rescaled(place: Place);
        close(failures: &mut Vec<Failure>);
        split_added(split: u64);
        split(split: u64);
        split_ended(split: u64);
        starved(at: Duration, splits: Starved<'_>);
        watermark(time: Timestamp);
        idle(idle: bool);
        latency_marker(marker: LatencyMarker);
        tick(now: Instant);
        resume(most: usize) -> Option<usize>;
        snapshot(context: &mut SnapshotContext<'_>);
        prepared() -> Result<bool, String>;
        deliver(now: Instant) -> bool;
        barrier(checkpoint: CheckpointId);
        prepare(wiring: Option<&Wiring>);
        abandon();
        adopt(states: &mut AdoptedState);
        completed(checkpoint: CheckpointId);
        aborted(checkpoint: CheckpointId);
        input_ended(input: Input);
        end();
        has_room() -> bool;
        flush();
        tables(visit: &mut dyn FnMut(&mut dyn SnapshotTable));
    }
}
