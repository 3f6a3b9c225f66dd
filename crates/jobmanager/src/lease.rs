//! The lease of a leadership: where it is kept and in which form. A leader writes it ([`renewals`]), standbys read it
//! ([`crate::standby`]); neither knows more of the place than [`LeasePlace`] tells.

pub(crate) mod renewals;

use crate::layout::Layout;
use crate::record;
use reflow_coordination::standby::{Lease, Tenure};
use reflow_env::{Location, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_types::LeaderEpoch;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The place of the lease of one leadership: an object in the checkpoint storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeasePlace {
    epoch: LeaderEpoch,
    at: Location,
}

impl LeasePlace {
    pub(crate) fn new(layout: &Layout, epoch: LeaderEpoch) -> Self {
        Self { epoch, at: layout.lease(epoch) }
    }

    /// The leadership.
    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The request that writes the lease.
    pub(crate) fn write(&self, lease: Lease) -> StoreOp {
        let body = record::encode(&LeaseRecord::from(lease));
        StoreOp::Put { at: self.at.clone(), body, mode: PutMode::Overwrite }
    }

    /// The request that reads the lease.
    pub(crate) fn read(&self) -> StoreOp {
        StoreOp::Get { at: self.at.clone(), range: None }
    }

    /// The lease in the answer to [`read`](Self::read). `None` if there is none, or it is damaged: its leader writes another
    /// one, if it lives.
    ///
    /// # Errors
    /// If storage did not answer.
    pub(crate) fn lease_in(answer: StoreResult) -> Result<Option<Lease>, StoreError> {
        match answer {
            Ok(StoreReply::Bytes(bytes)) => Ok(record::decode::<LeaseRecord>(&bytes).ok().map(Into::into)),
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A hash of what a JobManager runs, which TaskManagers compare as well: the executable and the job's arguments. Never 0.
pub(crate) fn program(sha256: &str, args: &[String]) -> u64 {
    let mut hash = Sha256::new();
    for part in std::iter::once(sha256).chain(args.iter().map(String::as_str)) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let first = hash.finalize().first_chunk().copied().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(first).max(1)
}

/// The content of a lease, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseRecord {
    renewals: u64,
    duration_ms: u64,
    tenure: Tenure,
    /// As a hexadecimal number. Earlier releases wrote none.
    #[serde(default)]
    program: String,
}

impl From<Lease> for LeaseRecord {
    fn from(Lease { renewals, duration, tenure, program }: Lease) -> Self {
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { renewals, duration_ms, tenure, program: format!("{program:016x}") }
    }
}

impl From<LeaseRecord> for Lease {
    fn from(LeaseRecord { renewals, duration_ms, tenure, program }: LeaseRecord) -> Self {
        let program = u64::from_str_radix(&program, 16).unwrap_or(0);
        Self { renewals, duration: Duration::from_millis(duration_ms), tenure, program }
    }
}
