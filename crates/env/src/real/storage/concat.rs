//! Objects that are made of others.
//!
//! Object stores cannot append, so the bytes pass through this process: ranges are read concurrently and written as parts
//! of an upload. At no time are more than a few parts in memory.

use super::error::store_error;
use super::{Place, Storage};
use crate::store::{Location, PutMode, StoreError};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, ObjectStoreExt};
use std::ops::Range;

/// The size of a part. Object stores accept none below 5 MiB, except the last one.
const PART_BYTES: u64 = 8 << 20;
/// Reads under way.
const READS: usize = 4;

impl Storage {
    /// See [`StoreOp::Concat`](crate::StoreOp::Concat).
    pub(super) async fn concat(
        &self,
        at: &Location,
        pieces: Vec<(Location, u64)>,
        tail: Bytes,
    ) -> Result<(), StoreError> {
        let all = pieces.iter().map(|(_, len)| len).sum::<u64>() + tail.len() as u64;
        if all <= PART_BYTES {
            let mut body = BytesMut::with_capacity(all as usize);
            let mut read = std::pin::pin!(self.read_pieces(pieces));
            while let Some(bytes) = read.try_next().await? {
                body.extend_from_slice(&bytes);
            }
            body.extend_from_slice(&tail);
            return self.put(at, body.freeze(), PutMode::Overwrite).await;
        }
        let Place { store, path } = self.places.find(at)?;
        let mut upload = store.put_multipart(&path).await.map_err(|e| store_error(at, &e))?;
        let written = match self.write_pieces(at, &mut *upload, pieces, tail).await {
            Ok(()) => upload.complete().await.map(drop).map_err(|e| store_error(at, &e)),
            Err(error) => Err(error),
        };
        if written.is_err()
            && let Err(e) = upload.abort().await
        {
            tracing::debug!("an upload that has failed may have left something behind: {e}");
        }
        written
    }

    async fn write_pieces(
        &self,
        at: &Location,
        upload: &mut dyn MultipartUpload,
        pieces: Vec<(Location, u64)>,
        tail: Bytes,
    ) -> Result<(), StoreError> {
        let mut part = BytesMut::new();
        let last = stream::once(std::future::ready(Ok(tail)));
        let mut read = std::pin::pin!(self.read_pieces(pieces).chain(last));
        while let Some(bytes) = read.try_next().await? {
            part.extend_from_slice(&bytes);
            if part.len() as u64 >= PART_BYTES {
                let full = part.split().freeze();
                upload.put_part(full.into()).await.map_err(|e| store_error(at, &e))?;
            }
        }
        if part.is_empty() {
            return Ok(());
        }
        upload.put_part(part.freeze().into()).await.map_err(|e| store_error(at, &e))
    }

    /// The bytes of objects, in order.
    fn read_pieces(
        &self,
        pieces: Vec<(Location, u64)>,
    ) -> impl futures::Stream<Item = Result<Bytes, StoreError>> + use<'_> {
        let ranges = pieces.into_iter().flat_map(|(piece, len)| {
            let starts = (0..len).step_by(PART_BYTES as usize);
            starts.map(move |start| (piece.clone(), start..len.min(start + PART_BYTES)))
        });
        let read =
            move |(piece, range): (Location, Range<u64>)| async move { self.get(&piece, Some(range)).await };
        stream::iter(ranges).map(read).buffered(READS)
    }
}
