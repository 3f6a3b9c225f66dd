//! A job with its tests: a door that stays open for half a minute gives an alert.
//!
//! `cargo run --bin open_doors -- run` prints the alerts; `cargo test --bin open_doors` runs the tests, one step by step
//! and one on simulated clusters whose processes are killed and rescaled.

use reflow::Pipeline;
use reflow::prelude::*;

#[derive(Clone, Debug, Data)]
struct Event {
    door: u32,
    open: bool,
    time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Data)]
struct Alert {
    door: u32,
    opened: Timestamp,
}

const MOST_MS: Timestamp = 30_000;

/// Its state is the time at which the door was opened, while it is open.
#[derive(Clone)]
struct OpenDoors;

impl ProcessFunction for OpenDoors {
    type Key = u32;
    type In = Event;
    type Out = Alert;
    type State = Timestamp;

    fn process(&mut self, context: &mut impl Context<u32, Timestamp, Alert>, event: Event) -> JobResult {
        match (context.state().copied(), event.open) {
            (None, true) => {
                *context.state_mut() = event.time;
                context.register_timer(TimeDomain::Event, event.time + MOST_MS);
            }
            (Some(opened), false) => {
                context.delete_timer(TimeDomain::Event, opened + MOST_MS);
                context.clear_state();
            }
            _ => {}
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u32, Timestamp, Alert>,
        time: Timestamp,
        _: TimeDomain,
    ) -> JobResult {
        let door = *context.key();
        context.emit(Alert { door, opened: time - MOST_MS });
        Ok(())
    }
}

/// The part of the job between its source and its sink, which the tests run.
fn alerts(events: Stream<impl Pipeline<Out = Event>>) -> Stream<impl Pipeline<Out = Alert>> {
    events.key_by(|event| event.door).process(OpenDoors).uid("open-doors")
}

fn open_doors(env: &mut StreamEnv) -> JobResult {
    // 20 doors in turn; one of them is forgotten now and then.
    let event = |index: u64| {
        let (door, use_) = ((index % 20) as u32, index / 20);
        Event { door, open: use_ % 7 != 1, time: (index * 1_000) as Timestamp }
    };
    let events = env.source("events", Generator::new(event).count(2_000));
    let events = events.assign_event_time(|event| event.time, Watermarks::monotonic());
    let lines = alerts(events).map(|Alert { door, opened }| format!("door {door} is open since {opened} ms"));
    lines.sink("alerts", Print::stdout());
    Ok(())
}

reflow::main!(open_doors);

#[cfg(test)]
#[path = "open_doors/tests.rs"]
mod tests;
