//! When files are closed.

use reflow_types::Instant;
use std::time::Duration;

/// Decides when the file of a bucket is closed (rolled). It appears when the next checkpoint is complete.
///
/// A [`FileSink`](super::FileSink) without a policy closes its files [at each checkpoint](Self::on_checkpoint).
///
/// `RollingPolicy::default()` is Flink's `DefaultRollingPolicy`: a file stays open over checkpoints until it has 128 MiB, or was opened
/// 60 s ago, or nothing was written to it for 60 s. A file that has got half of its size since the last checkpoint is
/// closed with the checkpoint, because keeping it open would only mean to write it twice.
///
/// Whatever the policy, files are closed at savepoints and at the end of the input, and a live rescale closes those of
/// subtasks that it removes.
///
/// ```
/// use reflow_connectors::RollingPolicy;
/// use std::time::Duration;
///
/// let hourly = RollingPolicy::default()
///     .max_part_size(1 << 30)
///     .rollover_interval(Duration::from_secs(3_600))
///     .inactivity_interval(Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollingPolicy {
    max_part_size: u64,
    rollover_interval: Duration,
    inactivity_interval: Duration,
    at_checkpoint: AtCheckpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtCheckpoint {
    StayOpen,
    Roll,
}

impl Default for RollingPolicy {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            max_part_size: 128 << 20,
            rollover_interval: minute,
            inactivity_interval: minute,
            at_checkpoint: AtCheckpoint::StayOpen,
        }
    }
}

impl RollingPolicy {
    /// Closes every file at each checkpoint, so that records appear as soon as possible: with each checkpoint there is a
    /// file for each subtask and bucket that has records. As Flink's `OnCheckpointRollingPolicy`, it has no other limits
    /// unless they are set.
    ///
    /// ```
    /// let policy = reflow_connectors::RollingPolicy::on_checkpoint();
    /// ```
    #[must_use]
    pub fn on_checkpoint() -> Self {
        Self {
            max_part_size: u64::MAX,
            rollover_interval: Duration::MAX,
            inactivity_interval: Duration::MAX,
            at_checkpoint: AtCheckpoint::Roll,
        }
    }

    /// Closes a file when it has this many bytes; it exceeds that by at most one record.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn max_part_size(self, bytes: u64) -> Self {
        assert!(bytes > 0, "a part of a file sink has at least one byte");
        Self { max_part_size: bytes, ..self }
    }

    /// Closes a file this long after its first record.
    #[must_use]
    pub fn rollover_interval(self, interval: Duration) -> Self {
        Self { rollover_interval: interval, ..self }
    }

    /// Closes a file when nothing was written to it for this long.
    #[must_use]
    pub fn inactivity_interval(self, interval: Duration) -> Self {
        Self { inactivity_interval: interval, ..self }
    }

    pub(super) fn is_large(&self, bytes: u64) -> bool {
        bytes >= self.max_part_size
    }

    /// Whether a part is closed at a checkpoint, of which so many bytes were written since the last one.
    pub(super) fn rolls_at_checkpoint(&self, bytes: u64) -> bool {
        self.at_checkpoint == AtCheckpoint::Roll || bytes >= (self.max_part_size / 2).max(1)
    }

    /// When a part is closed.
    pub(super) fn due(&self, opened: Instant, written: Instant) -> Instant {
        (opened + self.rollover_interval).min(written + self.inactivity_interval)
    }
}
