//! The writer of one subtask.

use super::bucket::{BucketAssigner, check};
use super::part::{Garbage, Last, Objects, Part, State};
use super::rolling::RollingPolicy;
use super::trace::{KEPT, Trace, left_behind};
use super::{FileSink, PENDING};
use crate::{ConnectorError, Format};
use bytes::Bytes;
use reflow_api::sink::{Barrier, FollowedBy, OpenOutput, Owner, WriterContext, WriterOutput};
use reflow_api::{Transaction, UserError, Writer};
use reflow_env::{Location, PutMode, Request, StoreOp, StoreReply, Ticket};
use reflow_types::{Data, Instant, Timestamp, data};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

/// Parts of uploads that may be under way. Beyond that the writer accepts no more records.
const MAX_UPLOAD_PARTS: usize = 4;

/// The move of a file from its hidden to its final name.
#[derive(Debug, PartialEq, Eq, Data)]
pub(super) struct Move {
    pub(super) from: Location,
    pub(super) to: Location,
}

/// Writes one subtask's files.
#[doc(hidden)]
pub struct FileWriter<T, F, B> {
    format: F,
    buckets: B,
    policy: RollingPolicy,
    /// The beginning and the end of the names of finished files.
    names: (String, String),
    max_open_buckets: usize,
    objects: Objects,
    /// The parts in progress, one for each bucket, and their positions by bucket.
    parts: Vec<Part<F>>,
    positions: BTreeMap<String, usize>,
    /// The position of the part to which the last record was written, and how often another one was chosen.
    current: usize,
    chosen: u64,
    /// The bucket of the record that is being written.
    bucket: String,
    /// The bytes of all parts that are in memory.
    buffered: usize,
    now: Instant,
    /// No part is due before.
    next_due: Option<Instant>,
    /// What the runtime has not taken yet.
    output: WriterOutput,
    garbage: Garbage,
    /// The listing of the hidden objects, by which those of former attempts are removed.
    listing: Option<Ticket>,
    /// Whether the log says that buckets are closed early.
    warned: bool,
    takes: PhantomData<fn(T)>,
}

impl<T, F: Format<T>, B: BucketAssigner<T>> FileWriter<T, F, B> {
    pub(super) fn new(sink: &FileSink<T, F, B>, context: &WriterContext) -> Self {
        let extension = sink.extension.as_deref().unwrap_or(sink.format.extension());
        let suffix = if extension.is_empty() { String::new() } else { format!(".{extension}") };
        let numbers = format!("{:x}-{}", context.opened.0, context.subtask);
        Self {
            format: sink.format.clone(),
            buckets: sink.buckets.clone(),
            policy: sink.policy,
            names: (format!("{}-{numbers}", sink.prefix), suffix),
            max_open_buckets: sink.max_open_buckets,
            objects: Objects {
                directory: sink.directory.clone(),
                writer: format!("part-{numbers}").into(),
                named: 0,
                io: context.io.clone(),
                bounds: sink.bounds,
                uploads: 0,
            },
            parts: Vec::new(),
            positions: BTreeMap::new(),
            current: 0,
            chosen: 0,
            bucket: String::new(),
            buffered: 0,
            now: context.opened,
            next_due: None,
            output: WriterOutput::default(),
            garbage: Garbage::default(),
            listing: None,
            warned: false,
            takes: PhantomData,
        }
    }

    /// The position of the part of the record's bucket.
    #[inline]
    fn part(&mut self) -> Result<usize, UserError> {
        match self.parts.get(self.current) {
            Some(part) if part.bucket == self.bucket => Ok(self.current),
            _ => self.choose(),
        }
    }

    fn choose(&mut self) -> Result<usize, UserError> {
        let at = match self.positions.get(&self.bucket) {
            Some(at) => *at,
            None => {
                check(&self.bucket)?;
                if self.parts.len() >= self.max_open_buckets {
                    self.close_least_recent()?;
                }
                let mut format = self.format.clone();
                format.begin_file();
                self.open(Part::new(self.bucket.clone(), format, self.now))
            }
        };
        self.chosen += 1;
        self.parts[at].used = self.chosen;
        self.current = at;
        Ok(at)
    }

