//! Storage for commands of a user, which wait for each answer. Processes of a job never wait: the driver carries out their
//! requests.

use super::Storage;
use crate::store::{StoreError, StoreOp, StoreResult};
use std::io;
use tokio::runtime::{Builder, Runtime};

/// Carries out one request after the other.
pub struct BlockingStorage {
    storage: Storage,
    runtime: Runtime,
}

impl BlockingStorage {
    /// Carries out requests on `storage`.
    ///
    /// # Errors
    /// If the machine has no resources for a runtime.
    pub fn new(storage: Storage) -> io::Result<Self> {
        Ok(Self { storage, runtime: Builder::new_current_thread().enable_all().build()? })
    }

    /// Carries out a request and waits for its answer.
    ///
    /// # Errors
    /// If storage has refused it, or has no answer. Objects in parts are refused.
    pub fn request(&self, op: StoreOp) -> StoreResult {
        if let StoreOp::Upload { at, .. } = op {
            return Err(StoreError::Failed { at, reason: "commands write whole objects".to_owned() });
        }
        self.runtime.block_on(self.storage.carry_out(op))
    }
}
