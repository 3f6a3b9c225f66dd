//! How the graph of a running attempt changes: the checkpoints of a live rescale.
//!
//! Before the cut the scheduler asks for checkpoints whose state is read, and holds all others back, so that nothing
//! comes between the last of them and the cut. The cut itself is a checkpoint of the old graph. From its trigger on
//! nothing else begins until two things are known: that the new graph is in effect, and what became of the cut. Then
//! the new graph's subtasks take part, and those of the old one that leave, until they have finished.
//!
//! The new owners' chains begin with what the last complete checkpoint holds of their groups, be it the cut or the
//! one before: what the old owners wrote for a cut that failed counts for nothing, as in any failed checkpoint.
//! Executors hear of a failed cut only when the new graph is in effect: a subtask that has not seen the barrier
//! yet must still cut.

use super::chain::Chain;
use super::coordinator::Coordinator;
use super::deployed::Deployed;
use super::{Effect, Participant, Purpose, Request};
use crate::action::Action;
use crate::manifest::OwnedRuns;
use reflow_graph::ExecutionGraph;
use reflow_protocol::command::CheckpointCommand;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::OperatorState;
use reflow_types::{CheckpointId, Instant, SubtaskId, SubtaskIndex};
use std::collections::BTreeMap;

/// A change of the graph, from the trigger of its cut on.
#[derive(Debug)]
pub(super) struct Change {
    checkpoint: CheckpointId,
    fate: Fate,
    /// The graph, once it is in effect.
    next: Option<ExecutionGraph>,
}

/// What became of a cut's checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Complete,
    Failed,
}

impl Change {
    pub(super) fn new(checkpoint: CheckpointId) -> Self {
        Self { checkpoint, fate: Fate::Open, next: None }
    }
}

impl Coordinator {
    /// The newest checkpoint's objects are being read: they are not deleted before the cut, or before the rescale
    /// is given up.
    pub fn pin_latest(&mut self) {
        self.retention.pin_latest();
    }

    /// From here on only what a live rescale asks for begins. What it asked for before is not wanted any more.
    pub fn hold(&mut self) {
        self.withdraw();
        if let Some(deployed) = &mut self.deployed {
            deployed.held = true;
        }
    }

    /// The live rescale is given up before its cut: all is as it was.
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

    /// The graph is to change with a checkpoint's barrier. It begins now, or as soon as ids allow.
    pub fn request_cut(&mut self, now: Instant, cut: Cut, graph: &ExecutionGraph) -> Vec<Effect> {
        let highest = graph.subtasks().map(|(_, _, subtask)| subtask.id.next()).max();
        self.next_subtask = self.next_subtask.max(highest.unwrap_or_default());
        self.retention.unpin();
        self.request(now, Request { cut: Some(cut), ..Request::of(Purpose::Cut) })
    }

    /// The checkpoint with whose barrier the graph changes, from its trigger until the change is done.
    pub fn cut(&self) -> Option<CheckpointId> {
        self.deployed.as_ref()?.change.as_ref().map(|change| change.checkpoint)
    }

    /// The new graph is in effect: all old subtasks have cut, all new owners have what they own.
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

    /// What a subtask had in the last complete checkpoint besides keyed state.
    pub fn last_operator(&self, subtask: SubtaskId) -> &[OperatorState] {
        let last = self.deployed.as_ref().and_then(|deployed| deployed.last.get(&subtask));
        last.map(|state| state.operator.as_slice()).unwrap_or_default()
    }

    /// A checkpoint has ended; if it was a cut, that is half of what is waited for.
    pub(super) fn cut_decided(&mut self, checkpoint: CheckpointId, fate: Fate, out: &mut Vec<Effect>) {
        let change = self.deployed.as_mut().and_then(|deployed| deployed.change.as_mut());
        if let Some(change) = change.filter(|change| change.checkpoint == checkpoint) {
            change.fate = fate;
            self.finish_change(out);
        }
    }

    /// Goes over to the new graph once both are known.
    fn finish_change(&mut self, out: &mut Vec<Effect>) {
        let Some(deployed) = &mut self.deployed else { return };
        let done = |change: &mut Change| change.fate != Fate::Open && change.next.is_some();
        let Some(Change { checkpoint, fate, next }) = deployed.change.take_if(done) else { return };
        if fate == Fate::Failed {
            let aborted = CheckpointCommand::NotifyAborted;
            out.push(Effect::Act(Action::checkpoint(deployed.attempt, checkpoint, aborted)));
        }
        deployed.take_graph(&next.expect("the filter has looked"));
        deployed.held = false;
    }

    fn withdraw(&mut self) {
        self.queue.withdraw(Purpose::LiveRescale);
        self.queue.withdraw(Purpose::Cut);
    }
}

impl Deployed {
    /// The subtasks of `graph` take part from here on, and own what its tables say.
    fn take_graph(&mut self, graph: &ExecutionGraph) {
        let former = std::mem::take(&mut self.participants);
        let former_chains = std::mem::take(&mut self.chains);
        for (vertex, index, subtask) in graph.subtasks() {
            self.participants.insert(subtask.id, Participant { subtask: subtask.id, vertex, index });
        }
        let mut behind: Vec<u32> = graph.vertices.iter().map(|vertex| vertex.parallelism()).collect();
        for (&id, participant) in &former {
            if self.participants.contains_key(&id) {
                continue;
            }
            self.last.remove(&id);
            if self.finished.remove(&id) {
                continue;
            }
            // People see those who leave behind the others.
            let index = &mut behind[usize::from(participant.vertex.0)];
            self.participants.insert(id, Participant { index: SubtaskIndex(*index), ..*participant });
            *index += 1;
            self.leaving.insert(id);
        }
        let runs = former_runs(&former, &former_chains);
        for (v, (vertex, placed)) in self.vertices.iter_mut().zip(&graph.vertices).enumerate() {
            vertex.table.clone_from(&placed.table);
            let Some(table) = &placed.table else { continue };
            let former = runs.get(&v).map(Vec::as_slice).unwrap_or_default();
            for (index, subtask) in placed.numbered() {
                let chain = Chain::inherit(table.groups_of(index), vertex.max_parallelism, former);
                self.chains.insert(subtask.id, chain);
            }
        }
        for id in &self.leaving {
            if let Some(chain) = former_chains.get(id) {
                self.chains.insert(*id, chain.of_nothing());
            }
        }
        let highest = self.participants.keys().last().map(|id| id.next());
        self.next_subtask = self.next_subtask.max(highest.unwrap_or_default());
    }
}

/// What the last complete checkpoint holds, by vertex.
fn former_runs(
    participants: &BTreeMap<SubtaskId, Participant>,
    chains: &BTreeMap<SubtaskId, Chain>,
) -> BTreeMap<usize, Vec<OwnedRuns>> {
    let mut runs: BTreeMap<usize, Vec<OwnedRuns>> = BTreeMap::new();
    for (id, chain) in chains {
        let vertex = usize::from(participants[id].vertex.0);
        runs.entry(vertex).or_default().extend(chain.parts());
    }
    runs
}
