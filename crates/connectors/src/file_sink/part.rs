//! A part of the output of a bucket that is in progress.

use super::PENDING;
use super::upload::Upload;
use crate::{ConnectorError, Format};
use bytes::Bytes;
use reflow_api::Io;
use reflow_api::sink::{Owner, WriterOutput};
use reflow_env::{Location, PutMode, StoreOp};
use reflow_types::{CheckpointId, Data, Instant, data};
use std::sync::Arc;

/// Bounds on what a writer has in memory and in its state. Tests and the simulator draw other values, so that little data
/// exceeds each.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// More data of a part is uploaded in parts of this size. Object stores accept none below 5 MiB.
    pub upload_part_bytes: usize,
    /// Bytes of all parts in memory. Beyond that the largest is stored before its checkpoint.
    pub buffered_bytes: usize,
    /// So many pieces of the same level are joined to one of the next. At least 2.
    pub joined_pieces: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { upload_part_bytes: 8 << 20, buffered_bytes: 32 << 20, joined_pieces: 64 }
    }
}

/// How many checkpoints that no longer have a piece are complete before it is removed, so that the older checkpoints that
/// are retained can be restored, too.
const KEPT_FOR_CHECKPOINTS: u32 = 10;

/// The hidden objects of one writer.
pub(super) struct Objects {
    pub(super) directory: Location,
    /// The beginning of their names, which no other writer has.
    pub(super) writer: Arc<str>,
    /// The number of objects that it has named.
    pub(super) named: u64,
    pub(super) io: Io,
    pub(super) bounds: Bounds,
    /// The number of parts that are being uploaded.
    pub(super) uploads: usize,
}

impl Objects {
    /// A piece with a new name.
    fn name(&mut self, len: u64, level: u8) -> Piece {
        let number = self.named;
        self.named += 1;
        Piece { writer: self.writer.clone(), number, len, level }
    }

    pub(super) fn location(&self, piece: &Piece) -> Location {
        self.directory.join(PENDING).join(&format!("{}-{}", piece.writer, piece.number))
    }
}

/// A hidden object with bytes of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The writer that has named it.
    pub(super) writer: Arc<str>,
    pub(super) number: u64,
    pub(super) len: u64,
    /// How often its bytes were joined.
    level: u8,
}

/// Adjacent pieces of one writer: the numbers, lengths and levels.
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub(super) struct Pieces {
    writer: String,
    pieces: Vec<(u64, u64, u8)>,
}

impl Pieces {
    fn group(pieces: &[Piece]) -> Vec<Self> {
        let of_one_writer = pieces.chunk_by(|a, b| a.writer == b.writer);
        let pieces =
            |group: &[Piece]| group.iter().map(|piece| (piece.number, piece.len, piece.level)).collect();
        of_one_writer
            .map(|group| Self { writer: group[0].writer.to_string(), pieces: pieces(group) })
            .collect()
    }

    fn ungroup(groups: Vec<Self>) -> Vec<Piece> {
        let mut all = Vec::new();
        for Self { writer, pieces } in groups {
            let writer: Arc<str> = writer.into();
            let piece = |(number, len, level)| Piece { writer: writer.clone(), number, len, level };
            all.extend(pieces.into_iter().map(piece));
        }
        all
    }
}

/// What a writer leaves in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub(super) enum State {
    /// A part in progress.
    Part(PartState),
    /// Pieces that are in no part any more, and are to be removed.
    Garbage(Vec<Pieces>),
}

#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub(super) struct PartState {
    pub(super) bucket: String,
    opened: Instant,
    written: Instant,
    pieces: Vec<Pieces>,
}

/// A part in progress.
pub(super) struct Part<F> {
    pub(super) bucket: String,
    format: F,
    /// What is stored, as of the last checkpoint.
    pieces: Vec<Piece>,
    /// Of the bytes behind the pieces, those that are on their way to storage.
    upload: Option<Upload>,
    /// The rest, which is in memory.
    buffer: Vec<u8>,
    /// All of them.
    pub(super) bytes: u64,
    pub(super) opened: Instant,
    /// When the last record was written.
    pub(super) written: Instant,
    /// When it was last chosen, by the writer's count.
    pub(super) used: u64,
    /// Its state, if nothing has changed since.
    state: Option<Bytes>,
}

