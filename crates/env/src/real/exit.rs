//! The exit code of a driven process, and the reason.

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 for success.
    pub code: i32,
    /// The reason if the code is not 0.
    pub reason: String,
}

impl Exit {
    /// The code of a process that was killed, as in shells.
    pub const KILLED: i32 = 137;
    /// The code of a process in which Reflow's code panicked, in a slot's thread or the process itself.
    pub const PANICKED: i32 = 101;
    /// The code of a process for which the system refused to create threads.
    pub const NOT_STARTED: i32 = 71;

    pub(super) fn panicked(reason: String) -> Self {
        Self { code: Self::PANICKED, reason }
    }

    /// Whether the process has failed. A process that was killed has not.
    pub(super) fn is_failure(&self) -> bool {
        !matches!(self.code, 0 | Exit::KILLED)
    }

    /// The status in the form of [`Input::ChildExited`](crate::Input::ChildExited).
    pub(super) fn as_child_status(&self) -> String {
        match self {
            Exit { code: Exit::KILLED, .. } => "killed by signal 9".into(),
            Exit { code, reason } if reason.is_empty() => format!("exit code {code}"),
            Exit { code, reason } => format!("exit code {code}: {reason}"),
        }
    }
}
