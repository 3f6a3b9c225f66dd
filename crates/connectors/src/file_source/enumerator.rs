//! The enumerator of a file source, which finds files and divides them into splits.

use super::split::FileSplit;
use crate::ConnectorError;
use bytes::Bytes;
use reflow_api::source::{decode_split, encode_split};
use reflow_api::{Enumerator, EnumeratorContext, UserError};
use reflow_env::{Location, ObjectMeta, StoreOp, StoreReply, StoreResult, Ticket};
use reflow_types::{Data, Instant};
use std::collections::BTreeSet;
use std::time::Duration;

/// The least time between two log lines about failed listings.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Lists files, once or repeatedly.
pub(super) struct FileEnumerator {
    location: Location,
    /// `None`: each file is one split.
    split_size: Option<u64>,
    watch: Option<Duration>,
    /// When it lists the next time.
    due: Option<Instant>,
    /// The listing that is under way.
    listing: Option<Ticket>,
    /// Whether its location has been listed once, before or after a restore.
    listed: bool,
    /// When a failed listing was last logged.
    last_logged: Option<Instant>,
    state: State,
}

/// The files that it has found.
#[derive(Clone, Default, Data)]
struct State {
    /// The names of all files found.
    files: BTreeSet<String>,
    /// The number of their splits.
    splits: u64,
    /// Splits that were found and not yet taken.
    new: Vec<FileSplit>,
    /// Whether a bounded source has found all its files.
    done: bool,
}

impl FileEnumerator {
    pub(super) fn new(location: Location, split_size: Option<u64>, watch: Option<Duration>) -> Self {
        let (due, state) = (Some(Instant::default()), State::default());
        Self { location, split_size, watch, due, listing: None, listed: false, last_logged: None, state }
    }

    /// Whether an object is to be read: no name in its path below the source's location is hidden.
    fn is_read(&self, object: &ObjectMeta) -> bool {
        let below = object.at.0.strip_prefix(self.location.0.trim_end_matches('/'));
        below.is_none_or(|path| !path.split('/').any(|name| name.starts_with(['.', '_'])))
    }

    /// Handles a failed listing. A watching source that has listed its location before continues without new files.
    fn take_failure(&mut self, now: Instant, error: ConnectorError) -> Result<(), UserError> {
        let Some(interval) = self.watch.filter(|_| self.listed) else { return Err(error.into()) };
        self.due = Some(now + interval);
        if self.last_logged.is_none_or(|last| now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(now);
            tracing::warn!("cannot look for new files, trying again: {error}");
        }
        Ok(())
    }

    /// Adds the splits of a file that is not known, the first with the given number.
    fn add(&mut self, file: ObjectMeta, first: u64) {
        if !self.state.files.insert(file.at.0.clone()) {
            return;
        }
        let size = self.split_size.unwrap_or(u64::MAX);
        let (mut start, mut number) = (0, first);
        while start < file.len {
            let end = start.saturating_add(size).min(file.len);
            self.state.new.push(FileSplit::new(number, file.at.clone(), file.len, start, end));
            (start, number) = (end, number + 1);
        }
        self.state.splits = self.state.splits.max(number);
    }

    /// Handles the answer to a listing.
    fn listed(&mut self, now: Instant, listing: StoreResult) -> Result<(), UserError> {
        let at = || self.location.clone();
        let objects = match listing {
            Ok(StoreReply::Objects(objects)) => objects,
            Ok(_) => Vec::new(),
            Err(source) => return self.take_failure(now, ConnectorError::List { at: at(), source }),
        };
        self.listed = true;
        self.due = self.watch.map(|interval| now + interval);
        if self.watch.is_none() {
            if objects.is_empty() {
                return Err(ConnectorError::Missing(at()).into());
            }
            if !objects.iter().any(|object| self.is_read(object)) {
                return Err(ConnectorError::AllIgnored(at()).into());
            }
            self.state.done = true;
        }
        for object in objects {
            if self.is_read(&object) {
                self.add(object, self.state.splits);
            }
        }
        Ok(())
    }
}

impl Enumerator for FileEnumerator {
    fn poll(&mut self, now: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        if let Some(answer) = self.listing.and_then(|listing| context.io().take(listing)) {
            self.listing = None;
            self.listed(now, answer)?;
        }
        if self.listing.is_none() && self.due.is_some_and(|due| due <= now) {
            self.listing = Some(context.io().submit(StoreOp::List { below: self.location.clone() }));
        }
        self.state.new.drain(..).for_each(|split| context.found(&split));
        Ok(self.due.filter(|_| self.listing.is_none()))
    }

    fn is_searching(&self) -> bool {
        self.listing.is_some()
    }

    fn is_done(&self) -> bool {
        self.state.done
    }

    fn snapshot(&self) -> Bytes {
        encode_split(&self.state)
    }

    /// Of a file that was found after the snapshot, the other splits are found again with their numbers, because they may not
    /// have been assigned.
    fn assigned(&mut self, split: &[u8]) -> bool {
        let Ok(split) = decode_split::<FileSplit>(split) else { return false };
        let Some(first) = split.number.checked_sub(split.start() / self.split_size.unwrap_or(u64::MAX))
        else {
            return false;
        };
        let is_new = !self.state.files.contains(&split.file.0);
        self.add(ObjectMeta { at: split.file.clone(), len: split.len }, first);
        let place = self.state.new.iter().position(|new| *new == split);
        place.map(|place| self.state.new.remove(place)).is_some() || !is_new
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
        self.state = decode_split(snapshot)?;
        self.state.done &= self.watch.is_none();
        self.listed = !self.state.files.is_empty();
        self.due = (!self.state.done).then(Instant::default);
        self.listing = None;
        Ok(())
    }
}
