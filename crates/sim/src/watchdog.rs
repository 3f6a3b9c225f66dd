//! Ends the program when a run makes no step for minutes, and says which run it was.
//!
//! Loops in which simulated time passes, or that look at the clock, are found in simulated time. A step of a process
//! that never returns can only be seen from another thread.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a run may take at most, in real time: the longest ones take seconds.
const MOST: Duration = Duration::from_secs(900);

/// Watches one run after the other.
#[derive(Debug, Default)]
pub struct Watchdog {
    /// How many runs have begun, and what repeats the last one.
    run: Arc<(Mutex<(u64, String)>, Condvar)>,
}

/// Starts the thread that watches.
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
    /// A run begins; the last one is over.
    pub fn begin(&self, how_to_repeat: String) {
        let (state, begun) = &*self.run;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0 + 1, how_to_repeat);
        begun.notify_all();
    }

    /// The last run is over, and no other follows.
    pub fn end(self) {
        self.run.0.lock().unwrap_or_else(PoisonError::into_inner).0 = 0;
    }
}
