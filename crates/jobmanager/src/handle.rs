//! The interface of the JobManager for other threads: the latest view, and a way to send commands.

use reflow_coordination::autoscaler::provisioning::Report;
use reflow_env::Signal;
use reflow_types::inspection::{Inquiry, Inspect, Inspection};
use reflow_view::ClusterView;
use reflow_view::{Cluster, ClusterProcess, Command, CommandError, Reply};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The most waiting commands. The JobManager takes all of them whenever it wakes up.
const MAX_WAITING: usize = 64;
/// The most waiting reports; later ones are dropped.
const MAX_REPORTS: usize = 64;

/// The REST server's handle to the JobManager. Clones share it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    view: Mutex<Arc<ClusterView>>,
    commands: Mutex<VecDeque<Asked>>,
    reports: Mutex<Vec<Report>>,
    signal: Signal,
    inspect: Inspect,
}

/// A command that waits for its answer.
pub(crate) struct Asked {
    pub(crate) command: Command,
    answer: oneshot::Sender<Result<Reply, CommandError>>,
}

impl Asked {
    /// Answers it. The client may have gone.
    pub(crate) fn answer(self, result: Result<Reply, CommandError>) {
        let _ = self.answer.send(result);
    }
}

impl Handle {
    /// A handle to the JobManager that `signal` wakes.
    pub(crate) fn new(signal: Signal, view: ClusterView, inspect: Inspect) -> Self {
        let view = Mutex::new(Arc::new(view));
        Self(Arc::new(Shared {
            view,
            commands: Mutex::default(),
            reports: Mutex::default(),
            signal,
            inspect,
        }))
    }

    pub(crate) fn publish(&self, view: ClusterView) {
        *lock(&self.0.view) = Arc::new(view);
    }

    /// Takes the waiting commands, in order.
    pub(crate) fn take_commands(&self) -> VecDeque<Asked> {
        std::mem::take(&mut *lock(&self.0.commands))
    }

    /// Reports what became of the number of TaskManagers that the autoscaler asks for.
    pub fn report(&self, report: Report) {
        let mut reports = lock(&self.0.reports);
        if reports.len() < MAX_REPORTS {
            reports.push(report);
        }
        drop(reports);
        self.0.signal.raise();
    }

    /// Takes the reports since the last call.
    pub(crate) fn take_reports(&self) -> Vec<Report> {
        std::mem::take(&mut *lock(&self.0.reports))
    }

    /// Adds a command. Returns the receiver of its answer.
    pub(crate) fn ask(
        &self,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Reply, CommandError>>, CommandError> {
        let (answer, answered) = oneshot::channel();
        let mut commands = lock(&self.0.commands);
        if commands.len() == MAX_WAITING {
            let text = "the JobManager has too many commands to carry out: try again".to_owned();
            return Err(CommandError::Unavailable(text));
        }
        commands.push_back(Asked { command, answer });
        drop(commands);
        self.0.signal.raise();
        Ok(answered)
    }
}

impl Cluster for Handle {
    fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&lock(&self.0.view))
    }

    async fn inspect(&self, process: ClusterProcess, inquiry: Inquiry) -> Result<Inspection, CommandError> {
        match process {
            ClusterProcess::JobManager => {
                let inspect = self.0.inspect;
                let answer = tokio::task::spawn_blocking(move || inspect(&inquiry));
                answer.await.map_err(|panicked| CommandError::Failed(panicked.to_string()))
            }
            ClusterProcess::TaskManager(task_manager) => {
                match self.command(Command::Inspect { task_manager, inquiry }).await? {
                    Reply::Inspected(inspection) => Ok(inspection),
                    reply => {
                        Err(CommandError::Failed(format!("the JobManager replies {reply:?} to an inquiry")))
                    }
                }
            }
        }
    }

    async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let gone = |_| Err(CommandError::Unavailable("the JobManager has ended".to_owned()));
        self.ask(command)?.await.unwrap_or_else(gone)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::JobId;
    use reflow_types::inspection::InspectionError;

    #[test]
    fn commands_wake_the_job_manager_and_are_bounded() {
        let signal = Signal::default();
        let handle = Handle::new(signal.clone(), ClusterView::default(), |_| Err(InspectionError::NoSuchLog));
        let cancel = || Command::Cancel { job: JobId(1) };
        let mut answered = handle.ask(cancel()).unwrap();
        assert!(signal.take());
        handle.take_commands().pop_front().unwrap().answer(Ok(Reply::Accepted));
        assert_eq!(answered.try_recv().unwrap(), Ok(Reply::Accepted));
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| handle.ask(cancel()).unwrap()).collect();
        assert!(matches!(handle.ask(cancel()), Err(CommandError::Unavailable(_))));
        drop(handle.take_commands());
        assert!(waiting.into_iter().all(|mut answered| answered.try_recv().is_err()));
    }
}
