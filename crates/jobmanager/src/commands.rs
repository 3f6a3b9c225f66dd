//! Users' commands: checks them, passes them to the scheduler, and answers.

use crate::layout::is_absolute;
use crate::leader::Leader;
use crate::operations::Kind;
use crate::requirements::Bounds;
use reflow_coordination::event::Event;
use reflow_coordination::requirements::RequestedBounds;
use reflow_env::{Location, Output};
use reflow_types::inspection::Inquiry;
use reflow_types::{Instant, JobId, TaskManagerId, VertexId};
use reflow_view::{Command, CommandError, ParallelismBounds, Reply, RequestId, SavepointFormat};
use std::collections::BTreeMap;

/// What the handling of a command needs.
pub(crate) struct Desk<'a> {
    pub(crate) job: JobId,
    pub(crate) leader: &'a mut Leader,
    /// `execution.checkpointing.savepoint-dir`.
    pub(crate) savepoint_dir: Option<&'a str>,
    /// The id for requests that have none.
    pub(crate) new_request: u128,
}

/// The outcome of a command.
pub(crate) enum CommandOutcome {
    Answered(Reply),
    /// Checked requirements, which take effect and are answered when they are stored.
    Declared(Bounds),
    /// A registered TaskManager answers it.
    Inspecting(TaskManagerId, Inquiry),
    /// Accepted; the process ends.
    ShutDown,
    /// A standby takes the job over, if there is one.
    Transferring,
}

/// A requested savepoint.
struct Savepoint {
    request: Option<RequestId>,
    directory: Option<String>,
    format: SavepointFormat,
}

