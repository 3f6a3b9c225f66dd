//! Pauses of a process, during which it could not hear of others.

use reflow_types::Instant;
use std::time::Duration;

/// How late an input may be before the process counts as paused.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Notices that a process was paused (SIGSTOP, a suspended machine), had no processor, or took long for one input.
///
/// Others may have been paused as well, or their messages wait to be read: such a time counts for none of their
/// deadlines. *Rejected:* reading all sockets first. When a whole machine was suspended, nothing waits in them, and all
/// its processes would take each other for lost.
#[derive(Debug, Default)]
pub struct Pauses {
    last_input: Option<Instant>,
}

impl Pauses {
    /// An input arrives. The process wakes up at least each `interval`. Returns how long it was paused, if it was.
    pub fn on_input(&mut self, now: Instant, interval: Duration) -> Option<Duration> {
        let late = now.since(self.last_input.replace(now)?).saturating_sub(interval);
        (late >= TOLERANCE).then_some(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_without_inputs_is_a_pause() {
        let mut pauses = Pauses::default();
        let second = Duration::from_secs(1);
        let mut on_input =
            |at_ms| pauses.on_input(Instant::from_millis(at_ms), second).map(|pause| pause.as_millis());
        let inputs = [1_000_000, 1_001_000, 1_002_900, 1_063_900, 1_063_901];
        assert_eq!(inputs.map(&mut on_input), [None, None, None, Some(60_000), None]);
    }
}
