//! The interface of the JobManager for other threads: the latest view, and a way to send commands.

use reflow_env::Signal;
use reflow_view::ClusterView;
use reflow_view::{Cluster, Command, CommandError, Reply};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The most waiting commands. The JobManager takes all of them whenever it wakes up.
const MAX_WAITING: usize = 64;

/// The variable by which `bin/standalone-job.sh` says to which file it has redirected the log.
const LOG_FILE: &str = "REFLOW_LOG_FILE";

/// The REST server's handle to the JobManager. Clones share it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    view: Mutex<Arc<ClusterView>>,
    commands: Mutex<VecDeque<Asked>>,
    signal: Signal,
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
    pub(crate) fn new(signal: Signal, view: ClusterView) -> Self {
        let view = Mutex::new(Arc::new(view));
        Self(Arc::new(Shared { view, commands: Mutex::default(), signal }))
    }

    pub(crate) fn publish(&self, view: ClusterView) {
        *lock(&self.0.view) = Arc::new(view);
    }

    /// Takes the waiting commands, in order.
    pub(crate) fn take_commands(&self) -> VecDeque<Asked> {
        std::mem::take(&mut *lock(&self.0.commands))
    }

    /// Adds a command. Returns the receiver of its answer.
    fn ask(&self, command: Command) -> Result<oneshot::Receiver<Result<Reply, CommandError>>, CommandError> {
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

    fn log_file(&self) -> Option<PathBuf> {
        std::env::var_os(LOG_FILE).map(PathBuf::from)
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

    #[test]
    fn commands_wake_the_job_manager_and_are_bounded() {
        let signal = Signal::default();
        let handle = Handle::new(signal.clone(), ClusterView::default());
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
