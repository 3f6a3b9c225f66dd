//! The watchdog, which ends the program and names the run if a run does not end.
//!
//! Loops in which simulated time passes, or that read the clock, are detected in simulated time. A step of a
//! process that never returns can only be detected from another thread.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The longest real time of a run. Even the longest runs take only seconds.
const MOST: Duration = Duration::from_secs(900);

/// Watches runs, one after the other.
#[derive(Debug, Default)]
pub struct Watchdog {
    /// The number of runs that have begun, and the command that repeats the last one.
    run: Arc<(Mutex<(u64, String)>, Condvar)>,
}

/// Starts the thread of the watchdog.
pub fn start() -> Watchdog {
    let watchdog = Watchdog::default();
    let run = watchdog.run.clone();
    std::thread::spawn(move || {
        let (state, begun) = &*run;
        let mut at_hand = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let number = at_hand.0;
            let same = |state: &mut (u64, String)| state.0 == number;
            let waited = begun.wait_timeout_while(at_hand, MOST, same);
            let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() && state.0 > 0 {
                eprintln!("{}: the run hangs: it has not ended after {MOST:?}", state.1);
                std::process::exit(1);
            }
            at_hand = state;
        }
    });
    watchdog
}

impl Watchdog {
    /// A run begins, so the previous one has ended.
    pub fn begin(&self, how_to_repeat: String) {
        let (state, begun) = &*self.run;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0 + 1, how_to_repeat);
        begun.notify_all();
    }

    /// The last run has ended.
    pub fn end(self) {
        self.run.0.lock().unwrap_or_else(PoisonError::into_inner).0 = 0;
    }
}
