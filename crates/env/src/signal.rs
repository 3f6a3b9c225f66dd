//! A flag that one thread sets and another waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A signal that wakes a thread. Raising it several times before it is taken counts once. It is not lost if it is
/// raised before the wait. Clones are the same signal.
#[derive(Clone, Default)]
pub struct Signal(Arc<Inner>);

#[derive(Default)]
struct Inner {
    raised: AtomicBool,
    lock: Mutex<()>,
    waiting: Condvar,
}

impl Signal {
    /// Raises the signal. Cheap if it is raised already.
    pub fn raise(&self) {
        if !self.0.raised.swap(true, Ordering::AcqRel) {
            drop(self.0.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.0.waiting.notify_one();
        }
    }

    /// Lowers the signal and returns whether it was raised.
    pub fn take(&self) -> bool {
        self.0.raised.load(Ordering::Relaxed) && self.0.raised.swap(false, Ordering::AcqRel)
    }

    /// Waits until the signal is raised or `timeout` has passed, and lowers it. Returns whether it was raised.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        if self.take() {
            return true;
        }
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lowered = |(): &mut ()| !self.0.raised.load(Ordering::Acquire);
        match timeout {
            Some(timeout) => drop(self.0.waiting.wait_timeout_while(guard, timeout, lowered)),
            None => drop(self.0.waiting.wait_while(guard, lowered)),
        }
        self.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_before_the_wait_is_not_lost() {
        let signal = Signal::default();
        signal.raise();
        signal.raise();
        assert!(signal.wait(None));
        assert!(!signal.wait(Some(Duration::ZERO)));
    }

    #[test]
    fn a_raise_wakes_the_waiter() {
        let signal = Signal::default();
        let raiser = signal.clone();
        let thread = std::thread::spawn(move || raiser.raise());
        assert!(signal.wait(None));
        thread.join().unwrap();
    }
}
