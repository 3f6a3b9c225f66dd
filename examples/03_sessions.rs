//! State and timers in a process function: a session ends when its user has not clicked for 10 seconds of event
//! time.
//!
//! `cargo run --bin sessions -- run --clicks 1000` prints each session's length when it ends.

use reflow::prelude::*;

#[derive(Clone, Data)]
struct Click {
    user: u32,
    time: Timestamp,
}

/// The state of a user while a session is open.
#[derive(Default, Data)]
struct Session {
    clicks: u64,
    first: Timestamp,
    last: Timestamp,
}

const SILENCE_MS: Timestamp = 10_000;

#[derive(Clone)]
struct Sessions;

impl ProcessFunction for Sessions {
    type Key = u32;
    type In = Click;
    type Out = String;
    type State = Session;

    fn process(&mut self, context: &mut impl Context<u32, Session, String>, click: Click) -> JobResult {
        let session = context.state_mut();
        if session.clicks == 0 {
            session.first = click.time;
        }
        session.clicks += 1;
        session.last = session.last.max(click.time);
        let ends = session.last + SILENCE_MS;
        context.register_timer(TimeDomain::Event, ends);
        Ok(())
    }

    /// Every click has registered a timer. Only the timer of the last click finds no later click.
    fn on_timer(
        &mut self,
        context: &mut impl Context<u32, Session, String>,
        time: Timestamp,
        _: TimeDomain,
    ) -> JobResult {
        let Some(session) = context.state().filter(|session| session.last + SILENCE_MS <= time) else {
            return Ok(());
        };
        let (clicks, length_ms) = (session.clicks, session.last - session.first);
        let line = format!("user {}: {clicks} clicks in {} s", context.key(), length_ms / 1000);
        context.clear_state();
        context.emit(line);
        Ok(())
    }
}

#[derive(clap::Args)]
struct Options {
    /// How many clicks there are.
    #[arg(long, default_value_t = 1_000)]
    clicks: u64,
}

fn sessions(env: &mut StreamEnv, options: Options) -> JobResult {
    // 20 users click each second for half a minute, then rest for half a minute.
    let click = |index: u64| {
        let second = index / 20;
        Click { user: (index % 20) as u32, time: ((second / 30 * 60 + second % 30) * 1000) as Timestamp }
    };
    env.source("clicks", Generator::new(click).count(options.clicks))
        .assign_event_time(|click| click.time, Watermarks::monotonic())
        .key_by(|click| click.user)
        .process(Sessions)
        .uid("sessions")
        .sink("print", Print::stdout());
    Ok(())
}

reflow::main!(sessions);
