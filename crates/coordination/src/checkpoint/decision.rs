//! The decision of a checkpoint, which is made by creating the object under its deciding name. That succeeds only
//! once.
//!
//! ```text
//! collecting --all acknowledged--> sealed --manifest: won--------------------> complete
//!     |                              |----- manifest: lost-------------------> failed
//!     |                              `----- unknown, too late, attempt over--> abandoning
//!     `--declined, too late, attempt over--> failed       abandoning --won---> failed
//!                                                         abandoning --lost--> complete
//!                                                         abandoning --unknown--> again, after a while
//! ```
//!
//! While acknowledgements are missing, the manifest cannot exist, so the checkpoint fails at once. Its name is
//! still created as abandoned, for a successor to find, but nothing waits for that: a restart does not depend on storage
//! that is full or slow.
//!
//! A savepoint that stops the job is written twice: first its manifest in its own directory, then the same manifest with
//! absolute names under the deciding name in the job's directory. The second one decides.

use super::coordinator::{Coordinator, answers};
use super::deployed::{CutOutcome, Deployed};
use super::pending::{Abandoning, Pending, Sealed};
use super::retention::{Collected, Completed};
use super::{Effect, FailureCause, Purpose};
use crate::action::Action;
use crate::event::StoreOutcome;
use crate::manifest::below;
use reflow_protocol::command::CheckpointCommand;
use reflow_protocol::snapshot::{AfterBarrier, StateFormat, SubtaskState};
use reflow_types::{CheckpointId, Instant};
use std::time::Duration;

/// The reason of the failure if the deciding name already exists.
const TAKEN: &str = "a former JobManager of the job has taken its name";
const RETRY_DELAY: Duration = Duration::from_millis(200);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);

impl Abandoning {
    pub(super) fn new(cause: FailureCause, reason: String) -> Self {
        Self { cause, reason, failures: 0, retry_at: None }
    }

    /// Storage has not reported the outcome, so it is asked again after a pause.
    fn failed(&mut self, now: Instant) {
        let delay = RETRY_DELAY.saturating_mul(1 << self.failures.min(10)).min(MAX_RETRY_DELAY);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + delay);
    }
}

impl Coordinator {
    /// Handles the outcome of [`Action::StoreManifest`].
    pub fn on_manifest_stored(
        &mut self,
        now: Instant,
        checkpoint: CheckpointId,
        outcome: StoreOutcome,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        let sealed = self.pending.as_ref().filter(|p| p.id == checkpoint && p.sealed.is_some());
        let Some(abandoning) = sealed.map(|pending| pending.abandoning.is_some()) else { return out };
        match outcome {
            StoreOutcome::Won => self.stands(now, &mut out),
            StoreOutcome::Lost => {
                // The next checkpoint has another name, so this does not count as a failure.
                self.fail(now, FailureCause::Other, TAKEN.to_owned(), &mut out);
            }
            StoreOutcome::Failed(_) | StoreOutcome::ObjectGone(_) if abandoning => {}
            StoreOutcome::ObjectGone(reason) => {
                if let Some(deployed) = &mut self.deployed {
                    deployed.rewrite = true;
                }
                self.give_up(now, FailureCause::Storage, reason, &mut out);
            }
            StoreOutcome::Failed(reason) => {
                let reason = format!("its manifest could not be stored: {reason}");
                self.give_up(now, FailureCause::Storage, reason, &mut out);
            }
        }
        self.advance(now, &mut out);
        out
    }

    /// Handles the outcome of [`Action::StoreAbandoned`]. `Lost` means that the name has a manifest, not an
    /// abandonment.
    pub fn on_abandoned_stored(
        &mut self,
        now: Instant,
        checkpoint: CheckpointId,
        outcome: StoreOutcome,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        if matches!(outcome, StoreOutcome::Won | StoreOutcome::Lost) {
            self.unrecorded.take_if(|id| *id == checkpoint);
        }
        if self.pending.as_ref().is_some_and(|p| p.id == checkpoint && p.abandoning.is_some()) {
            self.abandonment_stored(now, outcome, &mut out);
        } else if outcome == StoreOutcome::Won {
            self.retention.know_abandoned(checkpoint);
        }
        self.advance(now, &mut out);
        out
    }

    fn abandonment_stored(&mut self, now: Instant, outcome: StoreOutcome, out: &mut Vec<Effect>) {
        let pending = self.pending.as_mut().expect("the caller has looked");
        let abandoning = pending.abandoning.as_mut().expect("the caller has looked");
        match outcome {
            StoreOutcome::Won => {
                let (id, cause, reason) = (pending.id, abandoning.cause, abandoning.reason.clone());
                if !pending.purpose.is_savepoint() || pending.savepoint_stands {
                    self.retention.know_abandoned(id);
                }
                self.fail_and_count(now, cause, reason, out);
            }
            StoreOutcome::Lost => self.stands(now, out),
            // The attempt continues, because its tasks need no storage and a restart would have to wait for it.
            StoreOutcome::Failed(_) | StoreOutcome::ObjectGone(_) => abandoning.failed(now),
        }
    }

