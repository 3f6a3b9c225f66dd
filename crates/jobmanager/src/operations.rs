//! Savepoints, checkpoints, stops and disposals that users requested, and their outcomes.

use reflow_coordination::event::RequestId;
use reflow_types::TaskManagerId;
use reflow_view::OperationStatus;
use std::collections::{BTreeMap, VecDeque};

/// The most operations that are kept. The oldest is dropped first.
const MAX_REMEMBERED: usize = 1_000;

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Savepoint,
    Checkpoint,
    /// The disposal of a savepoint.
    Disposal,
}

struct Operation {
    kind: Kind,
    status: OperationStatus,
    /// Whether the client has seen the outcome.
    seen: bool,
}

/// The requests by id.
#[derive(Default)]
pub(crate) struct Operations {
    by_id: BTreeMap<RequestId, Operation>,
    order: VecDeque<RequestId>,
    /// TaskManagers that are drained when a savepoint or checkpoint is complete.
    drains: BTreeMap<RequestId, TaskManagerId>,
}

impl Operations {
    /// Begins an operation. Returns false if the id is known, because the same id is the same request.
    pub(crate) fn begin(&mut self, request: RequestId, kind: Kind) -> bool {
        if self.by_id.contains_key(&request) {
            return false;
        }
        if self.order.len() == MAX_REMEMBERED {
            self.order.pop_front().map(|oldest| self.by_id.remove(&oldest));
        }
        self.order.push_back(request);
        self.by_id.insert(request, Operation { kind, status: OperationStatus::InProgress, seen: false });
        true
    }

    /// Ends an operation, with the location of the savepoint or checkpoint or the reason of the failure.
    pub(crate) fn end(&mut self, request: RequestId, result: Result<String, String>) {
        let Some(operation) = self.by_id.get_mut(&request) else { return };
        operation.status = match (result, operation.kind) {
            (Ok(_), Kind::Disposal) => OperationStatus::SavepointDisposed,
            (Ok(location), Kind::Savepoint) => OperationStatus::SavepointCompleted { location },
            (Ok(location), Kind::Checkpoint) => match checkpoint_of(&location) {
                Some(checkpoint) => OperationStatus::CheckpointCompleted { checkpoint },
                None => OperationStatus::SavepointCompleted { location },
            },
            (Err(cause), _) => OperationStatus::Failed { cause },
        };
    }

    /// Registers a TaskManager that is drained when this request has succeeded.
    pub(crate) fn drain_after(&mut self, request: RequestId, task_manager: TaskManagerId) {
        self.drains.insert(request, task_manager);
    }

    /// Takes the TaskManager that waits for the end of a request.
    pub(crate) fn take_drain(&mut self, request: RequestId) -> Option<TaskManagerId> {
        self.drains.remove(&request)
    }

    /// The status of a request.
    pub(crate) fn query(&mut self, request: RequestId) -> Option<OperationStatus> {
        let operation = self.by_id.get_mut(&request)?;
        operation.seen |= operation.status != OperationStatus::InProgress;
        Some(operation.status.clone())
    }

    /// The status of a request of one of these kinds.
    pub(crate) fn query_of(&mut self, kinds: &[Kind], request: RequestId) -> Option<OperationStatus> {
        let kind = self.by_id.get(&request)?.kind;
        if kinds.contains(&kind) { self.query(request) } else { None }
    }

    /// Whether a client has not seen the outcome of a request yet.
    pub(crate) fn unseen(&self) -> bool {
        self.by_id.values().any(|operation| !operation.seen)
    }
}

/// The checkpoint with the location `…/chk-<id>`.
fn checkpoint_of(location: &str) -> Option<reflow_types::CheckpointId> {
    let name = location.trim_end_matches("/_metadata").rsplit('/').next()?;
    name.strip_prefix("chk-")?.parse().ok().map(reflow_types::CheckpointId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::CheckpointId;

    #[test]
    fn a_request_is_told_how_it_ended() {
        let mut operations = Operations::default();
        let (savepoint, checkpoint) = (RequestId(1), RequestId(2));
        assert!(operations.begin(savepoint, Kind::Savepoint));
        assert!(!operations.begin(savepoint, Kind::Savepoint));
        assert!(operations.begin(checkpoint, Kind::Checkpoint));
        assert_eq!(operations.query(savepoint), Some(OperationStatus::InProgress));
        operations.end(savepoint, Err("full disk".into()));
        operations.end(checkpoint, Ok("/c/chk-7/_metadata".into()));
        assert!(operations.unseen());
        assert_eq!(operations.query(savepoint), Some(OperationStatus::Failed { cause: "full disk".into() }));
        let complete = OperationStatus::CheckpointCompleted { checkpoint: CheckpointId(7) };
        assert_eq!(operations.query(checkpoint), Some(complete));
        assert!(!operations.unseen());
        assert_eq!(operations.query(RequestId(3)), None);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut operations = Operations::default();
        assert!((0..=MAX_REMEMBERED as u128).all(|id| operations.begin(RequestId(id), Kind::Savepoint)));
        assert_eq!(operations.query(RequestId(0)), None);
        assert!(operations.query(RequestId(1)).is_some());
    }
}
