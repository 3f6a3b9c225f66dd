//! Maps errors of `object_store` to [`StoreError`].

use crate::store::{Location, StoreError};
use std::error::Error;

/// The request on `at` failed with `error`.
pub(super) fn store_error(at: &Location, error: &object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::NotFound(at.clone()),
        object_store::Error::AlreadyExists { .. } => StoreError::AlreadyExists(at.clone()),
        other => failed(at, system_words(other)),
    }
}

/// The request on `at` failed for `reason`.
pub(super) fn failed(at: &Location, reason: impl Into<String>) -> StoreError {
    StoreError::Failed { at: at.clone(), reason: reason.into() }
}

/// The operating system's error, if there is one, or else the store's.
fn system_words(error: &object_store::Error) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    loop {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && io.raw_os_error().is_some()
        {
            return io.to_string();
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => return error.to_string(),
        }
    }
}
