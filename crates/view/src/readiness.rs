//! Whether a JobManager can do its work.

/// Whether a JobManager can do its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readiness {
    /// It does not lead its job yet.
    #[default]
    Starting,
    /// Another JobManager leads the job.
    StandingBy,
    /// Another JobManager leads the job, with another executable or other arguments than this one has.
    StandingByDifferent,
    /// It leads its job, or shows the one that has ended.
    Leading,
    /// It leads its job, but the checkpoint storage has not answered for some time.
    StorageSilent,
}
