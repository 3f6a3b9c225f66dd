//! The executor and its JobManagers: tasks go on while there is none, and the next one is told of them.

use super::{Executor, report_frame};
use crate::link::Lost;
use reflow_env::{MAX_FRAME_BYTES, Output};
use reflow_protocol::adoption::{AttemptReport, ReportedStatus, RescaleProgress};
use reflow_protocol::control::ToExecutor;
use reflow_protocol::deployment::Attempt;
use reflow_types::{GraphVersion, Instant};
use tracing::{info, warn};

impl Executor {
    /// Handles a message of the JobManager. Before it has said which leadership it is, nothing else counts.
    pub(super) fn on_job_manager(&mut self, now: Instant, message: ToExecutor, out: &mut Vec<Output>) {
        self.job_manager.message_received(now);
        match message {
            ToExecutor::Registered { heartbeat_interval, heartbeat_timeout, epoch, token } => {
                let heartbeats = (heartbeat_interval, heartbeat_timeout);
                if self.unsent.is_too_much() {
                    let reason = "too much happened during the registration: it is repeated";
                    self.lose_job_manager(now, reason, out);
                } else if self.job_manager.registered(now, epoch, heartbeats) {
                    self.credentials.follow(token);
                    self.send_late(out);
                } else {
                    let reason =
                        format!("a JobManager that another one has replaced answers (leadership {epoch})");
                    self.lose_job_manager(now, &reason, out);
                }
            }
            ToExecutor::Refused { reason } => out.push(Output::Exit { code: 1, reason }),
            ToExecutor::Heartbeat => {}
            message if self.job_manager.is_registered() => self.handle_message(now, message, out),
            _ => {}
        }
    }

    /// The connection to the JobManager is lost, or could not be made.
    pub(super) fn lose_job_manager(&mut self, now: Instant, reason: &str, out: &mut Vec<Output>) {
        let was_registered = self.job_manager.is_registered();
        match self.job_manager.lost(now, out) {
            Lost::End => out.push(Output::Exit { code: 1, reason: reason.to_owned() }),
            Lost::LookForAnother if was_registered => {
                warn!(reason, "no JobManager: the tasks go on without one")
            }
            Lost::LookForAnother => {}
        }
    }

    /// Looks for another JobManager, and gives up after a while.
    pub(super) fn watch_job_manager(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(silence) = self.job_manager.silence(now) {
            let reason = format!("the JobManager has been silent for {} ms", silence.as_millis());
            self.lose_job_manager(now, &reason, out);
        }
        if self.job_manager.is_abandoned(now) {
            let seconds = self.job_manager.adoption_timeout().as_secs_f64();
            let reason = format!("no JobManager for {seconds} s (jobmanager.adoption.timeout)");
            out.push(Output::Exit { code: 1, reason });
        } else if self.job_manager.begin_retry(now) {
            self.job_manager.connect(now, out);
        }
    }

    /// The report of the attempt that is deployed here, if a JobManager has deployed one.
    pub(super) fn attempt_report(&self) -> Option<AttemptReport> {
        let Some((deployment, _)) = &self.deploying else {
            return self.running.as_ref().map(|running| running.report());
        };
        let id = self.credentials.id;
        let here = deployment.graph.subtasks().filter(|(_, _, subtask)| subtask.slot.executor == id);
        Some(AttemptReport {
            attempt: deployment.attempt,
            graph: deployment.graph.clone(),
            version: GraphVersion(0),
            rescale: RescaleProgress::None,
            restored: deployment.checkpoint,
            completed: None,
            undecided: None,
            highest: None,
            subtasks: here.map(|(_, _, subtask)| (subtask.id, ReportedStatus::Deploying)).collect(),
            readers: Vec::new(),
        })
    }

    /// Sends the acknowledgements that had no JobManager to go to, and what has happened since the registration was sent.
    fn send_late(&mut self, out: &mut Vec<Output>) {
        let Some(conn) = self.job_manager.registered_conn() else { return };
        for report in std::mem::take(&mut self.late).into_values().chain(self.unsent.take()) {
            out.push(Output::Send { conn, frame: report_frame::encode(report, MAX_FRAME_BYTES) });
        }
    }

    /// The attempt goes on under this JobManager, which uses no id of a checkpoint that the tasks know.
    pub(super) fn adopt(&mut self, attempt: Attempt) {
        let runs = self.running.as_ref().is_some_and(|running| running.attempt == attempt);
        if let Some(epoch) = self.job_manager.followed().filter(|_| runs) {
            info!(%attempt, leader = %epoch, "the attempt goes on under another JobManager");
            self.retained_epoch = Some(epoch);
        }
    }
}
