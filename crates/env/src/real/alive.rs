//! A handle that many tasks hold, and a way to wait until all of them have dropped it.

use std::convert::Infallible;
use std::sync::mpsc;

/// A handle of a task for which the exit of the process waits.
#[derive(Clone)]
pub(super) struct Alive {
    _sender: mpsc::Sender<Infallible>,
}

impl Alive {
    /// A handle, and a receiver that disconnects when the handle and all its clones are dropped.
    pub(super) fn new() -> (Self, mpsc::Receiver<Infallible>) {
        let (sender, all_gone) = mpsc::channel();
        (Self { _sender: sender }, all_gone)
    }
}
