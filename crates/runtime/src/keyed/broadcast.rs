//! The operator of process functions with a broadcast input: records of the first input have a key, as those of a
//! process function; records of the second input go to every subtask and change the broadcast state, which is the same in
//! all subtasks.

use super::{Head, Process};
use crate::failure::OperatorName;
use crate::stage::{AdoptedState, Control, OpenContext, SnapshotContext, Stage};
use crate::wiring::Place;
use reflow_api::{
    BroadcastProcessFunction, Context, Either, Input, OnError, ProcessFunction, RuntimeContext, TimeDomain,
    UserError,
};
use reflow_network::Row;
use reflow_network::output::KeySelector;
use reflow_types::{MaxParallelism, SubtaskIndex, Timestamp};

/// The name of the broadcast state.
pub(crate) const BROADCAST: &str = "broadcast";

/// Runs a process function with a broadcast input.
pub struct BroadcastProcess<F, Q, D>
where
    F: KeySelector<Q::In, Key = Q::Key>,
    Q: BroadcastProcessFunction,
{
    uid: String,
    /// The subtask's index. All subtasks have the same broadcast state, so the first one takes the snapshot of it.
    index: SubtaskIndex,
    process: Process<Q::In, F, WithState<Q>, D>,
}

impl<F, Q, D> BroadcastProcess<F, Q, D>
where
    F: KeySelector<Q::In, Key = Q::Key>,
    Q: BroadcastProcessFunction,
    D: Stage<Q::Out>,
{
    /// An operator that runs `function`, keyed by `key`.
    pub fn new(
        operator: OperatorName,
        key: F,
        (function, on_error): (Q, OnError),
        max: MaxParallelism,
        next: D,
    ) -> Self {
        let uid = operator.uid.clone();
        let function = WithState { function, broadcast: Q::BroadcastState::default() };
        let process = Process::new(operator, key, (function, on_error), max, next);
        Self { uid, index: SubtaskIndex(0), process }
    }

    fn restore(&mut self, mut states: Vec<Q::BroadcastState>) {
        if let Some(state) = states.pop() {
            self.process.function_mut().broadcast = state;
        }
    }
}

impl<F, Q, D> Head<Either<Q::In, Q::Broadcast>> for BroadcastProcess<F, Q, D>
where
    F: KeySelector<Q::In, Key = Q::Key>,
    Q: BroadcastProcessFunction<In: Send + 'static>,
    D: Stage<Q::Out>,
{
    #[inline]
    fn row(&mut self, Row { hash, time, value }: Row<Either<Q::In, Q::Broadcast>>) {
        match value {
            Either::First(value) => self.process.row(Row { hash, time, value }),
            Either::Second(value) => {
                self.process.without_key(time, |WithState { function, broadcast }, at| {
                    function.process_broadcast(at, broadcast, value)
                })
            }
        }
    }

    #[inline]
    fn expect(&self, row: &Row<Either<Q::In, Q::Broadcast>>) {
        if self.is_keyed(row) {
            self.process.prefetch(row.hash);
        }
    }

    #[inline]
    fn is_keyed(&self, row: &Row<Either<Q::In, Q::Broadcast>>) -> bool {
        matches!(row.value, Either::First(_))
    }
}

impl<F, Q, D> Control for BroadcastProcess<F, Q, D>
where
    F: KeySelector<Q::In, Key = Q::Key>,
    Q: BroadcastProcessFunction<In: Send + 'static>,
    D: Stage<Q::Out>,
{
    type Next = Process<Q::In, F, WithState<Q>, D>;

    fn next_stage(&self) -> &Self::Next {
        &self.process
    }

    fn next_stage_mut(&mut self) -> &mut Self::Next {
        &mut self.process
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.index = context.place.index;
        let states = context.take_list(&self.uid, BROADCAST);
        self.restore(states);
        self.process.open(context);
    }

    fn adopt(&mut self, states: &mut AdoptedState) {
        let broadcast = states.take_list(&self.uid, BROADCAST);
        self.restore(broadcast);
        self.process.adopt(states);
    }

    fn rescaled(&mut self, place: Place) {
        self.index = place.index;
        self.process.rescaled(place);
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        if self.index == SubtaskIndex(0) {
            context.put_broadcast(&self.uid, BROADCAST, &self.process.function_mut().broadcast);
        }
        self.process.snapshot(context);
    }
}

/// A function with the broadcast state, as a process function of the keyed input.
pub struct WithState<Q: BroadcastProcessFunction> {
    function: Q,
    broadcast: Q::BroadcastState,
}

impl<Q: BroadcastProcessFunction> Clone for WithState<Q> {
    /// Clones the function. The state of a clone is restored later.
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), broadcast: Q::BroadcastState::default() }
    }
}

impl<Q: BroadcastProcessFunction> ProcessFunction for WithState<Q> {
    type Key = Q::Key;
    type In = Q::In;
    type Out = Q::Out;
    type State = Q::State;

    fn states(&self) -> Q::State {
        self.function.states()
    }

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.function.close()
    }

    fn input_ended(&mut self, input: Input, context: &RuntimeContext) -> Result<(), UserError> {
        self.function.input_ended(input, context)
    }

    #[inline]
    fn process(
        &mut self,
        context: &mut impl Context<Q::Key, Q::State, Q::Out>,
        value: Q::In,
    ) -> Result<(), UserError> {
        self.function.process(context, &self.broadcast, value)
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<Q::Key, Q::State, Q::Out>,
        time: Timestamp,
        domain: TimeDomain,
    ) -> Result<(), UserError> {
        self.function.on_timer(context, &self.broadcast, time, domain)
    }
}
