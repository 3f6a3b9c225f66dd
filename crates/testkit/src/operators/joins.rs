//! The jobs that join two streams: the readings of one value modulo seven with those of another one.

use super::{Reading, Sum, TUMBLING, key, window_line, window_text};
use reflow_api::TimeBound;
use reflow_api::window::{Elements, SessionWindows, TumblingWindows, Window};
use reflow_stream::{BoxedStream, Pipeline, SharedStream, Stream};
use reflow_types::Timestamp;
use std::time::Duration;

/// The gap of sessions.
pub const SESSION_GAP: Duration = Duration::from_millis(20);

/// Whether a reading is in the first stream.
pub fn is_first(reading: &Reading) -> bool {
    reading.value.rem_euclid(7) < 2
}

/// Whether a reading is in the second stream.
pub fn is_second(reading: &Reading) -> bool {
    reading.value.rem_euclid(7) == 2
}

/// A record of the second stream: split and key, time and value.
type Second = ((u64, u64), Timestamp, i64);

/// The second stream, whose records have another type than those of the first.
fn second(shared: &SharedStream<Reading>) -> Stream<impl Pipeline<Out = Second> + use<>> {
    shared.filter(is_second).map(|reading| (reading.own_key(), reading.time, reading.value))
}

/// The reading that two readings make.
fn pair(key: u64, first: &Reading, (_, time, value): &Second) -> Reading {
    Reading { split: 0, key, time: 0, value: product((first.time, first.value), (*time, *value)) }
}

/// What two readings that are joined make, to be added up: another value if any of them is another one.
pub fn product(first: (Timestamp, i64), second: (Timestamp, i64)) -> i64 {
    first.1 * 1_009 + second.1 * 7_919 + first.0 * 31 - second.0 * 17
}

/// The pairs of a window, of which the sums are written, by the time of the pairs.
pub(super) fn window_join(timed: Stream<impl Pipeline<Out = Reading>>) -> BoxedStream<String> {
    let shared = timed.share();
    let second = second(&shared).key_by(|((_, key), _, _)| *key);
    let windows = shared.filter(is_first).key_by(key).connect(second).window(TumblingWindows::of(TUMBLING));
    let pairs = windows.join(|key, _, first, second| pair(*key, first, second));
    let sums = pairs.key_by(key).window(TumblingWindows::of(TUMBLING)).aggregate(Sum);
    sums.map(window_text).boxed()
}

/// The line of a session with records of both streams.
pub fn session_line(key: u64, window: Window, first: i64, second: i64) -> String {
    format!("{}, from {}, {second} of the second", window_line(key, window.end, first), window.start)
}

/// The sums of both streams in their sessions.
pub(super) fn co_group(timed: Stream<impl Pipeline<Out = Reading>>) -> BoxedStream<String> {
    let shared = timed.share();
    let second = second(&shared).key_by(|((_, key), _, _)| *key);
    let first = shared.filter(is_first).key_by(key);
    let sessions = first.connect(second).window(SessionWindows::with_gap(SESSION_GAP));
    let lines = sessions.co_group(|key, window, first: &Elements<Reading>, second: &Elements<_>| {
        let first = first.iter().map(|(_, reading)| reading.value).sum();
        let second = second.iter().map(|(_, (_, _, value))| *value).sum();
        [session_line(*key, window, first, second)]
    });
    lines.boxed()
}

/// A second reading matches a first one if it is at most this much earlier.
pub const BEFORE: Duration = Duration::from_millis(30);
/// A second reading matches a first one if it is less than this later.
pub const AFTER: Duration = Duration::from_millis(20);

/// The pairs of readings whose times are close, of which the sums are written, by the time of the later one.
pub(super) fn interval_join(timed: Stream<impl Pipeline<Out = Reading>>) -> BoxedStream<String> {
    let shared = timed.share();
    let second = second(&shared).key_by(|((_, key), _, _)| *key);
    let joined = shared.filter(is_first).key_by(key).interval_join(second);
    let joined = joined.between(TimeBound::before(BEFORE), TimeBound::after(AFTER).exclusive());
    let pairs = joined.join(|key, first, second| pair(*key, first, second));
    let sums = pairs.key_by(key).window(TumblingWindows::of(TUMBLING)).aggregate(Sum);
    sums.map(window_text).boxed()
}

/// Whether a reading of the second stream is a deletion.
pub fn is_deletion(value: i64) -> bool {
    value % 4 == 0
}

/// The line of a reading of the first stream with its version.
pub fn version_line(first: &Reading, version: Option<(Timestamp, i64)>) -> String {
    format!("{first:?} with {version:?}")
}

/// Each reading of the first stream with the version that is valid at its time.
pub(super) fn temporal_join(timed: Stream<impl Pipeline<Out = Reading>>) -> BoxedStream<String> {
    let shared = timed.share();
    let versions = second(&shared).key_by(|(key, _, _)| *key);
    let joined = shared.filter(is_first).key_by(Reading::own_key).temporal_join(versions);
    let joined = joined.deleted_by(|(_, _, value)| is_deletion(*value));
    let lines = joined.left_join(|_, first, version: Option<&Second>| {
        version_line(first, version.map(|(_, time, value)| (*time, *value)))
    });
    lines.boxed()
}

/// Each reading of the first stream with the latest version, which is not written, because it depends on the order of
/// arrival.
#[inline] // see [`build`](super::Operator::build)
pub(super) fn look_up_join(readings: BoxedStream<Reading>) -> BoxedStream<String> {
    let shared = readings.share();
    let versions = second(&shared).key_by(|(key, _, _)| *key);
    let joined = shared.filter(is_first).key_by(Reading::own_key).temporal_join(versions);
    let lines = joined.in_processing_time().left_join(|_, first, version: Option<&Second>| {
        assert!(version.is_none_or(|(key, _, _)| *key == first.own_key()), "{first:?} with {version:?}");
        super::text(first)
    });
    lines.boxed()
}
