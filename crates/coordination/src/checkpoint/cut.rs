//! The checkpoints of a live rescale, by which the graph of a running attempt changes.
//!
//! Before the cut, the scheduler requests the checkpoints whose state new owners read, and holds all others back, so that
//! none comes between the last of these and the cut. The cut is itself a checkpoint of the old graph. After its trigger no
//! other checkpoint begins until the new graph is in effect and the outcome of the cut is known. Then the subtasks of the
//! new graph take part in checkpoints, and the leaving subtasks of the old one until they have finished.
//!
//! The chains of the new owners begin with the last complete checkpoint's runs of their key groups, whether that is the cut
//! or the one before. What old owners wrote for a cut that failed does not count, as in any failed checkpoint. Executors
//! are told of a failed cut only after the new graph is in effect, because a subtask that has not received the barrier yet
//! must still cut.

use super::coordinator::Coordinator;
use super::deployed::{Change, CutOutcome};
use super::{Effect, Purpose, Request};
use crate::action::Action;
use reflow_graph::ExecutionGraph;
use reflow_protocol::command::CheckpointCommand;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::OperatorState;
use reflow_types::{CheckpointId, Instant, SubtaskId};
use std::collections::BTreeSet;

impl Coordinator {
    /// Protects the objects of the latest checkpoint, which are being prefetched, from deletion until the cut or
    /// until the rescale is abandoned.
    pub fn pin_latest(&mut self) {
        self.retention.pin_latest();
    }

    /// From now on, only checkpoints that a live rescale requests begin. Its earlier requests are withdrawn.
    pub fn hold(&mut self) {
        self.withdraw();
        if let Some(deployed) = &mut self.deployed {
            deployed.held = true;
        }
    }

    /// The live rescale was abandoned before its cut, so checkpoints begin as before.
    pub fn release(&mut self, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        self.withdraw();
        self.retention.unpin();
        if let Some(deployed) = &mut self.deployed {
            deployed.held = false;
        }
        self.advance(now, &mut out);
        out
    }

    /// Requests the cut. It begins now or when the pending checkpoint has ended.
    pub fn request_cut(&mut self, now: Instant, cut: Cut, graph: &ExecutionGraph) -> Vec<Effect> {
        let highest = graph.subtasks().map(|(_, _, subtask)| subtask.id.next()).max();
        self.next_subtask = self.next_subtask.max(highest.unwrap_or_default());
        self.retention.unpin();
        self.request(now, Request { cut: Some(cut), ..Request::of(Purpose::Cut) })
    }

    /// Whether a cut was requested that has not begun yet.
    pub fn is_cut_requested(&self) -> bool {
        self.queue.has(|purpose| purpose == Purpose::Cut)
    }

    /// The checkpoint of the cut, from its trigger until the change of the graph is complete.
    pub fn cut(&self) -> Option<CheckpointId> {
        self.deployed.as_ref()?.change.as_ref().map(|change| change.checkpoint)
    }

    /// The next graph is in effect: all old subtasks have passed the cut, and all key groups are installed.
    ///
    /// # Panics
    /// If no cut was triggered.
    pub fn in_effect(&mut self, now: Instant, graph: &ExecutionGraph) -> Vec<Effect> {
        let mut out = Vec::new();
        let change = self.deployed.as_mut().and_then(|deployed| deployed.change.as_mut());
        change.expect("a graph takes effect after its cut").next = Some(graph.clone());
        self.finish_change(&mut out);
        self.advance(now, &mut out);
        out
    }

    /// The operator state of a subtask in the last complete checkpoint.
    pub fn last_operator(&self, subtask: SubtaskId) -> &[OperatorState] {
        let last = self.deployed.as_ref().and_then(|deployed| deployed.last.get(&subtask));
        last.map(|state| state.operator.as_slice()).unwrap_or_default()
    }

    /// A checkpoint has ended. If it was a cut, the change of the graph completes once the graph is in effect as
    /// well.
    pub(super) fn cut_decided(
        &mut self,
        checkpoint: CheckpointId,
        outcome: CutOutcome,
        out: &mut Vec<Effect>,
    ) {
        let change = self.deployed.as_mut().and_then(|deployed| deployed.change.as_mut());
        if let Some(change) = change.filter(|change| change.checkpoint == checkpoint) {
            change.outcome = outcome;
            self.finish_change(out);
        }
    }

    /// Switches to the next graph once the cut's outcome is known and the graph is in effect.
    fn finish_change(&mut self, out: &mut Vec<Effect>) {
        let Some(deployed) = &mut self.deployed else { return };
        let done = |change: &mut Change| change.outcome != CutOutcome::Open && change.next.is_some();
        let Some(Change { checkpoint, outcome, next }) = deployed.change.take_if(done) else { return };
        if outcome == CutOutcome::Failed {
            let aborted = CheckpointCommand::NotifyAborted;
            out.push(Effect::Act(Action::checkpoint(
                deployed.attempt,
                checkpoint,
                &BTreeSet::new(),
                aborted,
            )));
        }
        deployed.take_graph(&next.expect("the filter has looked"));
        deployed.held = false;
    }

    fn withdraw(&mut self) {
        self.queue.withdraw(Purpose::LiveRescale);
        self.queue.withdraw(Purpose::Cut);
    }
}
