//! The lease of a leadership: where it is kept and in which form. A leader writes it ([`renewals`]), standbys read it
//! ([`crate::standby`]); neither knows more of the place than [`LeasePlace`] tells.

pub(crate) mod kubernetes;
pub(crate) mod renewals;

use crate::layout::Layout;
use crate::record;
use kubernetes::{HeldLease, LeaseCalls};
use reflow_coordination::leader_election::IfTaken;
use reflow_coordination::standby::{Lease, Tenure};
use reflow_env::{Answer, Location, PutMode, Request, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_types::LeaderEpoch;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Where the job's leases are kept.
#[derive(Clone, Debug)]
pub(crate) enum Leases {
    /// In the checkpoint storage.
    Storage,
    /// In Kubernetes.
    Kubernetes(LeaseCalls),
}

impl Leases {
    /// The place of a leadership's lease.
    pub(crate) fn of(&self, layout: &Layout, epoch: LeaderEpoch) -> LeasePlace {
        match self {
            Self::Storage => LeasePlace::Storage { epoch, at: layout.lease(epoch) },
            Self::Kubernetes(calls) => LeasePlace::Kubernetes(HeldLease::new(calls.clone(), epoch)),
        }
    }
}

/// The place of the lease of one leadership.
#[derive(Debug)]
pub(crate) enum LeasePlace {
    /// An object in the checkpoint storage.
    Storage {
        epoch: LeaderEpoch,
        at: Location,
    },
    Kubernetes(HeldLease),
}

/// What has become of a renewal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Renewed,
    /// Someone else holds the lease.
    Taken(String),
    /// A later renewal of this JobManager has taken its place.
    Superseded,
    /// Why there was no answer, or a refusal.
    Failed(String),
}

impl LeasePlace {
    /// The leadership.
    pub(crate) fn epoch(&self) -> LeaderEpoch {
        match self {
            Self::Storage { epoch, .. } => *epoch,
            Self::Kubernetes(lease) => lease.epoch,
        }
    }

    /// Whether a leader that cannot reach the checkpoint storage can renew it all the same.
    pub(crate) fn is_outside_storage(&self) -> bool {
        matches!(self, Self::Kubernetes(_))
    }

    /// Takes the lease back with the next renewal, if someone else holds it.
    pub(crate) fn reclaim(&mut self) {
        if let Self::Kubernetes(held) = self {
            held.if_taken = IfTaken::Reclaim;
        }
    }

    /// The request that writes the lease.
    pub(crate) fn write(&self, lease: Lease) -> Request {
        match self {
            Self::Storage { at, .. } => {
                let body = record::encode(&LeaseRecord::from(lease));
                StoreOp::Put { at: at.clone(), body, mode: PutMode::Overwrite }.into()
            }
            Self::Kubernetes(held) => held.write(lease),
        }
    }

    /// What the answer to [`write`](Self::write) says.
    pub(crate) fn written(&mut self, answer: Answer) -> Written {
        match (self, answer) {
            (Self::Kubernetes(held), Answer::External(result)) => held.written(result),
            (_, answer) => answer
                .outcome()
                .map_or_else(|error| Written::Failed(error.to_string()), |()| Written::Renewed),
        }
    }

    /// The request that reads the lease of a leadership in storage.
    pub(crate) fn read(layout: &Layout, epoch: LeaderEpoch) -> StoreOp {
        StoreOp::Get { at: layout.lease(epoch), range: None }
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
