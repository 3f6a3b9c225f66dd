//! A sink that writes files, exactly once.
//!
//! The records of a subtask are written to *parts*: one open part for each bucket, that is, for each directory below
//! that of the sink. A part is *in progress* while records are added, *pending* when it was rolled (closed), and
//! *finished* when the next checkpoint is complete: only then it is moved to its final name. So a listing of the
//! directory contains only whole files, and each record is in exactly one of them.
//!
//! # Parts that are open over checkpoints
//!
//! At a checkpoint, what was written to an open part since the last one is stored as a *piece*, a hidden object. The
//! pieces of the part are part of the checkpoint. After a failure a writer continues the part behind the pieces of the
//! checkpoint; pieces that were stored later are in no part and are removed. When the part is rolled, its pieces and
//! what is still in memory become one hidden object (`StoreOp::Concat`), which is then committed as that of a part
//! without pieces. When there are many pieces, they are joined, so that a part may be open for any number of checkpoints.
//!
//! At a savepoint, which several jobs may restore, at the cut of a live rescale, after which subtasks leave, and at the end
//! of the input, every part is rolled.
//!
//! # Names
//!
//! The name of a hidden object contains the time at which its writer started, the subtask's id and a counter. Ids are
//! never reused within a job, and the time distinguishes jobs that write to the same directory. The name of a finished file
//! has the same numbers as the hidden object that it was.
//!
//! # Failures of storage
//!
//! Up to 8 MiB of a part are in memory until they are stored. If storing them fails, for example because the disk is
//! full, only the checkpoint fails, and the next one tries again. More is uploaded in parts, which are then no longer in
//! memory; if one of them fails, the job restarts from its last checkpoint.
//!
//! Hidden objects of a failed attempt are removed by the next one. A checkpoint records for each subtask how many
//! it had named; objects with higher numbers belong to no checkpoint that can be restored, because their attempt has
//! ended. A listing alone would not suffice, because other jobs may write to the same directory. Marks next to the
//! objects keep those that savepoints name. Two things are not removed: objects of an attempt that never
//! completed a checkpoint, and uploaded parts of a process that was killed, for which object stores have lifecycle
//! rules.

pub mod bucket;
mod part;
pub mod rolling;
mod trace;
mod upload;
mod writer;

#[cfg(feature = "jiff")]
pub use bucket::DateTimeBuckets;
pub use bucket::{BucketAssigner, ByFunction, OneBucket};
#[doc(hidden)]
pub use part::Bounds;
pub use rolling::RollingPolicy;
pub use writer::FileWriter;

use crate::Format;
use reflow_api::sink::WriterContext;
use reflow_api::{Sink, UserError};
use reflow_env::Location;
use std::fmt::Display;
use std::marker::PhantomData;

/// The directory of hidden objects.
const PENDING: &str = ".pending";
/// The default number of buckets that a subtask has open.
const MAX_OPEN_BUCKETS: usize = 1_000;

/// Writes records to files in a directory. A file appears, whole, when it is [rolled](RollingPolicy) and the next
/// checkpoint is complete. Hidden files (`.pending/…`) are not part of the output.
///
/// ```
/// use reflow_connectors::{Csv, FileSink, JsonLines, Lines, RollingPolicy};
///
/// let lines = FileSink::<String, _>::new("/data/words", Lines);
/// let table = FileSink::<(String, u64), _>::new("s3://bucket/counts", Csv::rows());
/// let json = FileSink::<Vec<u8>, _>::new("file:///data/blobs", JsonLines).extension("json");
/// // A directory for each country, and a file with each checkpoint.
/// let by_country = FileSink::new("/data/orders", Csv::with_header())
///     .bucket_by(|order: &(String, u64)| format!("country={}", order.0))
///     .rolling_policy(RollingPolicy::on_checkpoint());
/// ```
#[derive(Debug)]
pub struct FileSink<T, F, B = OneBucket> {
    directory: Location,
    format: F,
    buckets: B,
    policy: RollingPolicy,
    prefix: String,
    extension: Option<String>,
    max_open_buckets: usize,
    bounds: Bounds,
    takes: PhantomData<fn(T)>,
}

impl<T, F: Format<T>> FileSink<T, F> {
    /// Writes below `directory`: an absolute path, or a URL such as `s3://bucket/prefix`. All TaskManagers must
    /// reach it.
    pub fn new(directory: impl Into<String>, format: F) -> Self {
        Self {
            directory: Location(directory.into()),
            format,
            buckets: OneBucket,
            policy: RollingPolicy::on_checkpoint(),
            prefix: "part".to_owned(),
            extension: None,
            max_open_buckets: MAX_OPEN_BUCKETS,
            bounds: Bounds::default(),
            takes: PhantomData,
        }
    }
}

