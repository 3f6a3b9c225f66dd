//! How long a peer may be silent, in time that this process has seen pass.

use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// Signs of life that are sent in the time within which one must arrive.
pub(super) const SIGNS_IN_TIMEOUT: u32 = 5;

/// Waits for what a peer sends, or returns `None` if nothing arrives for `patience`.
///
/// A pause of this process itself (SIGSTOP, a suspended machine, a starved thread) counts as one of
/// [`SIGNS_IN_TIMEOUT`] intervals, however long it lasts: what has arrived meanwhile is in the socket's buffer, and this
/// thread reads it only after it has noticed that time has passed. *Rejected:* one deadline, which a pause of the whole
/// machine lets pass on all connections at once, so that every process takes all others for lost.
pub(super) async fn within<T>(patience: Duration, arriving: impl Future<Output = T>) -> Option<T> {
    let mut arriving = pin!(arriving);
    for _ in 0..SIGNS_IN_TIMEOUT {
        if let Ok(arrived) = timeout(patience / SIGNS_IN_TIMEOUT, arriving.as_mut()).await {
            return Some(arrived);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::sync::mpsc;
    use std::task::Poll;
    use std::time::Instant;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn run<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(task)
    }

    #[test]
    fn a_pause_of_this_process_is_not_the_peers_silence() {
        let mut polls = 0;
        let arriving = poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                // The thread is paused, for longer than the peer may be silent. What has arrived shows afterwards.
                let (_never, pause) = mpsc::channel::<()>();
                pause.recv_timeout(3 * PATIENCE).unwrap_err();
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready("a sign of life")
        });
        assert_eq!(run(within(PATIENCE, arriving)), Some("a sign of life"));
    }

    #[test]
    fn a_peer_that_sends_nothing_is_silent() {
        #[expect(clippy::disallowed_methods, reason = "the time that has really passed is what is tested")]
        let now = Instant::now;
        let begun = now();
        assert_eq!(run(within(PATIENCE, pending::<()>())), None);
        assert!(begun.elapsed() >= PATIENCE);
    }
}