    /// The manifest exists. A savepoint that stops the job must then also be decided in the job's directory, so
    /// that a successor does not resume from a checkpoint before the output that executors commit with the
    /// savepoint.
    fn stands(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(pending) = self.pending.as_mut().filter(|p| p.is_stop() && !p.savepoint_stands) else {
            return self.complete(now, out);
        };
        pending.savepoint_stands = true;
        if let Some(abandoning) = pending.abandoning.take() {
            return self.fail_and_count(now, abandoning.cause, abandoning.reason, out);
        }
        let Some(sealed) = &pending.sealed else { return };
        let (checkpoint, at) = (pending.id, pending.name(&self.settings.job_dir));
        let manifest = Box::new(sealed.manifest.clone());
        out.push(Effect::Act(Action::StoreManifest { checkpoint, at, manifest }));
    }

    /// Tries abandonments again whose outcome storage has not reported.
    pub(super) fn retry_abandonments(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let due = |abandoning: &Abandoning| abandoning.retry_at.is_some_and(|at| at <= now);
        if let Some(pending) = &mut self.pending {
            let (checkpoint, at) = (pending.id, pending.name(&self.settings.job_dir));
            if let Some(abandoning) = pending.abandoning.as_mut().filter(|a| due(a)) {
                abandoning.retry_at = None;
                out.push(Effect::Act(Action::StoreAbandoned { checkpoint, at }));
            }
        }
    }

    /// Whether everything that the manifest contains has arrived.
    pub(super) fn is_ready_to_seal(&self) -> bool {
        let (Some(pending), Some(deployed)) = (&self.pending, &self.deployed) else { return false };
        let enumerated = pending.enumerators.is_some() || !deployed.has_sources;
        pending.is_collecting() && enumerated && pending.acknowledged.len() == pending.participants.len()
    }

    /// Sends the manifest to storage once everything is acknowledged.
    pub(super) fn seal_if_complete(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if !self.is_ready_to_seal() {
            return;
        }
        let next_subtask = self.next_subtask();
        let (Some(pending), Some(deployed)) = (&mut self.pending, &self.deployed) else { return };
        let chains = deployed.extended(pending);
        for (subtask, chain) in &chains {
            let participant = &pending.participants[subtask];
            let bytes = chain.bytes() + state_bytes(&pending.acknowledged[subtask]);
            self.stats.holds(pending.id, usize::from(participant.vertex.0), participant.index, bytes);
        }
        let base = self.retention.latest().map(|latest| &latest.manifest);
        let mut manifest =
            deployed.manifest(&self.identity, pending, &chains, next_subtask, (&self.lineage, base));
        if let Some(reason) = manifest.too_large(self.settings.max_operator_bytes) {
            return self.give_up(now, FailureCause::Other, reason, out);
        }
        let (checkpoint, at) = (pending.id, pending.name(&self.settings.job_dir));
        let stored = Box::new(manifest.clone());
        manifest.rebase(&pending.at);
        pending.sealed = Some(Sealed { manifest, chains });
        out.push(Effect::Act(Action::StoreManifest { checkpoint, at, manifest: stored }));
    }

