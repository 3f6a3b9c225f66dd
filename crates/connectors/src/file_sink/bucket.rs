//! Buckets: the directories below that of a file sink to which records go.

use reflow_api::UserError;
use reflow_types::Timestamp;
use std::fmt::{Display, Write};

/// The longest name of a bucket, in bytes.
const MAX_NAME_BYTES: usize = 512;

/// Names the bucket of each record: a relative path such as `2026-03-29/14`, below the directory of the sink.
///
/// ```
/// use reflow_connectors::{BucketAssigner, FileSink, Lines};
/// use reflow_api::UserError;
///
/// /// A directory for each first letter.
/// #[derive(Clone)]
/// struct ByLetter;
///
/// impl BucketAssigner<String> for ByLetter {
///     fn assign(&mut self, word: &String, _: i64, bucket: &mut String) -> Result<(), UserError> {
///         bucket.extend(word.chars().next());
///         Ok(())
///     }
/// }
///
/// let words = FileSink::new("/data/words", Lines).bucket_assigner(ByLetter);
/// ```
pub trait BucketAssigner<T>: Clone + Send + 'static {
    /// Writes the name of the record's bucket to `bucket`, which is empty. An empty name is the directory of the sink.
    /// `time` is the record's event time.
    ///
    /// # Errors
    /// If the record has no bucket.
    fn assign(&mut self, record: &T, time: Timestamp, bucket: &mut String) -> Result<(), UserError>;
}

/// All records go to the directory of the sink: what a [`FileSink`](super::FileSink) has if nothing else is said.
///
/// ```
/// use reflow_connectors::{FileSink, Lines, file_sink::OneBucket};
///
/// let sink: FileSink<String, Lines, OneBucket> = FileSink::new("/data/words", Lines);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OneBucket;

impl<T> BucketAssigner<T> for OneBucket {
    #[inline]
    fn assign(&mut self, _: &T, _: Timestamp, _: &mut String) -> Result<(), UserError> {
        Ok(())
    }
}

/// Buckets that a function names; see [`FileSink::bucket_by`](super::FileSink::bucket_by).
///
/// ```
/// use reflow_connectors::{FileSink, Lines, file_sink::ByFunction};
///
/// /// A function that returns such a sink can name its type.
/// fn by_length() -> FileSink<String, Lines, ByFunction<fn(&String) -> usize>> {
///     FileSink::new("/data/words", Lines).bucket_by(|word: &String| word.len())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ByFunction<G>(pub(super) G);

impl<T, D, G> BucketAssigner<T> for ByFunction<G>
where
    D: Display,
    G: Fn(&T) -> D + Clone + Send + 'static,
{
    #[inline]
    fn assign(&mut self, record: &T, _: Timestamp, bucket: &mut String) -> Result<(), UserError> {
        write!(bucket, "{}", (self.0)(record))?;
        Ok(())
    }
}

/// A bucket for each date and time of the records' event time, formatted in a time zone.
///
/// ```
/// use reflow_connectors::file_sink::{BucketAssigner, DateTimeBuckets};
///
/// let mut buckets = DateTimeBuckets::new("%Y-%m-%d--%H", "Europe/Berlin");
/// let mut name = String::new();
/// buckets.assign(&"a word", 0, &mut name)?;
/// assert_eq!(name, "1970-01-01--01");
/// # Ok::<(), reflow_api::UserError>(())
/// ```
#[cfg(feature = "jiff")]
#[derive(Clone, Debug)]
pub struct DateTimeBuckets {
    format: String,
    zone: jiff::tz::TimeZone,
    /// The bucket of the last second, which is most often that of the next record, too.
    last: (i64, String),
}

#[cfg(feature = "jiff")]
impl DateTimeBuckets {
    /// `format` is one of `strftime`: `%Y-%m-%d--%H` is Flink's default. `zone` is a time zone of the IANA database, such as
    /// `UTC` or `Europe/Berlin`; its rules are part of the job's executable. A bucket has at least the records of one second.
    ///
    /// # Panics
    /// If the format is wrong or there is no such time zone.
    pub fn new(format: &str, zone: &str) -> Self {
        let found = jiff::tz::TimeZoneDatabase::bundled().get(zone);
        let zone = found.unwrap_or_else(|_| {
            panic!("there is no time zone '{zone}': use a name of the IANA database, such as Europe/Berlin or UTC")
        });
        let mut buckets = Self { format: format.to_owned(), zone, last: (i64::MIN, String::new()) };
        if let Err(error) = buckets.enter(0).and_then(|()| Ok(check(&buckets.last.1)?)) {
            panic!("the format '{format}' of a file sink's buckets is wrong: {error}");
        }
        buckets
    }

    #[cold]
    fn enter(&mut self, second: i64) -> Result<(), UserError> {
        let time = jiff::Timestamp::from_second(second)?.to_zoned(self.zone.clone());
        let mut bucket = String::new();
        jiff::fmt::strtime::BrokenDownTime::from(&time).format(&self.format, &mut bucket)?;
        self.last = (second, bucket);
        Ok(())
    }
}

#[cfg(feature = "jiff")]
impl<T> BucketAssigner<T> for DateTimeBuckets {
    #[inline]
    fn assign(&mut self, _: &T, time: Timestamp, bucket: &mut String) -> Result<(), UserError> {
        if time == reflow_types::NO_TIMESTAMP {
            return Err("the record has no event time, which names its bucket: add assign_event_time".into());
        }
        let second = time.div_euclid(1_000);
        if second != self.last.0 {
            self.enter(second)?;
        }
        bucket.push_str(&self.last.1);
        Ok(())
    }
}

/// The name of a bucket cannot be that of a directory.
#[derive(Debug, thiserror::Error)]
#[error("'{name}' cannot be the name of a bucket, because {reason}")]
pub(super) struct BucketError {
    name: String,
    reason: &'static str,
}

/// Checks that a name is a path below the directory of the sink.
pub(super) fn check(name: &str) -> Result<(), BucketError> {
    let wrong = |part: &str| {
        if part.is_empty() {
            Some("it has an empty part: a path has the form a/b")
        } else if part.starts_with('.') {
            Some("a part of it begins with a dot, as those of hidden files do")
        } else if part.rsplit_once('#').is_some_and(|(_, end)| end.bytes().all(|byte| byte.is_ascii_digit()))
        {
            Some("a part of it ends in '#' and digits, as the name of a file does that is being written")
        } else {
            None
        }
    };
    let reason = if name.len() > MAX_NAME_BYTES {
        Some("it is longer than 512 bytes")
    } else if name.chars().any(char::is_control) {
        Some("it has control characters")
    } else if name.is_empty() {
        None
    } else {
        name.split('/').find_map(wrong)
    };
    match reason {
        Some(reason) => Err(BucketError { name: name.chars().take(100).collect(), reason }),
        None => Ok(()),
    }
}
