//! The reading of the savepoint from which a job without a checkpoint starts.

use super::{Claim, Purpose, get};
use crate::leadership::LeadershipError;
use reflow_coordination::checkpoint::Recovered;
use reflow_coordination::manifest::{self, Decision};
use reflow_env::{StoreReply, StoreResult};

impl Claim {
    pub(super) fn read_savepoint(&mut self) {
        if let Some(directory) = &self.by.start_from {
            self.question(Purpose::Savepoint, get(directory.join("_metadata")));
        }
    }

    pub(super) fn take_savepoint(&mut self, answer: StoreResult) -> Result<(), LeadershipError> {
        let directory = self.by.start_from.clone().expect("it was asked for");
        let refused = |reason: String| LeadershipError::Savepoint { at: directory.join("_metadata"), reason };
        let bytes = match answer {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => return Err(refused("it is not an object".to_owned())),
            Err(error) => return Err(refused(error.to_string())),
        };
        match manifest::decode(&bytes).map_err(|error| refused(error.to_string()))? {
            Decision::Complete(manifest) => {
                self.savepoint = Some(manifest);
                Ok(())
            }
            Decision::Abandoned(_) | Decision::Ended { .. } => {
                Err(refused("it was never completed".to_owned()))
            }
        }
    }

    pub(super) fn begin_from_savepoint(&mut self, mut recovered: Recovered) -> Recovered {
        if let (Some(manifest), Some(directory)) = (self.savepoint.take(), &self.by.start_from) {
            let savepoint = Recovered::from_savepoint(&directory.0, *manifest);
            recovered.highest = recovered.highest.max(savepoint.highest);
            recovered.next_subtask = recovered.next_subtask.max(savepoint.next_subtask);
            recovered.completed = savepoint.completed;
        }
        recovered
    }
}
