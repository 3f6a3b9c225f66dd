//! Latency: the markers that a source sends, and what a task learns from those that it reads.
//!
//! A marker queues in front of each task behind the records before it, so when it is read it is as old as they are. It does
//! not wait within a task: the time that records spend in windows, timers and calls under way is not in it.

use reflow_graph::VertexIndex;
use reflow_protocol::control::SourceLatency;
use reflow_protocol::data::LatencyMarker;
use reflow_types::Instant;
use reflow_types::metric::Distribution;
use std::time::Duration;

/// How many latencies of each source are kept: as many as Flink keeps.
const WINDOW: usize = 128;

/// When a source sends markers: at most one in an interval, and only behind records, because without records there is no
/// latency.
pub(super) struct Marking {
    source: VertexIndex,
    /// `None`: never.
    interval: Option<Duration>,
    due: Instant,
    /// The records that the source had emitted when it sent the last marker.
    records: u64,
}

impl Marking {
    pub(super) fn new(source: VertexIndex, interval: Option<Duration>) -> Self {
        Self { source, interval, due: Instant::default(), records: 0 }
    }

    /// The marker to send now, if one is due behind the first `records` records of the source.
    #[inline]
    pub(super) fn next(&mut self, now: Instant, records: u64) -> Option<LatencyMarker> {
        if now < self.due || records == self.records {
            return None;
        }
        self.due = now + self.interval?;
        self.records = records;
        Some(LatencyMarker { source: self.source, sent: now })
    }
}

/// What the markers of each source tell.
#[derive(Default)]
pub(super) struct Latencies(Vec<OfSource>);

struct OfSource {
    source: VertexIndex,
    /// The number of markers.
    count: u64,
    /// The ages of the last ones, in milliseconds.
    latest: Vec<f64>,
}

impl Latencies {
    /// Adds the age of a marker. It is 0 if the clock of the source's machine is ahead by more than that.
    pub(super) fn add(&mut self, now: Instant, marker: LatencyMarker) {
        let at = self.0.iter().position(|of| of.source == marker.source).unwrap_or_else(|| {
            self.0.push(OfSource { source: marker.source, count: 0, latest: Vec::new() });
            self.0.len() - 1
        });
        let of = &mut self.0[at];
        let age_ms = now.since(marker.sent).as_secs_f64() * 1_000.0;
        match of.latest.get_mut(of.count as usize % WINDOW) {
            Some(oldest) => *oldest = age_ms,
            None => of.latest.push(age_ms),
        }
        of.count += 1;
    }

    /// The distribution of the latest latencies of each source.
    pub(super) fn distributions(&self) -> Vec<SourceLatency> {
        let distribution = |of: &OfSource| SourceLatency {
            source: of.source,
            ms: Distribution::of(of.count, &mut of.latest.clone()),
        };
        self.0.iter().map(distribution).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SOURCE: VertexIndex = VertexIndex(0);

    #[test]
    fn a_source_marks_its_records_once_in_an_interval() {
        let mut marking = Marking::new(SOURCE, Some(SECOND));
        let mut sent = |seconds: u64, records| {
            marking.next(Instant::from_millis(seconds * 1_000), records).map(|marker| marker.sent.as_millis())
        };
        assert_eq!(sent(10, 0), None, "there is no record");
        assert_eq!(sent(10, 5), Some(10_000));
        assert_eq!(sent(10, 6), None, "the interval has not passed");
        assert_eq!(sent(11, 6), Some(11_000));
        assert_eq!(sent(20, 6), None, "no record has followed");
        assert_eq!(Marking::new(SOURCE, None).next(Instant::from_millis(1), 1), None);
    }

    #[test]
    fn the_latest_latencies_of_each_source_count() {
        let mut latencies = Latencies::default();
        let now = Instant::from_millis(1_000_000);
        let mut add = |source, age_ms| {
            latencies.add(now, LatencyMarker { source, sent: now - Duration::from_millis(age_ms) });
        };
        (0..1_000).for_each(|_| add(SOURCE, 900));
        (1..=WINDOW as u64).for_each(|age_ms| add(SOURCE, age_ms));
        add(VertexIndex(3), 7);
        let [first, second] = &latencies.distributions()[..] else { panic!("there are two sources") };
        assert_eq!((first.source, first.ms.count), (SOURCE, 1_000 + WINDOW as u64));
        assert_eq!((first.ms.min, first.ms.max), (1.0, 128.0));
        assert_eq!((second.source, second.ms.count, second.ms.max), (VertexIndex(3), 1, 7.0));
    }

    #[test]
    fn a_clock_ahead_gives_no_negative_latency() {
        let mut latencies = Latencies::default();
        let sent = Instant::from_millis(60_000);
        latencies.add(Instant::from_millis(1_000), LatencyMarker { source: SOURCE, sent });
        assert_eq!(latencies.distributions()[0].ms.max, 0.0);
    }
}