    fn open(&mut self, part: Part<F>) -> usize {
        let due = self.policy.due(part.opened, part.written);
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        self.positions.insert(part.bucket.clone(), self.parts.len());
        self.parts.push(part);
        self.parts.len() - 1
    }

    fn close_least_recent(&mut self) -> Result<(), UserError> {
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                "more than {} buckets below {} are written to at the same time, so their files are closed early and are \
                 small; send the records of a bucket to one subtask by key_by, or set max_open_buckets",
                self.max_open_buckets,
                self.objects.directory
            );
        }
        let oldest = self.parts.iter().enumerate().min_by_key(|(_, part)| part.used);
        let (at, _) = oldest.expect("the bound is at least one");
        self.roll(at)
    }

    /// Removes a part from those in progress.
    fn remove(&mut self, at: usize) -> Part<F> {
        let part = self.parts.swap_remove(at);
        self.positions.remove(&part.bucket);
        if let Some(moved) = self.parts.get(at)
            && let Some(position) = self.positions.get_mut(&moved.bucket)
        {
            *position = at;
        }
        self.buffered -= part.buffered();
        part
    }

    /// Makes the part pending.
    fn roll(&mut self, at: usize) -> Result<(), UserError> {
        let part = self.remove(at);
        self.finish(part, Owner::ThisJob)
    }

    fn finish(&mut self, part: Part<F>, owner: Owner) -> Result<(), UserError> {
        let bucket = part.bucket.clone();
        let Some(whole) = part.roll(&mut self.objects, &mut self.output, &mut self.garbage, owner)? else {
            return Ok(());
        };
        let (prefix, suffix) = &self.names;
        let directory = match bucket.as_str() {
            "" => self.objects.directory.clone(),
            bucket => self.objects.directory.join(bucket),
        };
        let to = directory.join(&format!("{prefix}-{}{suffix}", whole.number));
        let transaction = data::to_vec(&Move { from: self.objects.location(&whole), to });
        self.output.transactions.push(Transaction(transaction.expect("two names do not nest").into()));
        Ok(())
    }

    /// Stores the part with the most bytes in memory.
    #[cold]
    fn store_largest(&mut self) -> Result<(), UserError> {
        if let Some(part) = self.parts.iter_mut().max_by_key(|part| part.buffered()) {
            self.buffered -= part.buffered();
            part.store(&mut self.objects, &mut self.output)?;
        }
        Ok(())
    }
}

