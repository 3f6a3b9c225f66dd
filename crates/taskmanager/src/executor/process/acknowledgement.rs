//! Acknowledgements of checkpoints, which hold a subtask's operator state and must fit into a message.

use bytes::Bytes;
use reflow_protocol::control::FromExecutor;
use reflow_protocol::snapshot::OperatorState;

/// The message, if it takes no more than `max_bytes`. Otherwise the subtask declines the checkpoint: the connection
/// would break, and the job restart again and again.
pub(super) fn frame(acknowledged: FromExecutor, max_bytes: usize) -> Bytes {
    let frame = reflow_protocol::encode(&acknowledged);
    match acknowledged {
        FromExecutor::Acknowledged { attempt, checkpoint, subtask, state, .. } if frame.len() > max_bytes => {
            let bytes = |state: &OperatorState| state.items.iter().map(Bytes::len).sum::<usize>();
            let largest = state.operator.iter().max_by_key(|state| bytes(state));
            let largest = largest.map_or(String::new(), |state| {
                let OperatorState { operator, name, items, .. } = state;
                let bytes = bytes(state);
                format!(", {bytes} of them in {} items of '{name}' of operator '{operator}'", items.len())
            });
            let reason = format!(
                "its acknowledgement of checkpoint {checkpoint} takes {} bytes{largest}; the limit is {max_bytes}: keep less \
                 operator state in a subtask",
                frame.len()
            );
            reflow_protocol::encode(&FromExecutor::Declined { attempt, checkpoint, subtask, reason })
        }
        _ => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_protocol::control::SnapshotTiming;
    use reflow_protocol::deployment::Attempt;
    use reflow_protocol::snapshot::{Redistribution, SubtaskState};
    use reflow_types::{AttemptNumber, CheckpointId, LeaderEpoch, SubtaskId};

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
        let acknowledged = FromExecutor::Acknowledged {
            attempt: Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) },
            checkpoint: CheckpointId(8),
            subtask: SubtaskId(3),
            state,
            timing: SnapshotTiming::default(),
        };
        let fits = reflow_protocol::encode(&acknowledged);
        assert_eq!(frame(acknowledged.clone(), fits.len()), fits);
        let declined = reflow_protocol::decode(&frame(acknowledged, 500)).expect("it is a message");
        let FromExecutor::Declined { checkpoint: CheckpointId(8), subtask: SubtaskId(3), reason, .. } =
            declined
        else {
            panic!("{declined:?}")
        };
        assert!(
            reason.contains("900 of them in 1 items of 'splits' of operator 'read'; the limit is 500"),
            "{reason}"
        );
    }
}
