//! A budget of file descriptors.
//!
//! Connections that others open are limited to well below the process's limit, so that files, storage and the job's own
//! connections can always be opened.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of descriptors as far as the system lets this process. Child processes inherit it.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::debug!("the limit of file descriptors stays at {:?}: {error}", limit.current);
    }
}

/// The number of descriptors that this process may have.
#[must_use]
pub fn descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