impl<T: 'static, F: Format<T>, B: BucketAssigner<T>> Writer for FileWriter<T, F, B> {
    type Item = T;

    #[inline]
    fn write(&mut self, value: T, time: Timestamp) -> Result<(), UserError> {
        self.bucket.clear();
        self.buckets.assign(&value, time, &mut self.bucket)?;
        let at = self.part()?;
        let part = &mut self.parts[at];
        self.buffered += part.write(&value, self.now)?;
        if part.buffered() > self.objects.bounds.upload_part_bytes {
            let before = part.buffered();
            part.upload(&mut self.objects)?;
            self.buffered -= before - part.buffered();
        }
        if self.policy.is_large(part.bytes) {
            self.roll(at)?;
        } else if self.buffered > self.objects.bounds.buffered_bytes {
            self.store_largest()?;
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        let WriterOutput { requests, then, .. } = &self.output;
        let waiting: usize = requests.iter().chain(then).map(Request::bytes).sum();
        if waiting > self.objects.bounds.buffered_bytes {
            return false;
        }
        if self.objects.uploads == 0 {
            return true;
        }
        let io = &self.objects.io;
        self.parts.iter_mut().map(|part| part.under_way(io)).sum::<usize>() < MAX_UPLOAD_PARTS
    }

    fn snapshot(&mut self, barrier: Barrier) -> Result<WriterOutput, UserError> {
        for at in (0..self.parts.len()).rev() {
            let part = &mut self.parts[at];
            if !barrier.may_leave_open() || self.policy.rolls_at_checkpoint(part.unstored()) {
                self.roll(at)?;
            } else {
                self.buffered -= part.buffered();
                part.store(&mut self.objects, &mut self.output)?;
                part.join(&mut self.objects, &mut self.output, &mut self.garbage);
            }
        }
        let mut output = std::mem::take(&mut self.output);
        output.open.extend(self.parts.iter_mut().map(Part::state));
        let last = match barrier.followed_by {
            FollowedBy::Records | FollowedBy::OtherJobs => Last::IsNot,
            FollowedBy::OtherSubtasks | FollowedBy::Nothing => Last::MayBe,
        };
        let garbage = self.garbage.snapshot(barrier.checkpoint, last);
        output.open.extend(garbage.filter(|_| barrier.may_leave_open()));
        Ok(output)
    }

    fn take_output(&mut self) -> WriterOutput {
        std::mem::take(&mut self.output)
    }

    fn restore(&mut self, open: Vec<OpenOutput>) -> Result<(), UserError> {
        for OpenOutput { state, owner } in open {
            let state =
                data::decode(&state).map_err(|error| ConnectorError::Transaction(error.to_string()))?;
            match (state, owner) {
                (State::Part(state), owner) => {
                    let mut format = self.format.clone();
                    format.resume_file();
                    let is_open = self.positions.contains_key(&state.bucket);
                    let part = Part::restored(state, format);
                    // A subtask has one part of each bucket, and continues none of another job, whose pieces are not its
                    // own.
                    if is_open || owner == Owner::AnotherJob {
                        self.finish(part, owner)?;
                    } else {
                        self.open(part);
                    }
                }
                (State::Garbage(pieces), Owner::ThisJob) => self.garbage.restore(pieces),
                (State::Garbage(_), Owner::AnotherJob) => {}
            }
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), UserError> {
        self.now = now;
        if self.next_due.is_none_or(|due| due > now) {
            return Ok(());
        }
        for at in (0..self.parts.len()).rev() {
            let Part { opened, written, .. } = self.parts[at];
            if self.policy.due(opened, written) <= now {
                self.roll(at)?;
            }
        }
        self.next_due = self.parts.iter().map(|part| self.policy.due(part.opened, part.written)).min();
        Ok(())
    }

    fn next_wakeup(&self) -> Option<Instant> {
        // Without limits in time a part is due at the end of all times.
        self.next_due.filter(|due| *due < Instant(u64::MAX))
    }

    fn completed(&mut self, checkpoint: reflow_types::CheckpointId) {
        self.garbage.completed(checkpoint, &self.objects);
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let Move { from, to } =
            data::decode(&transaction.0).map_err(|error| ConnectorError::Transaction(error.to_string()))?;
        Ok(StoreOp::Rename { from, to }.into())
    }

    /// No limit: the file is stored and stays, and a restart would only wait for storage instead.
    fn commit_time_limit(&self) -> Duration {
        Duration::MAX
    }

    fn trace(&self) -> Option<Bytes> {
        let trace = Trace { prefix: self.objects.writer.to_string(), files: self.objects.named };
        Some(data::to_vec(&trace).expect("a name and a number do not nest").into())
    }

    fn clean_up(&mut self, traces: &[Bytes]) -> bool {
        // Files of attempts without a trace cannot be told from those of other jobs.
        if traces.is_empty() {
            return true;
        }
        let pending = self.objects.directory.join(PENDING);
        let io = &self.objects.io;
        let Some(ticket) = self.listing else {
            self.listing = Some(io.submit(StoreOp::List { below: pending }));
            return false;
        };
        match io.take(ticket) {
            None => return false,
            Some(Ok(StoreReply::Objects(objects))) => {
                let names: Vec<&str> =
                    objects.iter().filter_map(|object| object.at.0.rsplit('/').next()).collect();
                for name in left_behind(traces, &names) {
                    io.submit_and_forget(StoreOp::Delete { at: pending.join(name) });
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::warn!("cannot look for files that failed attempts have left in {pending}: {error}");
            }
        }
        self.listing = None;
        true
    }

    fn keep(&self) -> Option<Request> {
        let Objects { directory, writer, named, .. } = &self.objects;
        let at = directory.join(PENDING).join(&format!("{writer}{KEPT}{named}"));
        Some(StoreOp::Put { at, body: Bytes::new(), mode: PutMode::Overwrite }.into())
    }
}

impl<T, F, B> Drop for FileWriter<T, F, B> {
    /// Cancels the uploads of parts that will not be stored.
    fn drop(&mut self) {
        let io = &self.objects.io;
        self.parts.drain(..).for_each(|part| part.cancel(io));
    }
}
