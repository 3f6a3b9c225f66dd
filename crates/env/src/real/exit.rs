//! How a driven process ends: its exit code and the reason.

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 if all is well.
    pub code: i32,
    /// Why, if the code is not 0.
    pub reason: String,
}

impl Exit {
    /// The code of a process that was killed, as shells have it.
    pub const KILLED: i32 = 137;
    /// The code of a process whose own code failed: a slot's thread or the process itself panicked.
    pub const PANICKED: i32 = 101;
    /// The code of a process that the system gave no threads.
    pub const NOT_STARTED: i32 = 71;

    pub(super) fn panicked(reason: String) -> Self {
        Self { code: Self::PANICKED, reason }
    }

    /// Whether the process ended by itself, and not well.
    pub(super) fn is_failure(&self) -> bool {
        !matches!(self.code, 0 | Exit::KILLED)
    }

    /// As the parent of a child process would say it.
    pub(super) fn as_child_status(&self) -> String {
        match self {
            Exit { code: Exit::KILLED, .. } => "killed by signal 9".into(),
            Exit { code, reason } if reason.is_empty() => format!("exit code {code}"),
            Exit { code, reason } => format!("exit code {code}: {reason}"),
        }
    }
}
