//! The state of a TaskManager as another thread sees it, which answers probes.

use reflow_types::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The longest time between two turns of the loop of a TaskManager that works, unless heartbeats are rare. It wakes for
/// them, and to register each ten seconds.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// What the TaskManager reports of itself. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Reported>);

#[derive(Debug, Default)]
struct Reported {
    turns: AtomicU64,
    ready: AtomicBool,
}

impl Health {
    /// The loop has handled an input.
    pub(crate) fn report(&self, ready: bool) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether the TaskManager is registered, sees the storage of checkpoints and is not being drained.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// A watch over the loop, which turns for each heartbeat.
    pub fn watch(&self, heartbeat_interval: Duration) -> Watch {
        let stuck_after = STUCK_AFTER.max(heartbeat_interval.saturating_mul(3));
        Watch { health: self.clone(), stuck_after, turns: 0, since: None }
    }
}

/// Notices a loop that does not turn.
#[derive(Debug)]
pub struct Watch {
    health: Health,
    stuck_after: Duration,
    turns: u64,
    /// When this number of turns was first seen.
    since: Option<Instant>,
}

impl Watch {
    /// Whether the loop has turned lately, as far as this watch was asked meanwhile.
    pub fn is_alive(&mut self, now: Instant) -> bool {
        let turns = self.health.0.turns.load(Ordering::Relaxed);
        if turns != self.turns {
            (self.turns, self.since) = (turns, None);
        }
        let since = *self.since.get_or_insert(now);
        now < since + self.stuck_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_is_noticed_and_one_that_was_not_watched_is_not_blamed() {
        let health = Health::default();
        let mut watch = health.watch(Duration::from_secs(1));
        let at = |seconds| Instant(0) + Duration::from_secs(seconds);
        health.report(true);
        assert!(watch.is_alive(at(100)) && watch.is_alive(at(129)) && health.is_ready());
        assert!(!watch.is_alive(at(130)));
        health.report(false);
        assert!(watch.is_alive(at(1000)) && watch.is_alive(at(1029)) && !health.is_ready());
        let mut patient = health.watch(Duration::from_secs(40));
        assert!(patient.is_alive(at(0)) && patient.is_alive(at(119)) && !patient.is_alive(at(120)));
    }
}
