//! Event time and watermarks of streams.

use crate::draft::HeadDraft;
use crate::pipeline::{Pipeline, Then, TimeLink};
use crate::stream::Stream;
use reflow_api::{Alignment, Watermarks};
use reflow_runtime::stages::{EventTime, Extracted, Given, Punctuated};
use reflow_types::Timestamp;

/// A chain that ends by assigning event time.
type Timed<P, F> = Then<P, TimeLink<F>>;

impl<P: Pipeline> Stream<P> {
    /// Extracts each record's event time (milliseconds since the Unix epoch) and generates watermarks. Use it
    /// directly behind the source, where each split has its own watermark.
    ///
    /// # Panics
    /// If the watermarks are [aligned](Watermarks::with_alignment) and the chain has no source.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::Watermarks;
    /// # use reflow_types::Timestamp;
    /// # use std::time::Duration;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let watermarks = Watermarks::bounded_out_of_orderness(Duration::from_secs(5));
    /// let payments = payments.assign_event_time(|payment| payment.1 as Timestamp, watermarks);
    /// # }
    /// ```
    pub fn assign_event_time<F>(self, time: F, watermarks: Watermarks) -> Stream<Timed<P, Extracted<F>>>
    where
        F: Fn(&P::Out) -> Timestamp + Clone + Send + 'static,
    {
        self.timed(Extracted(time), watermarks)
    }

    /// As [`assign_event_time`](Self::assign_event_time), with the timestamps that the source has given to its records.
    ///
    /// # Panics
    /// As there.
    ///
    /// ```
    /// # use reflow_stream::{Pipeline, Stream};
    /// # use reflow_api::Watermarks;
    /// # fn job(payments: Stream<impl Pipeline<Out = (u64, f64)>>) {
    /// let payments = payments.assign_watermarks(Watermarks::monotonic());
    /// # }
    /// ```
    pub fn assign_watermarks(self, watermarks: Watermarks) -> Stream<Timed<P, Given>>
    where
        P::Out: 'static,
    {
        self.timed(Given, watermarks)
    }

    /// As [`assign_event_time`](Self::assign_event_time), with watermarks that some records carry. `watermark` returns that
    /// of a record, given its timestamp: records of the same split with this timestamp or an earlier one that come
    /// later are late. The delay of `watermarks` is subtracted; its idleness applies.
    ///
    /// ```
    /// # use reflow_api::Watermarks;
    /// # use reflow_stream::{Pipeline, Stream};
    /// # struct Reading { time: i64, ends_minute: bool }
    /// fn timed(readings: Stream<impl Pipeline<Out = Reading>>) -> Stream<impl Pipeline<Out = Reading>> {
    ///     readings.assign_punctuated_event_time(
    ///         |reading| reading.time,
    ///         |reading, time| reading.ends_minute.then_some(time),
    ///         Watermarks::monotonic(),
    ///     )
    /// }
    /// ```
    ///
    /// # Panics
    /// As there.
    pub fn assign_punctuated_event_time<F, W>(
        self,
        time: F,
        watermark: W,
        watermarks: Watermarks,
    ) -> Stream<Timed<P, Punctuated<F, W>>>
    where
        F: Fn(&P::Out) -> Timestamp + Clone + Send + 'static,
        W: Fn(&P::Out, Timestamp) -> Option<Timestamp> + Clone + Send + 'static,
    {
        self.timed(Punctuated { time, watermark }, watermarks)
    }

    fn timed<F: EventTime<P::Out>>(self, time: F, watermarks: Watermarks) -> Stream<Timed<P, F>> {
        if let Some(Alignment { group, .. }) = watermarks.alignment() {
            assert!(
                matches!(self.draft.head, HeadDraft::Source(_)),
                "event time cannot be aligned with the group '{group}' behind an exchange, where nothing could be paused: \
                 assign it directly behind the source"
            );
        }
        let place = self.draft.operators.len();
        self.then("event-time", "EventTime", TimeLink { time, watermarks, place })
    }
}
