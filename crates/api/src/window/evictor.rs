//! What is dropped from a window before its result is computed.

use super::Elements;
use std::time::Duration;

/// Drops elements from a window when it fires, before its function runs.
pub trait Evictor<T>: Clone + Send + 'static {
    /// Drops from `elements`.
    fn evict(&self, elements: &mut Elements<T>);
}

/// Keeps what is less than some time older than the newest element.
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
    fn evict(&self, elements: &mut Elements<T>) {
        if let Some(newest) = elements.newest() {
            elements.drop_until(newest.saturating_sub(self.keep_ms));
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
    fn evict(&self, elements: &mut Elements<T>) {
        elements.drop_first(elements.len().saturating_sub(self.keep));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(evictor: impl Evictor<char>, elements: &[(i64, char)]) -> String {
        let mut window = Elements::default();
        elements.iter().for_each(|&(time, element)| window.push(time, element));
        evictor.evict(&mut window);
        window.iter().map(|(_, element)| *element).collect()
    }

    #[test]
    fn evictors_keep_what_they_say() {
        let in_order = [(1, 'a'), (3, 'b'), (12, 'c'), (13, 'd')];
        let mixed = [(1, 'a'), (12, 'b'), (3, 'c'), (13, 'd')];
        let ten_ms = TimeEvictor::keep_last(Duration::from_millis(10));
        assert_eq!(kept(ten_ms, &in_order), "cd");
        assert_eq!(kept(ten_ms, &mixed), "bd");
        assert_eq!(kept(ten_ms, &[]), "");
        assert_eq!(kept(CountEvictor::keep_last(3), &mixed), "bcd");
        assert_eq!(kept(CountEvictor::keep_last(9), &mixed), "abcd");
    }
}
