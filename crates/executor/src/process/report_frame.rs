//! Encodes subtasks' reports as frames.
//!
//! An acknowledgement contains the subtask's operator state, which may exceed the limit of a frame.

use bytes::Bytes;
use reflow_protocol::control::FromExecutor;
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_protocol::snapshot::{OperatorState, SubtaskState};
use reflow_types::CheckpointId;

/// The frame of a report. An acknowledgement of more than `max_bytes` is replaced by a declined checkpoint: it
/// would break the connection, and the job would restart again and again.
pub(super) fn encode(report: SubtaskReport, max_bytes: usize) -> Bytes {
    let message = FromExecutor::SubtaskReport(report);
    let frame = reflow_protocol::encode(&message);
    if frame.len() <= max_bytes {
        return frame;
    }
    let FromExecutor::SubtaskReport(SubtaskReport {
        attempt,
        subtask,
        event: SubtaskEvent::Acknowledged { checkpoint, state, .. },
    }) = message
    else {
        return frame;
    };
    let reason = too_large(checkpoint, &state, frame.len(), max_bytes);
    let event = SubtaskEvent::Declined { checkpoint, reason };
    reflow_protocol::encode(&FromExecutor::SubtaskReport(SubtaskReport { attempt, subtask, event }))
}

fn too_large(checkpoint: CheckpointId, state: &SubtaskState, len: usize, max_bytes: usize) -> String {
    let bytes = |state: &OperatorState| state.items.iter().map(Bytes::len).sum::<usize>();
    let largest = state.operator.iter().max_by_key(|state| bytes(state));
    let largest = largest.map_or(String::new(), |state| {
        let OperatorState { operator, name, items, .. } = state;
        let bytes = bytes(state);
        format!(", {bytes} of them in {} items of '{name}' of operator '{operator}'", items.len())
    });
    format!(
        "its acknowledgement of checkpoint {checkpoint} takes {len} bytes{largest}; the limit is {max_bytes}: keep less \
         operator state in a subtask"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_protocol::deployment::Attempt;
    use reflow_protocol::report::SnapshotTiming;
    use reflow_protocol::snapshot::Redistribution;
    use reflow_types::{AttemptNumber, LeaderEpoch, SubtaskId};

    #[test]
    fn an_acknowledgement_above_the_limit_declines_and_says_why() {
        let list = |name: &str, bytes: usize| OperatorState {
            operator: "read".into(),
            name: name.into(),
            redistribution: Redistribution::Split,
            items: vec![vec![7; bytes].into()],
        };
        let state =
            SubtaskState { operator: vec![list("splits", 900), list("few", 10)], ..SubtaskState::default() };
        let (checkpoint, timing) = (CheckpointId(8), SnapshotTiming::default());
        let report = SubtaskReport {
            attempt: Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) },
            subtask: SubtaskId(3),
            event: SubtaskEvent::Acknowledged { checkpoint, state, timing },
        };
        let fits = reflow_protocol::encode(&FromExecutor::SubtaskReport(report.clone()));
        assert_eq!(encode(report.clone(), fits.len()), fits);
        let declined = reflow_protocol::decode(&encode(report.clone(), 500)).expect("it is a message");
        let FromExecutor::SubtaskReport(declined) = declined else { panic!("{declined:?}") };
        assert_eq!((declined.attempt, declined.subtask), (report.attempt, report.subtask));
        let SubtaskEvent::Declined { checkpoint: CheckpointId(8), reason } = declined.event else {
            panic!("{declined:?}")
        };
        assert!(
            reason.contains("900 of them in 1 items of 'splits' of operator 'read'; the limit is 500"),
            "{reason}"
        );
    }
}
