//! State by key: a process function follows the state machine of each address, and reports events that it does not allow.
//!
//! `cargo run --bin state_machine -- run` checks a thousand events, of which a few are out of order. Flink's example
//! StateMachine does the same with events from Kafka.

use reflow::prelude::*;

/// Something that happened at an address.
#[derive(Clone, Copy, Debug, Data)]
struct Event {
    address: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
enum Kind {
    Open,
    Send,
    Close,
}

/// Whether a connection is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Data)]
enum Connection {
    #[default]
    Closed,
    Open,
}

impl Connection {
    /// The next state, if the machine allows the event.
    fn after(self, kind: Kind) -> Option<Self> {
        match (self, kind) {
            (Connection::Closed, Kind::Open) | (Connection::Open, Kind::Send) => Some(Connection::Open),
            (Connection::Open, Kind::Close) => Some(Connection::Closed),
            _ => None,
        }
    }
}

/// Emits an alert for each event that is not allowed. The address then starts anew.
#[derive(Clone)]
struct Check;

impl ProcessFunction for Check {
    type Key = u32;
    type In = Event;
    type Out = String;
    type State = Connection;

    fn process(
        &mut self,
        context: &mut impl Context<u32, Connection, String>,
        event: Event,
    ) -> Result<(), UserError> {
        let connection = *context.state_mut();
        match connection.after(event.kind) {
            Some(Connection::Closed) => context.clear_state(),
            Some(next) => *context.state_mut() = next,
            None => {
                context.emit(format!("address {}: {:?} while {connection:?}", event.address, event.kind));
                context.clear_state();
            }
        }
        Ok(())
    }
}

/// The number of addresses.
const ADDRESSES: u64 = 10;

/// Each address opens, sends twice and closes, over and over; every 97th event is lost.
fn events() -> Vec<Event> {
    const CYCLE: [Kind; 4] = [Kind::Open, Kind::Send, Kind::Send, Kind::Close];
    let all = (0..1_000).map(|number| Event {
        address: (number % ADDRESSES) as u32,
        kind: CYCLE[(number / ADDRESSES) as usize % CYCLE.len()],
    });
    all.enumerate().filter(|(number, _)| number % 97 != 96).map(|(_, event)| event).collect()
}

fn state_machine(env: &mut StreamEnv) -> JobResult {
    env.source("events", Collection::of(events()))
        .key_by(|event| event.address)
        .process(Check)
        .uid("check")
        .sink("alerts", Print::stdout());
    Ok(())
}

reflow::main!(state_machine);
