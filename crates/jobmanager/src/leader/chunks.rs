//! The transfer of the job's executable, in parts, to TaskManagers that do not have it.

use super::Purpose;
use crate::settings::Artifact;
use bytes::Bytes;
use reflow_env::{ConnId, Output, StoreOp, StoreReply, StoreResult};
use reflow_protocol::control::ToTaskManager;

/// The size of a part, in bytes.
const CHUNK_BYTES: u64 = 1 << 20;

/// The storage request for the part that begins at `offset`; `None` if there is no such part.
pub(super) fn question(artifact: &Artifact, conn: ConnId, offset: u64) -> Option<(Purpose, StoreOp)> {
    let end = artifact.len.min(offset.saturating_add(CHUNK_BYTES));
    let read = || StoreOp::Get { at: artifact.at.clone(), range: Some(offset..end) };
    (offset < end).then(|| (Purpose::Chunk { conn, offset }, read()))
}

/// Sends a part. If it cannot be read, an empty part is sent, so that the TaskManager reports an error.
pub(super) fn send(artifact: &Artifact, conn: ConnId, offset: u64, read: StoreResult) -> Output {
    let bytes = match read {
        Ok(StoreReply::Bytes(bytes)) => bytes,
        Ok(_) => Bytes::new(),
        Err(error) => {
            tracing::error!(%error, "the job's executable cannot be read");
            Bytes::new()
        }
    };
    let Artifact { sha256, len, .. } = artifact;
    let chunk = ToTaskManager::ArtifactChunk { sha256: sha256.clone(), offset, total: *len, bytes };
    Output::Send { conn, frame: reflow_protocol::encode(&chunk) }
}