impl<F> Part<F> {
    /// An empty part.
    pub(super) fn new(bucket: String, format: F, now: Instant) -> Self {
        Self {
            bucket,
            format,
            pieces: Vec::new(),
            upload: None,
            buffer: Vec::new(),
            bytes: 0,
            opened: now,
            written: now,
            used: 0,
            state: None,
        }
    }

    /// A part of a checkpoint. `format` continues it.
    pub(super) fn restored(state: PartState, format: F) -> Self {
        let PartState { bucket, opened, written, pieces } = state;
        let pieces = Pieces::ungroup(pieces);
        let bytes = pieces.iter().map(|piece| piece.len).sum();
        Self { pieces, bytes, written, ..Self::new(bucket, format, opened) }
    }

    /// Adds a record. Returns how many bytes more are in memory.
    #[inline]
    pub(super) fn write<T>(&mut self, value: &T, now: Instant) -> Result<usize, reflow_api::UserError>
    where
        F: Format<T>,
    {
        let before = self.buffer.len();
        self.format.encode(value, &mut self.buffer)?;
        let added = self.buffer.len().saturating_sub(before);
        self.bytes += added as u64;
        self.written = now;
        Ok(added)
    }

    /// The bytes in memory.
    pub(super) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The bytes since the last checkpoint.
    pub(super) fn unstored(&self) -> u64 {
        self.buffer.len() as u64 + self.upload.as_ref().map_or(0, Upload::bytes)
    }

    /// The number of uploaded parts that are under way.
    pub(super) fn under_way(&mut self, io: &Io) -> usize {
        self.upload.as_mut().map_or(0, |upload| upload.under_way(io))
    }

    /// Uploads what exceeds the size of a part of an upload. Something stays in memory, because an upload must not end with
    /// an empty part.
    pub(super) fn upload(&mut self, objects: &mut Objects) -> Result<(), ConnectorError> {
        let part_bytes = objects.bounds.upload_part_bytes;
        while self.buffer.len() > part_bytes {
            let rest = self.buffer.split_off(part_bytes);
            let part = Bytes::from(std::mem::replace(&mut self.buffer, rest));
            if self.upload.is_none() {
                let piece = objects.name(0, 0);
                objects.uploads += 1;
                self.upload = Some(Upload::new(objects.location(&piece), &objects.io));
                self.pieces.push(piece);
            }
            if let Some(upload) = &mut self.upload {
                upload.send(&objects.io, part)?;
            }
        }
        Ok(())
    }

    /// Stores what is not stored yet, as a piece.
    pub(super) fn store(
        &mut self,
        objects: &mut Objects,
        output: &mut WriterOutput,
    ) -> Result<(), ConnectorError> {
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        if let Some(upload) = self.upload.take() {
            objects.uploads -= 1;
            let piece = self.pieces.last_mut().expect("an upload is that of the last piece");
            piece.len = upload.bytes() + body.len() as u64;
            output.wait_for.extend(upload.finish(&objects.io, body)?);
        } else if !body.is_empty() {
            let piece = objects.name(body.len() as u64, 0);
            let at = objects.location(&piece);
            output.requests.push(StoreOp::Put { at, body, mode: PutMode::Overwrite }.into());
            self.pieces.push(piece);
        } else {
            return Ok(());
        }
        self.state = None;
        Ok(())
    }

    /// Joins the last pieces, if they are many. This is one request, whatever it joins: requests of the same output are
    /// carried out at the same time, so none may need the object of another.
    pub(super) fn join(&mut self, objects: &mut Objects, output: &mut WriterOutput, garbage: &mut Garbage) {
        let Some(mut level) = self.pieces.last().map(|piece| piece.level) else { return };
        let mut first = self.pieces.len();
        loop {
            let others = self.pieces[..first].iter().rposition(|piece| piece.level != level);
            let start = others.map_or(0, |at| at + 1);
            // What is joined from the level below counts as one piece of this one.
            let from_below = usize::from(first < self.pieces.len());
            if first - start + from_below < objects.bounds.joined_pieces || level == u8::MAX {
                break;
            }
            first = start;
            level += 1;
        }
        if first == self.pieces.len() {
            return;
        }
        let joined: Vec<Piece> = self.pieces.drain(first..).collect();
        let whole = objects.name(joined.iter().map(|piece| piece.len).sum(), level);
        output.then.push(concat(objects, &whole, &joined, Bytes::new()).into());
        garbage.add(joined);
        self.pieces.push(whole);
        self.state = None;
    }

