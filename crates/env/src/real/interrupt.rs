//! Catches SIGTERM and SIGINT and passes them to the process as inputs.

use super::inbox::Inbox;
use crate::Input;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a program that SIGINT has ended, as in shells.
const ENDED_BY_SIGINT: i32 = 130;

/// Turns SIGTERM and SIGINT into [`Input::Terminate`]. The second SIGINT ends the OS process at once, for a user
/// who does not want to wait.
pub(super) async fn watch(inbox: Inbox) {
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
        inbox.push_input(Input::Terminate);
    }
}
