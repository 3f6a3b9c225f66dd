//! What goes wrong in the test world.

/// What the world does with requests of the scheduler; all is obeyed unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Subtasks decline checkpoints.
    pub(super) decline: bool,
    /// Executors do not answer when an attempt is cancelled.
    pub(super) ignore_cancel: bool,
    /// Subtasks are deployed and never run.
    pub(super) never_run: bool,
    /// Subtasks do not acknowledge checkpoints.
    pub(super) never_acknowledge: bool,
    /// Subtasks do not commit and finish.
    pub(super) never_finish: bool,
    /// Executors refuse to prepare a rescale.
    pub(super) refuse: bool,
    /// Executors do not prepare a rescale.
    pub(super) never_prepare: bool,
    /// Subtasks do not pass a cut.
    pub(super) never_cut: bool,
    pub(super) disk_full: bool,
}