impl Desk<'_> {
    pub(crate) fn carry_out(
        &mut self,
        now: Instant,
        command: Command,
        out: &mut Vec<Output>,
    ) -> Result<CommandOutcome, CommandError> {
        self.check_job(&command)?;
        let reply = match command {
            Command::QueryOperation { request, .. } => {
                let kinds = [Kind::Savepoint, Kind::Checkpoint];
                let status = self.leader.operations.query_of(&kinds, request);
                status.map(Reply::Operation).ok_or(CommandError::UnknownRequest(request, self.job))
            }
            Command::QueryDisposal { request } => {
                let status = self.leader.operations.query_of(&[Kind::Disposal], request);
                status.map(Reply::Operation).ok_or(CommandError::UnknownRequest(request, self.job))
            }
            Command::DisposeSavepoint { directory } => self.dispose(&directory, out),
            Command::Cancel { .. } => {
                self.check_running()?;
                self.leader.handle_event(now, Event::Cancel, out);
                Ok(Reply::Accepted)
            }
            Command::TriggerSavepoint {
                request, target_directory: directory, cancel_job, format, ..
            } => {
                let savepoint = Savepoint { request, directory, format };
                self.savepoint(now, savepoint, out, |request, directory| Event::TriggerSavepoint {
                    request,
                    directory,
                    cancel_job,
                })
            }
            Command::StopWithSavepoint { request, target_directory: directory, drain, format, .. } => {
                let savepoint = Savepoint { request, directory, format };
                self.savepoint(now, savepoint, out, |request, directory| Event::StopWithSavepoint {
                    request,
                    directory,
                    drain,
                })
            }
            Command::TriggerCheckpoint { request, .. } => {
                let event = |request| Event::TriggerCheckpoint { request };
                self.begin(now, request, Kind::Checkpoint, out, event)
            }
            Command::UpdateRequirements { requirements, .. } => {
                return self.check_requirements(&requirements).map(CommandOutcome::Declared);
            }
            Command::ShutDown => return Ok(CommandOutcome::ShutDown),
            Command::TransferLeadership => {
                self.check_running()?;
                return Ok(CommandOutcome::Transferring);
            }
            Command::Inspect { task_manager, inquiry } => {
                self.check_task_manager(task_manager)?;
                return Ok(CommandOutcome::Inspecting(task_manager, inquiry));
            }
            Command::DrainTaskManager { task_manager, force } => self.drain(now, task_manager, force, out),
        };
        reply.map(CommandOutcome::Answered)
    }

    fn check_job(&self, command: &Command) -> Result<(), CommandError> {
        let job = match command {
            Command::Cancel { job }
            | Command::TriggerSavepoint { job, .. }
            | Command::StopWithSavepoint { job, .. }
            | Command::TriggerCheckpoint { job, .. }
            | Command::QueryOperation { job, .. }
            | Command::UpdateRequirements { job, .. } => *job,
            Command::DisposeSavepoint { .. }
            | Command::QueryDisposal { .. }
            | Command::DrainTaskManager { .. }
            | Command::Inspect { .. }
            | Command::ShutDown
            | Command::TransferLeadership => return Ok(()),
        };
        if job == self.job { Ok(()) } else { Err(CommandError::UnknownJob(job)) }
    }

    fn check_running(&self) -> Result<(), CommandError> {
        match self.leader.end {
            None => Ok(()),
            Some(_) => Err(CommandError::Conflict(format!("job {} has ended", self.job))),
        }
    }

    /// Whether the TaskManager is registered. After the end of the job there is no connection to any.
    fn check_task_manager(&self, id: TaskManagerId) -> Result<(), CommandError> {
        self.check_running()?;
        let mut registered = self.leader.members.task_managers();
        registered.any(|(other, _)| other == id).then_some(()).ok_or(CommandError::UnknownTaskManager(id))
    }

    fn savepoint(
        &mut self,
        now: Instant,
        savepoint: Savepoint,
        out: &mut Vec<Output>,
        event: impl FnOnce(RequestId, String) -> Event,
    ) -> Result<Reply, CommandError> {
        if savepoint.format == SavepointFormat::Native {
            let text = "savepoints in NATIVE format do not exist: leave out formatType, or use CANONICAL";
            return Err(CommandError::Invalid(text.to_owned()));
        }
        let Some(directory) = savepoint.directory.or(self.savepoint_dir.map(str::to_owned)) else {
            let text = "no directory for the savepoint: give one with the request, or set \
                        execution.checkpointing.savepoint-dir";
            return Err(CommandError::Invalid(text.to_owned()));
        };
        if !is_absolute(&directory) {
            let text = format!("savepoint directory '{directory}': give a path from the root, or a URL");
            return Err(CommandError::Invalid(text));
        }
        self.begin(now, savepoint.request, Kind::Savepoint, out, |request| event(request, directory))
    }

    /// Begins to delete a savepoint. It need not be one of this job.
    fn dispose(&mut self, directory: &str, out: &mut Vec<Output>) -> Result<Reply, CommandError> {
        let directory = directory.trim_end_matches('/');
        let directory = directory.strip_suffix("/_metadata").unwrap_or(directory).trim_end_matches('/');
        let name = directory.rsplit('/').next().unwrap_or_default();
        if !is_absolute(directory) || ["", ".", ".."].contains(&name) {
            let text = format!("savepoint '{directory}': give its path from the root, or its URL");
            return Err(CommandError::Invalid(text));
        }
        let request = RequestId(self.new_request);
        self.leader.dispose_of_savepoint(request, Location(directory.to_owned()), out)?;
        Ok(Reply::Triggered(request))
    }

    /// Begins an operation, unless it is already under way.
    fn begin(
        &mut self,
        now: Instant,
        request: Option<RequestId>,
        kind: Kind,
        out: &mut Vec<Output>,
        event: impl FnOnce(RequestId) -> Event,
    ) -> Result<Reply, CommandError> {
        let request = request.unwrap_or(RequestId(self.new_request));
        if self.leader.operations.query(request).is_none() {
            self.check_running()?;
            self.leader.operations.begin(request, kind);
            self.leader.handle_event(now, event(request), out);
        }
        Ok(Reply::Triggered(request))
    }

    /// Drains a TaskManager. If the job cannot run without it, only by force, and only when its state is in a
    /// checkpoint or savepoint.
    fn drain(
        &mut self,
        now: Instant,
        task_manager: TaskManagerId,
        force: bool,
        out: &mut Vec<Output>,
    ) -> Result<Reply, CommandError> {
        self.check_task_manager(task_manager)?;
        let leader = &mut self.leader;
        if leader.scheduler.can_spare(task_manager) {
            leader.members.request_drain(task_manager, out);
            leader.settle(now, out);
            return Ok(Reply::Accepted);
        }
        if !force {
            let text = format!(
                "without TaskManager {task_manager} the job has fewer slots than it needs and stands still: start \
                 another TaskManager first, or use force, which takes a savepoint or a checkpoint before"
            );
            return Err(CommandError::Conflict(text));
        }
        leader.operations.drain_after(RequestId(self.new_request), task_manager);
        let reply = match self.savepoint_dir {
            Some(_) => {
                let savepoint =
                    Savepoint { request: None, directory: None, format: SavepointFormat::Canonical };
                self.savepoint(now, savepoint, out, |request, directory| Event::TriggerSavepoint {
                    request,
                    directory,
                    cancel_job: false,
                })
            }
            None => {
                self.begin(now, None, Kind::Checkpoint, out, |request| Event::TriggerCheckpoint { request })
            }
        };
        if reply.is_err() {
            self.leader.operations.take_drain(RequestId(self.new_request));
        }
        reply
    }

    fn check_requirements(
        &self,
        requirements: &BTreeMap<VertexId, ParallelismBounds>,
    ) -> Result<Bounds, CommandError> {
        self.check_running()?;
        let requested = |bounds: &ParallelismBounds| RequestedBounds {
            lower: i64::from(bounds.lower),
            upper: i64::from(bounds.upper),
        };
        let requested = requirements.iter().map(|(vertex, bounds)| (*vertex, requested(bounds))).collect();
        let accepted = self.leader.scheduler.check_requirements(&requested);
        accepted.map_err(|error| CommandError::Invalid(error.to_string()))
    }
}
