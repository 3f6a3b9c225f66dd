//! The splits of a Kafka source, which are partitions.

use reflow_types::Data;

/// A partition, and the offset of its next record.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct KafkaSplit {
    /// Differs between the splits of a source.
    pub(super) number: u64,
    pub(super) topic: String,
    /// The topic's id, by which a topic that was deleted and made anew is told apart.
    pub(super) topic_id: u128,
    pub(super) partition: i32,
    pub(super) next: i64,
    /// The offset behind the last record, if the input is bounded.
    pub(super) stop: Option<i64>,
}

impl KafkaSplit {
    /// Whether it has been read up to its end.
    pub(super) fn is_read(&self) -> bool {
        self.stop.is_some_and(|stop| self.next >= stop)
    }
}