impl<T, F: Format<T>, B> FileSink<T, F, B> {
    /// Sets the extension of the files' names instead of the format's, without the dot. Empty for none.
    #[must_use]
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = Some(extension.into());
        self
    }

    /// Sets the beginning of the files' names instead of `part`.
    ///
    /// ```
    /// use reflow_connectors::{FileSink, Lines};
    ///
    /// let sink: FileSink<String, _> = FileSink::new("/data/words", Lines).prefix("words").max_open_buckets(100);
    /// ```
    ///
    /// # Panics
    /// If it contains a `/` or begins with a dot.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        let prefix = &self.prefix;
        assert!(
            !prefix.contains('/') && !prefix.starts_with('.'),
            "the prefix '{prefix}' of a file sink contains a '/' or begins with a dot: use bucket_by for directories"
        );
        self
    }

    /// Sets when files are closed. By default they are [at each checkpoint](RollingPolicy::on_checkpoint).
    #[must_use]
    pub fn rolling_policy(mut self, policy: RollingPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how many buckets each subtask has open at most, 1,000 by default. When a record needs another one, the file that
    /// was written to least recently is closed.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn max_open_buckets(mut self, buckets: usize) -> Self {
        assert!(buckets > 0, "a file sink needs at least one open bucket");
        self.max_open_buckets = buckets;
        self
    }

    /// Sets what tests set lower.
    #[doc(hidden)]
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Writes each record to the directory below that of the sink that `bucket` names, such as `country=de/city=7`.
    #[must_use]
    pub fn bucket_by<D, G>(self, bucket: G) -> FileSink<T, F, ByFunction<G>>
    where
        D: Display,
        G: Fn(&T) -> D + Clone + Send + 'static,
    {
        self.bucket_assigner(ByFunction(bucket))
    }

    /// Writes each record to a directory that is named by the date and time of its event time in a time zone, as
    /// [`DateTimeBuckets::new`] formats it.
    ///
    /// ```
    /// use reflow_connectors::{FileSink, Lines};
    ///
    /// let by_hour = FileSink::<String, _>::new("/data/words", Lines).bucket_by_time("%Y-%m-%d/%H", "Europe/Berlin");
    /// ```
    ///
    /// # Panics
    /// If the format is wrong or there is no such time zone.
    #[cfg(feature = "jiff")]
    #[must_use]
    pub fn bucket_by_time(self, format: &str, zone: &str) -> FileSink<T, F, DateTimeBuckets> {
        self.bucket_assigner(DateTimeBuckets::new(format, zone))
    }

    /// Writes each record to the directory that an assigner names.
    ///
    /// ```
    /// use reflow_connectors::{FileSink, Lines, file_sink::DateTimeBuckets};
    ///
    /// let days = DateTimeBuckets::new("%Y-%m-%d", "UTC");
    /// let words = FileSink::<String, _>::new("/data/words", Lines).bucket_assigner(days);
    /// ```
    #[must_use]
    pub fn bucket_assigner<C: BucketAssigner<T>>(self, buckets: C) -> FileSink<T, F, C> {
        FileSink {
            directory: self.directory,
            format: self.format,
            buckets,
            policy: self.policy,
            prefix: self.prefix,
            extension: self.extension,
            max_open_buckets: self.max_open_buckets,
            bounds: self.bounds,
            takes: PhantomData,
        }
    }
}

impl<T, F: Clone, B: Clone> Clone for FileSink<T, F, B> {
    fn clone(&self) -> Self {
        Self {
            directory: self.directory.clone(),
            format: self.format.clone(),
            buckets: self.buckets.clone(),
            policy: self.policy,
            prefix: self.prefix.clone(),
            extension: self.extension.clone(),
            max_open_buckets: self.max_open_buckets,
            bounds: self.bounds,
            takes: PhantomData,
        }
    }
}

impl<T: 'static, F: Format<T>, B: BucketAssigner<T>> Sink for FileSink<T, F, B> {
    type Item = T;
    type Writer = FileWriter<T, F, B>;

    fn writer(&self, context: &WriterContext) -> Result<FileWriter<T, F, B>, UserError> {
        Ok(FileWriter::new(self, context))
    }
}

#[cfg(test)]
mod tests;
