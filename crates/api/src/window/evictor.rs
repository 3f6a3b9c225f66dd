//! What is dropped from a window before its result is computed.

use reflow_types::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// Drops elements from a window when it fires, before its function runs.
pub trait Evictor<T>: Clone + Send + 'static {
    /// Drops from `elements`, which are in the order in which they came.
    fn evict(&self, elements: &mut VecDeque<(Timestamp, T)>);
}

/// Keeps what is at most some time older than the newest element.
#[derive(Clone, Copy, Debug)]
pub struct TimeEvictor {
    keep_ms: i64,
}

impl TimeEvictor {
    /// Keeps the last `duration` of event time.
    pub fn keep_last(duration: Duration) -> Self {
        Self { keep_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX) }
    }
}

impl<T> Evictor<T> for TimeEvictor {
    fn evict(&self, elements: &mut VecDeque<(Timestamp, T)>) {
        let Some(newest) = elements.iter().map(|(time, _)| *time).max() else { return };
        let cutoff = newest.saturating_sub(self.keep_ms);
        // Mostly in order: what is too old stands in front.
        while elements.front().is_some_and(|(time, _)| *time <= cutoff) {
            elements.pop_front();
        }
        if elements.iter().any(|(time, _)| *time <= cutoff) {
            elements.retain(|(time, _)| *time > cutoff);
        }
    }
}

/// Keeps the last `n` elements.
#[derive(Clone, Copy, Debug)]
pub struct CountEvictor {
    keep: usize,
}

impl CountEvictor {
    /// Keeps the last `n`.
    pub fn keep_last(n: usize) -> Self {
        Self { keep: n }
    }
}

impl<T> Evictor<T> for CountEvictor {
    fn evict(&self, elements: &mut VecDeque<(Timestamp, T)>) {
        elements.drain(..elements.len().saturating_sub(self.keep));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evictors_keep_what_they_say() {
        let elements = || VecDeque::from([(1, 'a'), (12, 'b'), (3, 'c'), (13, 'd')]);
        let mut kept = elements();
        TimeEvictor::keep_last(Duration::from_millis(10)).evict(&mut kept);
        assert_eq!(kept, [(12, 'b'), (13, 'd')]);
        let mut kept = elements();
        CountEvictor::keep_last(3).evict(&mut kept);
        assert_eq!(kept, [(12, 'b'), (3, 'c'), (13, 'd')]);
    }
}
