//! Catches SIGTERM and SIGINT and passes them to the process as inputs.

use super::inbox::Inbox;
use crate::Input;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a program that SIGINT has ended, as in shells.
const ENDED_BY_SIGINT: i32 = 130;

/// SIGTERM and SIGINT of this OS process, for processes that are driven one after the other: a signal that comes between two of
/// them, or that the former one has not handled before its end, reaches the next one. Clones are the same.
#[derive(Clone, Default)]
pub struct Interrupts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The inbox of the process that is driven.
    inbox: Option<Inbox>,
    /// The number of signals that no process has handled.
    pending: u64,
}

impl Interrupts {
    /// Watches for signals on this runtime, as long as that lives.
    pub fn watch(runtime: &Handle) -> Self {
        let interrupts = Self::default();
        runtime.spawn(watch(interrupts.clone()));
        interrupts
    }

    /// A signal has come.
    fn raise(&self) {
        let mut state = self.lock();
        state.pending += 1;
        if let Some(inbox) = &state.inbox {
            inbox.push_input(Input::Terminate);
        }
    }

    /// This process is driven from now on.
    pub(super) fn attach(&self, inbox: Inbox) {
        let mut state = self.lock();
        (0..state.pending).for_each(|_| inbox.push_input(Input::Terminate));
        state.inbox = Some(inbox);
    }

    /// The process handles a signal.
    pub(super) fn handled(&self) {
        let mut state = self.lock();
        state.pending = state.pending.saturating_sub(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns SIGTERM and SIGINT into [`Input::Terminate`]. The second SIGINT ends the OS process at once, for a user
/// who does not want to wait.
pub(super) async fn watch(interrupts: Interrupts) {
    let streams =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut term, mut int) = match streams {
        Ok(streams) => streams,
        Err(e) => return tracing::warn!("cannot watch for SIGTERM and SIGINT: {e}"),
    };
    let mut interrupted = false;
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {
                if interrupted {
                    std::process::exit(ENDED_BY_SIGINT);
                }
                interrupted = true;
            }
        }
        interrupts.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, driver};
    use super::*;
    use crate::{Output, Process, Signal};
    use reflow_types::Instant;

    /// A process that ends at its start, or when it is told to.
    struct Ends(bool);

    impl Process for Ends {
        fn handle(&mut self, _: Instant, input: Input, out: &mut Vec<Output>) {
            let (code, reason) = (0, String::new());
            match input {
                Input::Terminate => out.push(Output::Exit { code: 7, reason }),
                Input::Start if self.0 => out.push(Output::Exit { code, reason }),
                _ => {}
            }
        }

        fn next_wakeup(&self) -> Option<Instant> {
            None
        }
    }

    fn exit_code(interrupts: &Interrupts, at_start: bool) -> i32 {
        let options = Options { interrupts: Some(interrupts.clone()), ..Options::default() };
        driver::run(Box::new(Ends(at_start)), Signal::default(), options).code
    }

    #[test]
    fn a_signal_between_two_processes_reaches_the_next_one_and_only_that() {
        let interrupts = Interrupts::default();
        assert_eq!(exit_code(&interrupts, true), 0);
        interrupts.raise();
        assert_eq!(exit_code(&interrupts, false), 7);
        assert_eq!(exit_code(&interrupts, true), 0);
        assert_eq!(interrupts.lock().pending, 0);
    }
}
