//! The failure of an executor's part of an attempt.

use super::Executor;
use crate::peers::Peer;
use reflow_env::{ConnId, Output};
use reflow_graph::RegionIndex;
use reflow_protocol::control::FromExecutor;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_types::{ExecutorId, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use tracing::warn;

impl Executor {
    /// Reports a failure and drops the tasks of its region in this executor, because their further work would not count.
    pub(super) fn fail(&mut self, subtask: SubtaskId, failure: Failure, out: &mut Vec<Output>) {
        let Some(running) = &self.running else { return };
        let Some(region) = running.region_of(&self.regions, subtask) else { return };
        if running.ended.contains(&region) {
            return;
        }
        let attempt = running.attempt;
        warn!(%attempt, %subtask, operator = failure.operator, "subtask failed: {}", failure.message);
        // What is being built is dropped as a whole, and each region that loses tasks reports a failure.
        let mut reports = vec![(subtask, failure)];
        let building = self.building.iter().flat_map(|building| &building.regions);
        let mut regions: BTreeSet<RegionIndex> = building.copied().filter(|other| *other != region).collect();
        for other in &regions {
            let mut subtasks = running.subtasks.keys().copied();
            let of_other = subtasks.find(|id| running.region_of(&self.regions, *id) == Some(*other));
            let message = format!("its deployment has failed with that of {}", self.name_of(subtask));
            let failure = Failure { fault: reports[0].1.fault, operator: String::new(), message };
            reports.extend(of_other.map(|subtask| (subtask, failure)));
        }
        regions.insert(region);
        for (subtask, failure) in reports {
            self.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Failed(failure) }, out);
        }
        self.end_regions(&regions);
    }

    /// A subtask as users know it.
    pub(super) fn name_of(&self, subtask: SubtaskId) -> String {
        let next = self.running.iter().filter_map(|running| running.next.as_ref()).map(|next| &next.graph);
        let mut graphs = self.running.iter().map(|running| &running.record.graph).chain(next);
        let name = graphs.find_map(|graph| graph.name_of(&self.options.job.graph, subtask));
        name.unwrap_or_else(|| "another subtask".to_owned())
    }

    /// Fails the attempt because a new owner of key groups has not opened a connection and too much waits for it.
    pub(super) fn not_connected(
        &mut self,
        subtask: SubtaskId,
        owner: ExecutorId,
        bytes: usize,
        out: &mut Vec<Output>,
    ) {
        let message =
            format!("executor {owner} has opened no connection for its key groups: {bytes} bytes wait");
        let operator = "network".to_owned();
        self.fail(subtask, Failure { fault: Fault::Connection, operator, message }, out);
    }

    /// Tells the JobManager of a peer that gives no sign of life: it decides which of the two is cut off. The connection
    /// closes next, which fails the attempt. This is reported also when another executor has noticed it first and the
    /// attempt has ended already, because the decision needs all reports.
    pub(super) fn report_silent_peer(&mut self, conn: ConnId, out: &mut Vec<Output>) {
        if let Some(Peer::Sender(peer) | Peer::Receiver(peer) | Peer::OldOwner(peer) | Peer::NewOwner(peer)) =
            self.peers.get(conn)
        {
            self.job_manager.send(out, &FromExecutor::Report(ExecutorReport::PeerSilent { peer }));
        }
    }

    /// Fails the regions whose subtasks still exchange records or key groups with a peer that is gone.
    pub(super) fn lost_peer(&mut self, peer: Peer, reason: &str, out: &mut Vec<Output>) {
        let id = match peer {
            Peer::Sender(id) | Peer::Receiver(id) | Peer::OldOwner(id) => id,
            // A new owner closes the connection when it has everything, or reports the loss itself.
            Peer::NewOwner(_) | Peer::Unknown => return,
        };
        let Some(running) = &self.running else { return };
        let prepared_for = matches!(peer, Peer::OldOwner(_)) || !running.exchanges_with(id);
        if let Some(next) = running.next.as_ref().filter(|next| !next.cut && prepared_for)
            && (next.exchanges_with(id) || next.old_owners.contains(&id))
        {
            let (attempt, version) = (running.attempt, next.version);
            let reason = format!("the connection to executor {id}, made for the rescale, is gone: {reason}");
            let refused = ExecutorReport::RescaleRefused { attempt, version, reason };
            return self.job_manager.send(out, &FromExecutor::Report(refused));
        }
        if running.next.as_ref().is_some_and(|next| next.has_left(id)) {
            return;
        }
        // Finished subtasks do not exchange records any more: at the end of a job executors exit one by one.
        let regions: BTreeSet<RegionIndex> =
            running.peers.iter().filter(|(_, peer)| *peer == id).map(|(region, _)| *region).collect();
        let unfinished = running.subtasks.keys().filter(|id| !running.finished.contains(id));
        let mut first: BTreeMap<RegionIndex, SubtaskId> = BTreeMap::new();
        for subtask in unfinished {
            let region = running.region_of(&self.regions, *subtask).filter(|region| regions.contains(region));
            if let Some(region) = region {
                first.entry(region).or_insert(*subtask);
            }
        }
        for subtask in first.into_values() {
            let message = format!("the data connection to executor {id} is gone: {reason}");
            let operator = "network".to_owned();
            self.fail(subtask, Failure { fault: Fault::Connection, operator, message }, out);
        }
    }
}
