//! The first records of each edge are encoded and decoded, also where no process lies between its ends.
//!
//! A type whose serde mapping does not read what it writes works until its records cross to another process, and with
//! one process they never do: the job would be wrong at another parallelism, without a word. A subtask tries the first
//! records of each of its outputs, when a batch leaves, and a few after each barrier; otherwise a batch costs one look at
//! a counter.

use crate::batch::Row;
use reflow_types::roundtrip::{self, RoundTripError};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many records of an edge each subtask tries.
const RECORDS: usize = 64;
/// And how many more after each barrier.
const RECORDS_PER_CHECKPOINT: usize = 4;
/// It stops earlier when these had so many bytes.
const BYTES: usize = 1 << 20;

/// Tries a record; returns its encoded length. Does not return if the record does not survive.
type Try<T> = dyn Fn(&T) -> usize + Send;

/// What is left to try of one output, for all of its channels.
pub struct Sample<T> {
    /// Bytes, in shares of a record's.
    left: Arc<AtomicUsize>,
    /// Keys are named by functions of the user, which need not be shared between threads: hence a lock, which is taken
    /// while there is something left to try.
    each: Option<Arc<Mutex<Try<T>>>>,
}

impl<T> Clone for Sample<T> {
    fn clone(&self) -> Self {
        Self { left: self.left.clone(), each: self.each.clone() }
    }
}

impl<T> Sample<T> {
    /// Tries nothing.
    pub fn none() -> Self {
        Self { left: Arc::default(), each: None }
    }

    /// Tries the first records by `each`, which returns a record's encoded length, and does not return if it must not be
    /// sent.
    pub fn first(each: impl Fn(&T) -> usize + Send + 'static) -> Self {
        Self { left: Arc::new(AtomicUsize::new(BYTES)), each: Some(Arc::new(Mutex::new(each))) }
    }

    /// A few records more, with each checkpoint: what comes later may be of another kind.
    pub(crate) fn extend(&self) {
        if self.each.is_some() {
            self.left.fetch_max(RECORDS_PER_CHECKPOINT * (BYTES / RECORDS), Ordering::Relaxed);
        }
    }

    /// Looks at a batch that is about to leave.
    #[inline]
    pub(crate) fn look_at(&self, batch: &[Row<T>]) {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.try_some(batch);
        }
    }

    #[cold]
    fn try_some(&self, batch: &[Row<T>]) {
        let Some(each) = &self.each else { return };
        let each = each.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.left.load(Ordering::Relaxed);
        for row in batch {
            left = left.saturating_sub(each(&row.value).max(BYTES / RECORDS));
            if left == 0 {
                break;
            }
        }
        self.left.store(left, Ordering::Relaxed);
    }
}

/// Encodes and decodes a record as an exchange does. Returns what comes back, and the encoded length.
///
/// # Errors
/// If that is not the same.
pub fn round_trip<T: Serialize + DeserializeOwned>(record: &T) -> Result<(T, usize), RoundTripError> {
    let encode = |record: &T| postcard::to_stdvec(record).map_err(|error| error.to_string());
    roundtrip::check(record, encode, |bytes| {
        let mut reader = postcard::Deserializer::from_bytes(bytes);
        let record = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            RoundTripError::Decode { field: error.path().to_string(), reason: error.into_inner().to_string() }
        })?;
        let rest = reader
            .finalize()
            .map_err(|error| RoundTripError::Decode { field: String::new(), reason: error.to_string() })?;
        Ok((record, rest.len()))
    })
}
