//! The restart of regions in an executor, beside the tasks of others, which run on.

use super::{Executor, builder};
use crate::attempt::{Building, Running};
use crate::record::Record;
use reflow_env::Output;
use reflow_graph::RegionIndex;
use reflow_protocol::command::CheckpointCommand;
use reflow_protocol::control::{FromExecutor, ToExecutor};
use reflow_protocol::deployment::{Addresses, Deployment};
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::report::ExecutorReport;
use reflow_runtime::SlotCommand;
use reflow_types::{CheckpointId, Instant};
use std::collections::BTreeSet;
use std::sync::Arc;
use tracing::{debug, info};

impl Executor {
    /// Drops the tasks of regions, also those that are built and not deployed.
    pub(super) fn end_regions(&mut self, regions: &BTreeSet<RegionIndex>) {
        let Some(running) = &mut self.running else { return };
        let subtasks = running.end_regions(&self.regions, regions);
        let ends = |building: &mut Building| !building.regions.is_disjoint(regions);
        if let Some(building) = self.building.take_if(ends) {
            building.discard(self.slots());
        }
        self.slots().end_regions(&subtasks);
    }

    /// Passes a command about a checkpoint on to all tasks but those of regions that do not take part in it.
    pub(super) fn send_to_participants(
        &mut self,
        checkpoint: CheckpointId,
        without: &BTreeSet<RegionIndex>,
        command: &CheckpointCommand,
    ) {
        let absent = self.running.as_ref().map(|running| running.subtasks_of(&self.regions, without));
        let absent = Arc::new(absent.unwrap_or_default());
        self.slots().send_to_all(|| {
            let (absent, command) = (absent.clone(), command.clone());
            SlotCommand::Checkpoint { checkpoint, absent, command }
        });
    }

    /// Ends regions, which are deployed again when all executors have ended them.
    pub(super) fn cancel_regions(&mut self, now: Instant, restart: RegionRestart, out: &mut Vec<Output>) {
        if self.running.as_ref().is_some_and(|running| running.attempt == restart.attempt) {
            info!(attempt = %restart.attempt, regions = ?restart.regions, "regions end");
            self.end_regions(&restart.regions);
        }
        self.canceled_regions = Some(restart);
        self.after_ending_regions(now, out);
    }

    /// Reports the end of regions once the slots have dropped their tasks.
    pub(super) fn after_ending_regions(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.slots().is_ending_regions() {
            return;
        }
        let Some(RegionRestart { attempt, version, .. }) = self.canceled_regions.take() else { return };
        self.give_back.on_change(now);
        if let Some(running) = &self.running {
            let next = self.next_subtask;
            let added = running.next.as_ref().map(|next| next.added());
            // What peers have opened for later subtasks is kept.
            self.hub.retain(|id| {
                let is_added = added.is_some_and(|added| added.contains_key(&id));
                id >= next || is_added || running.subtasks.contains_key(&id)
            });
        }
        let canceled = ExecutorReport::RegionsCanceled { attempt, version };
        self.job_manager.send(out, &FromExecutor::Report(canceled));
    }

    /// Begins to build the next tasks of regions.
    pub(super) fn deploy_regions(
        &mut self,
        now: Instant,
        restart: RegionRestart,
        deployment: Box<Deployment>,
        addresses: Addresses,
        out: &mut Vec<Output>,
    ) {
        let attempt = deployment.attempt;
        if self.running.as_ref().is_some_and(|running| running.attempt < attempt) {
            // A rescale or a restart of regions has moved an earlier attempt off this executor, so nobody has cancelled that
            // here.
            self.running = None;
            self.clear();
            self.deferred.push(ToExecutor::DeployRegions { restart, deployment, addresses });
            return;
        }
        let runs = self.running.as_ref().is_some_and(|running| running.attempt == attempt);
        if !runs && self.running.is_some() {
            debug!(%attempt, "regions of an attempt that does not run here are not deployed");
            return;
        }
        if !runs && self.fence.has_passed(attempt) {
            // The next leader has adopted an attempt that is older than one which another leader has deployed here and nowhere
            // else. Messages of that one count as late here, so the region would wait for them without end.
            let reason = format!(
                "regions of attempt {attempt} are to run here, where a later one has run: another executor takes its place"
            );
            out.push(Output::Exit { code: 1, reason });
            return;
        }
        info!(%attempt, regions = ?restart.regions, "deploying regions");
        self.give_back.on_change(now);
        self.note_subtasks(&deployment.graph);
        self.peers.set_addresses(&addresses, out);
        if !runs {
            // The attempt has had no subtasks in this executor: what its slots retain is of an earlier one.
            self.retained_epoch = Some(attempt.epoch);
            self.slots().send_to_all(|| SlotCommand::Forget);
            let record = Record::new(Arc::new(deployment.graph.clone()), deployment.checkpoint);
            self.running = Some(Running::nothing_of(attempt, record));
        }
        let builder = builder(&self.options, &self.credentials, &self.regions, &self.hub, &self.slots);
        let Some(running) = &mut self.running else { return };
        let building = Building::begin_regions(now, &builder, running, restart, *deployment);
        let refused = builder.check_memory(&building.graph);
        self.building = Some(building);
        if let Some((subtask, failure)) = refused {
            self.fail(subtask, failure, out);
        }
    }
}
