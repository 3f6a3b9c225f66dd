//! Checks of deposed JobManagers.

use reflow_protocol::deployment::Attempt;
use reflow_sim::ProcessId;
use reflow_sim::succession::{Completions, Leader, STEP_DOWN};
use reflow_sim::world::Time;
use reflow_types::{AttemptNumber, CheckpointId, LeaderEpoch};

fn attempt(epoch: u64) -> Attempt {
    Attempt { epoch: LeaderEpoch(epoch), number: AttemptNumber(1) }
}

#[test]
fn what_a_deposed_leader_completes_behind_its_successor_is_found_in_either_order() {
    let mut completions = Completions::default();
    assert_eq!(completions.began(attempt(1), None), None);
    assert_eq!(completions.completed(LeaderEpoch(1), attempt(1), CheckpointId(3)), None);
    assert_eq!(completions.began(attempt(2), Some(CheckpointId(3))), None);
    assert!(completions.completed(LeaderEpoch(1), attempt(1), CheckpointId(4)).is_some());
    assert!(completions.began(attempt(3), Some(CheckpointId(3))).is_some());
    assert_eq!(completions.completed(LeaderEpoch(3), attempt(3), CheckpointId(3)), None);
}

#[test]
fn an_adopted_attempt_completes_checkpoints_under_its_new_leader_only() {
    let mut completions = Completions::default();
    assert_eq!(completions.began(attempt(1), None), None);
    assert_eq!(completions.completed(LeaderEpoch(1), attempt(1), CheckpointId(3)), None);
    completions.adopted(LeaderEpoch(2), Some(CheckpointId(3)));
    assert_eq!(completions.completed(LeaderEpoch(2), attempt(1), CheckpointId(4)), None);
    assert!(completions.completed(LeaderEpoch(1), attempt(1), CheckpointId(5)).is_some());
    assert!(completions.began(attempt(3), Some(CheckpointId(3))).is_some());
}

#[test]
fn a_deposed_leader_has_time_only_while_it_can_find_out() {
    let mut leader = Leader { id: ProcessId(0), epoch: Some(LeaderEpoch(1)), order: 1, able_since: None };
    let (second, bound) = (1_000_000, STEP_DOWN.as_micros() as Time);
    assert_eq!(leader.look(0, 1, true), None);
    assert_eq!(leader.look(second, 2, true), None);
    assert_eq!(leader.look(bound, 2, false), None);
    assert_eq!(leader.look(bound + 2 * second, 2, true), None);
    assert!(leader.look(2 * bound + 3 * second, 2, true).is_some());
}
