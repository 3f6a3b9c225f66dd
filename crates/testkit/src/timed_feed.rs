//! A stream whose records, timestamps and watermarks the test gives.

use crate::Feed;
use reflow_api::Watermarks;
use reflow_stream::{Pipeline, Stream, StreamEnv};
use reflow_types::Timestamp;

/// A stream with event time: the test gives each record its timestamp, and says when the watermark advances. Clones are
/// the same stream.
///
/// ```
/// use reflow_testkit::{Collect, Harness, TimedFeed};
/// # use reflow_api::window::TumblingWindows;
/// # use std::time::Duration;
/// let (amounts, out) = (TimedFeed::new(), Collect::new("out"));
/// let mut job = Harness::new(|env| {
///     let keyed = amounts.stream(env, "amounts").key_by(|_: &u64| 0);
///     let windows = keyed.window(TumblingWindows::of(Duration::from_secs(1)));
///     windows.reduce(|a, b| a + b).map(|sum| sum.value).sink("sums", out.clone());
/// });
/// job.start(1);
/// amounts.push(5, 100);
/// amounts.push(6, 900);
/// amounts.watermark(999);
/// job.settle();
/// assert_eq!(out.written(), [(11, 999)]);
/// amounts.push(7, 1_500);
/// amounts.end();
/// assert!(job.finish());
/// assert_eq!(out.written(), [(7, 1_999)]);
/// ```
pub struct TimedFeed<T>(Feed<Element<T>>);

#[derive(Clone)]
enum Element<T> {
    Record(T, Timestamp),
    Watermark(Timestamp),
}

impl<T> Element<T> {
    fn timestamp(&self) -> Timestamp {
        match self {
            Self::Record(_, time) | Self::Watermark(time) => *time,
        }
    }

    fn watermark(&self) -> Option<Timestamp> {
        match self {
            Self::Record(..) => None,
            Self::Watermark(time) => Some(*time),
        }
    }

    fn record(self) -> Option<T> {
        match self {
            Self::Record(record, _) => Some(record),
            Self::Watermark(_) => None,
        }
    }
}

impl<T> Clone for TimedFeed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for TimedFeed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TimedFeed<T> {
    /// An empty stream, which one subtask reads.
    pub fn new() -> Self {
        Self(Feed::new(1))
    }

    /// Appends a record with its event time in milliseconds since the Unix epoch; any, if no operator uses it.
    pub fn push(&self, record: T, time: Timestamp) {
        self.0.push(0, [Element::Record(record, time)]);
    }

    /// Advances the watermark: records with this timestamp or an earlier one that come later are late.
    pub fn watermark(&self, time: Timestamp) {
        self.0.push(0, [Element::Watermark(time)]);
    }

    /// Ends the stream, and with it event time.
    pub fn end(&self) {
        self.0.end();
    }
}

impl<T: Clone + Send + 'static> TimedFeed<T> {
    /// The stream, for the job function.
    pub fn stream(&self, env: &mut StreamEnv, name: &str) -> Stream<impl Pipeline<Out = T> + use<T>> {
        env.source(name, self.0.clone())
            .assign_punctuated_event_time(
                Element::timestamp,
                |element, _| element.watermark(),
                Watermarks::monotonic(),
            )
            .filter_map(Element::record)
    }
}