    /// Abandons the pending checkpoint, if any.
    pub(super) fn give_up(
        &mut self,
        now: Instant,
        cause: FailureCause,
        reason: String,
        out: &mut Vec<Effect>,
    ) {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.abandoning.is_none()) else {
            return;
        };
        let (checkpoint, at) = (pending.id, pending.name(&self.settings.job_dir));
        if pending.sealed.is_some() {
            pending.abandoning = Some(Abandoning::new(cause, reason));
            out.push(Effect::Act(Action::StoreAbandoned { checkpoint, at }));
        } else {
            if !pending.purpose.is_savepoint() {
                self.unrecorded = Some(checkpoint);
                out.push(Effect::Act(Action::StoreAbandoned { checkpoint, at }));
            }
            self.fail_and_count(now, cause, reason, out);
        }
    }

    fn complete(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(Pending {
            id,
            attempt,
            purpose,
            then,
            requests,
            format,
            full,
            at,
            sealed,
            acknowledged,
            participants,
            without,
            ..
        }) = self.pending.take()
        else {
            return;
        };
        let Sealed { manifest, chains } = sealed.expect("only a sealed checkpoint can be complete");
        self.last_ended = Some(now);
        self.failures = 0;
        self.unrecorded = None;
        self.stats.completed(id, now, at.clone());
        if let Some(deployed) = self.deployed.as_mut().filter(|deployed| deployed.attempt == attempt) {
            out.push(Effect::Act(Action::checkpoint(
                attempt,
                id,
                &without,
                CheckpointCommand::NotifyComplete,
            )));
            deployed.ending |= then != AfterBarrier::Continue || purpose == Purpose::Final;
            deployed.ends = manifest.ending;
            if format == StateFormat::Checkpoint {
                deployed.rewrite &= !full;
                deployed.chains.extend(chains);
            }
            let without_keyed = |state: SubtaskState| SubtaskState { keyed: None, ..state };
            deployed.last.retain(|subtask, _| !participants.contains_key(subtask));
            deployed.last.extend(acknowledged.into_iter().map(|(s, state)| (s, without_keyed(state))));
        }
        if purpose.is_stop() {
            // The request of a stop is answered when the job has ended.
            self.retention.know_abandoned(id);
            self.stopping = Some((requests, at.clone()));
        } else {
            out.extend(answers(requests, Ok(at.clone())));
        }
        let owned = !purpose.is_savepoint();
        // A savepoint after which the job continues belongs to the user, who may delete it at any time. One that
        // stops the job is its latest checkpoint until the job has ended.
        if purpose != Purpose::Savepoint {
            self.retention.add(Completed { checkpoint: id, at: at.clone(), owned, manifest });
            let collected = self.retention.collect();
            out.push(Effect::Completed { checkpoint: id, purpose, at });
            self.delete(collected, out);
        } else {
            out.push(Effect::Completed { checkpoint: id, purpose, at });
        }
        self.cut_decided(id, CutOutcome::Complete, out);
    }

    /// Fails the pending checkpoint, and counts that as a failure.
    fn fail_and_count(&mut self, now: Instant, cause: FailureCause, reason: String, out: &mut Vec<Effect>) {
        let Some(Pending { id, attempt, purpose, without, .. }) = self.pending.as_ref() else { return };
        let (id, periodic) = (*id, *purpose == Purpose::Periodic);
        // One that is abandoned because a region restarts is no failure of a checkpoint. While storage has lost objects of the
        // last complete one, a restart could not restore it.
        let counts = |deployed: &Deployed| {
            let runs = deployed.attempt == *attempt && deployed.running && !deployed.rewrite;
            runs && deployed.absent.is_subset(without)
        };
        let counts = self.deployed.as_ref().is_some_and(counts);
        self.fail(now, cause, reason.clone(), out);
        if counts && periodic {
            self.failures += 1;
            if self.failures > self.settings.tolerable_failures {
                let reason = format!(
                    "{} checkpoints in a row have failed, {} are tolerated; the last one, {id}: {reason}",
                    self.failures, self.settings.tolerable_failures
                );
                out.push(Effect::TooManyFailures { reason });
            }
        }
    }

    fn fail(&mut self, now: Instant, cause: FailureCause, reason: String, out: &mut Vec<Effect>) {
        let Some(Pending {
            id,
            attempt,
            purpose,
            requests,
            at,
            data,
            acknowledged,
            savepoint_stands,
            without,
            ..
        }) = self.pending.take()
        else {
            return;
        };
        self.last_ended = Some(now);
        self.stats.failed(id, now, reason.clone());
        let active = self.deployed.as_ref().is_some_and(|deployed| deployed.attempt == attempt);
        // Executors are not notified of a failed cut yet, because subtasks that have not received its barrier
        // must still cut.
        if active && purpose != Purpose::Cut {
            out.push(Effect::Act(Action::checkpoint(
                attempt,
                id,
                &without,
                CheckpointCommand::NotifyAborted,
            )));
        }
        out.extend(answers(requests, Err(reason.clone())));
        out.push(Effect::Failed { checkpoint: id, purpose, cause, reason });
        if purpose.is_savepoint() {
            let objects = acknowledged.into_values().filter_map(|state| state.keyed?.object);
            let manifest = savepoint_stands.then(|| format!("{at}/_metadata"));
            let objects = objects.map(|object| below(&data, &object));
            let objects: Vec<String> = manifest.into_iter().chain(objects).collect();
            if !objects.is_empty() {
                out.push(Effect::Act(Action::DeleteObjects { objects }));
            }
        }
        self.cut_decided(id, CutOutcome::Failed, out);
    }

    pub(super) fn delete(&mut self, collected: Collected, out: &mut Vec<Effect>) {
        collected.subsumed.iter().for_each(|id| self.stats.discarded(*id));
        for objects in [collected.manifests, collected.objects] {
            if !objects.is_empty() {
                out.push(Effect::Act(Action::DeleteObjects { objects }));
            }
        }
    }
}

fn state_bytes(state: &SubtaskState) -> u64 {
    state.operator.iter().map(crate::manifest::operator_bytes).sum()
}