    /// Stores the whole part as one hidden object and returns that; `None` if the part is empty.
    pub(super) fn roll(
        mut self,
        objects: &mut Objects,
        output: &mut WriterOutput,
        garbage: &mut Garbage,
        owner: Owner,
    ) -> Result<Option<Piece>, ConnectorError> {
        let earlier = self.pieces.len() - usize::from(self.upload.is_some());
        if self.upload.is_some() || earlier == 0 {
            self.store(objects, output)?;
        }
        if earlier == 0 {
            return Ok(self.pieces.pop());
        }
        let tail = Bytes::from(std::mem::take(&mut self.buffer));
        let whole = objects.name(self.bytes, 0);
        output.then.push(concat(objects, &whole, &self.pieces, tail).into());
        if owner == Owner::ThisJob {
            garbage.add(self.pieces);
        }
        Ok(Some(whole))
    }

    /// Its state, when everything is stored.
    pub(super) fn state(&mut self) -> Bytes {
        assert!(self.unstored() == 0, "a part whose state is taken is stored");
        let Self { bucket, pieces, opened, written, .. } = self;
        let state = self.state.get_or_insert_with(|| {
            let (bucket, pieces) = (bucket.clone(), Pieces::group(pieces));
            encode(&State::Part(PartState { bucket, opened: *opened, written: *written, pieces }))
        });
        state.clone()
    }

    /// Drops what is not stored.
    pub(super) fn cancel(self, io: &Io) {
        if let Some(upload) = self.upload {
            upload.cancel(io);
        }
    }
}

fn concat(objects: &Objects, whole: &Piece, pieces: &[Piece], tail: Bytes) -> StoreOp {
    let pieces = pieces.iter().map(|piece| (objects.location(piece), piece.len)).collect();
    StoreOp::Concat { at: objects.location(whole), pieces, tail }
}

fn encode(state: &State) -> Bytes {
    data::to_vec(state).expect("names and numbers do not nest").into()
}

/// Pieces that are in no part any more.
#[derive(Default)]
pub(super) struct Garbage(Vec<Unused>);

struct Unused {
    piece: Piece,
    /// The first checkpoint that does not have it; `None` before that.
    since: Option<CheckpointId>,
    /// How many checkpoints without it are complete.
    completed: u32,
}

impl Garbage {
    pub(super) fn add(&mut self, pieces: Vec<Piece>) {
        self.0.extend(pieces.into_iter().map(|piece| Unused { piece, since: None, completed: 0 }));
    }

    /// Those of a checkpoint.
    pub(super) fn restore(&mut self, pieces: Vec<Pieces>) {
        self.add(Pieces::ungroup(pieces));
    }

    /// Takes part in a checkpoint. The state says what of it is to be removed later. After the last checkpoint of a writer
    /// nobody would, so then all of it is removed with that.
    pub(super) fn snapshot(&mut self, checkpoint: CheckpointId, last: Last) -> Option<Bytes> {
        for unused in &mut self.0 {
            unused.since.get_or_insert(checkpoint);
            if last == Last::MayBe {
                unused.completed = KEPT_FOR_CHECKPOINTS - 1;
            }
        }
        if self.0.is_empty() || last == Last::MayBe {
            return None;
        }
        let pieces: Vec<Piece> = self.0.iter().map(|unused| unused.piece.clone()).collect();
        Some(encode(&State::Garbage(Pieces::group(&pieces))))
    }

    /// Removes what no retained checkpoint has.
    pub(super) fn completed(&mut self, checkpoint: CheckpointId, objects: &Objects) {
        self.0.retain_mut(|unused| {
            if unused.since.is_some_and(|since| since <= checkpoint) {
                unused.completed += 1;
            }
            let kept = unused.completed < KEPT_FOR_CHECKPOINTS;
            if !kept {
                objects.io.submit_and_forget(StoreOp::Delete { at: objects.location(&unused.piece) });
            }
            kept
        });
    }
}

/// Whether a checkpoint may be the last of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    IsNot,
    MayBe,
}
