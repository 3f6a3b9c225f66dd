//! The end of an attempt in this executor, and the start of the next one once the slots have dropped it.

use super::Executor;
use reflow_env::Output;
use reflow_graph::ExecutionGraph;
use reflow_protocol::control::FromExecutor;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::report::ExecutorReport;
use reflow_runtime::SlotCommand;
use reflow_types::{Instant, SubtaskId};

/// What follows the end of an attempt.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// It is reported.
    Canceled(Attempt),
    /// Nothing.
    Dropped,
}

impl Executor {
    /// Subtasks of later attempts and rescales have higher ids than these.
    pub(super) fn note_subtasks(&mut self, graph: &ExecutionGraph) {
        let highest = graph.subtasks().map(|(_, _, subtask)| subtask.id).max();
        self.next_subtask = self.next_subtask.max(highest.map_or(SubtaskId(0), |id| SubtaskId(id.0 + 1)));
    }

    /// Ends an attempt and reports it.
    pub(super) fn cancel(&mut self, now: Instant, attempt: Attempt, out: &mut Vec<Output>) {
        // An adopted attempt may be older than one that another leader has deployed here meanwhile.
        let runs = self.running.as_ref().is_some_and(|running| running.attempt == attempt);
        if self.fence.has_passed(attempt) && !runs {
            return self
                .job_manager
                .send(out, &FromExecutor::Report(ExecutorReport::AttemptCanceled { attempt }));
        }
        self.end(now, attempt, Ending::Canceled(attempt), out);
    }

    /// Drops all tasks.
    pub(super) fn end(&mut self, now: Instant, attempt: Attempt, ending: Ending, out: &mut Vec<Output>) {
        self.ending = Some(ending);
        let is_building = self.building.as_ref().is_some_and(|building| building.attempt() == attempt);
        if is_building || self.deploying.as_ref().is_some_and(|(next, _)| next.attempt == attempt) {
            self.deploying = None;
            self.deferred.clear();
        }
        self.running = None;
        self.canceled_regions = None;
        self.clear();
        self.after_clearing(now, out);
    }

    /// Continues a cancellation or a deployment once the slots have dropped their tasks.
    pub(super) fn after_clearing(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.slots().is_clearing() || self.building.is_some() {
            return;
        }
        let first = self.first_kept();
        if let Some(ending) = self.ending.take() {
            self.give_back.on_change(now);
            self.hub.clear(first);
            if let Ending::Canceled(attempt) = ending {
                let canceled = ExecutorReport::AttemptCanceled { attempt };
                self.job_manager.send(out, &FromExecutor::Report(canceled));
            }
        }
        let Some((deployment, addresses)) = self.deploying.take() else {
            return self.take_deferred(now, out);
        };
        self.give_back.on_change(now);
        self.hub.clear(first);
        self.peers.end_hand_overs(out);
        self.peers.set_addresses(&addresses, out);
        // Checkpoints of another leadership may have the same ids.
        if self.retained_epoch.replace(deployment.attempt.epoch) != Some(deployment.attempt.epoch) {
            self.slots().send_to_all(|| SlotCommand::Forget);
        }
        self.begin_building(now, *deployment, out);
    }

    /// The first subtask for which channels are kept that peers have opened. They may have done so before this executor was
    /// told to drop its attempt or to deploy the next one.
    pub(super) fn first_kept(&self) -> SubtaskId {
        match &self.deploying {
            Some((deployment, _)) => {
                let ids = deployment.graph.subtasks().map(|(_, _, subtask)| subtask.id);
                ids.min().unwrap_or_default()
            }
            None => self.next_subtask,
        }
    }

    /// Handles the messages that have waited.
    pub(super) fn take_deferred(&mut self, now: Instant, out: &mut Vec<Output>) {
        for message in std::mem::take(&mut self.deferred) {
            self.handle_message(now, message, out);
        }
    }
}
