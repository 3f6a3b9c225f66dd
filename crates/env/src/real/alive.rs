//! A handle that many tasks hold, and a wait for the last of them to drop it.

use std::convert::Infallible;
use std::sync::mpsc;

/// Held by everything that the exit waits for.
#[derive(Clone)]
pub(super) struct Alive {
    _sender: mpsc::Sender<Infallible>,
}

impl Alive {
    /// One, and what tells when it and all its clones are gone.
    pub(super) fn new() -> (Self, mpsc::Receiver<Infallible>) {
        let (sender, all_gone) = mpsc::channel();
        (Self { _sender: sender }, all_gone)
    }
}
