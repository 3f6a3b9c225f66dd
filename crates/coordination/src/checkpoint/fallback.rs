//! Whether a job resumes from an older checkpoint if newer complete ones cannot be read.
//!
//! The older checkpoint produces again what sinks have committed with the newer ones. A sink that commits with checkpoints
//! cannot take its output back, so the output would be duplicated; such a job asks its user. A job without such a sink
//! resumes, because some of its output may be repeated after any failure.
//!
//! ```
//! use reflow_coordination::checkpoint::fallback::{AllowReplay, Decision, Fallback, Older};
//! use reflow_types::CheckpointId;
//!
//! let older = Older { checkpoint: CheckpointId(6), at: "/c/chk-6".into(), owned: true };
//! let damaged = vec![(CheckpointId(7), "/c/data/a is not there".to_owned())];
//! let fallback = Fallback { damaged, older };
//! assert!(matches!(fallback.decide(&["files"], AllowReplay::No), Decision::Ask(_)));
//! assert!(matches!(fallback.decide(&["files"], AllowReplay::AtStart), Decision::GoBack(_)));
//! let no_sinks: &[&str] = &[];
//! assert!(matches!(fallback.decide(no_sinks, AllowReplay::No), Decision::GoBack(_)));
//! ```

use reflow_types::CheckpointId;

/// The user's answer to the question whether output may be written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowReplay {
    /// No answer yet, so the job asks.
    #[default]
    No,
    /// `--allow-replay`: yes, for damage that is found when this JobManager starts. Once the job runs, it asks
    /// again.
    AtStart,
    /// `execution.state-recovery.allow-replay`: yes, always.
    Always,
}

/// The older checkpoint from which the job could resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    pub checkpoint: CheckpointId,
    /// Its directory.
    pub at: String,
    /// Whether it is the job's own, and not the savepoint from which the job was started.
    pub owned: bool,
}

/// Complete checkpoints that cannot be read, and the older one from which the job could resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The damaged checkpoints, oldest first, each with its damage, which names the object.
    pub damaged: Vec<(CheckpointId, String)>,
    /// The older checkpoint.
    pub older: Older,
}

/// The decision, with the text for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The job resumes from the older checkpoint, with this warning.
    GoBack(String),
    /// The job fails with this question. Nothing is changed, so that the next start can resume from either
    /// checkpoint.
    Ask(String),
}

impl Fallback {
    /// Decides for a job with these sinks that commit with checkpoints.
    pub fn decide(&self, committing: &[impl AsRef<str>], allow_replay: AllowReplay) -> Decision {
        let Older { checkpoint, at, owned } = &self.older;
        let older = match owned {
            true => format!("checkpoint {checkpoint} ({at})"),
            false => format!("the savepoint that the job was started from ({at})"),
        };
        let damage = in_words(&self.damaged);
        let replayed = match (owned, self.damaged.len()) {
            (false, _) => "all checkpoints since".to_owned(),
            (true, 1) => "1 checkpoint".to_owned(),
            (true, count) => format!("{count} checkpoints"),
        };
        let sinks: Vec<String> = committing.iter().map(|sink| format!("'{}'", sink.as_ref())).collect();
        if sinks.is_empty() {
            return Decision::GoBack(format!("{damage}; the job goes on from {older}"));
        }
        let sinks = sinks.join(", ");
        if allow_replay != AllowReplay::No {
            return Decision::GoBack(format!(
                "{damage}; as allowed, the job goes on from {older}: the output of {replayed}, which {sinks} has \
                 committed, is written again"
            ));
        }
        Decision::Ask(format!(
            "{damage}; the newest one before is {older}. The job does not go on from there by itself, since the output \
             of {replayed}, which {sinks} has committed, would be written again. Put the object back and start the \
             job again, or start it with --allow-replay (or execution.state-recovery.allow-replay: true) to go on from \
             the older one all the same"
        ))
    }
}

/// The damage of each checkpoint.
pub fn in_words(damaged: &[(CheckpointId, String)]) -> String {
    let one = |(checkpoint, damage): &(CheckpointId, String)| {
        format!("checkpoint {checkpoint} cannot be read: {damage}")
    };
    damaged.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fallback(damaged: &[u64], owned: bool) -> Fallback {
        let damaged = damaged.iter().map(|id| (CheckpointId(*id), format!("/c/{id} is damaged"))).collect();
        Fallback { damaged, older: Older { checkpoint: CheckpointId(6), at: "/c/chk-6".into(), owned } }
    }

    #[test]
    fn the_question_names_everything_that_an_answer_needs() {
        let Decision::Ask(question) = fallback(&[7, 8], true).decide(&["Sink: files"], AllowReplay::No)
        else {
            panic!("committed output would be written again");
        };
        for needed in [
            "checkpoint 7 cannot be read: /c/7 is damaged",
            "checkpoint 8 cannot be read: /c/8 is damaged",
            "checkpoint 6 (/c/chk-6)",
            "2 checkpoints",
            "'Sink: files'",
            "--allow-replay",
        ] {
            assert!(question.contains(needed), "{needed}: {question}");
        }
    }

    #[test]
    fn a_warning_names_both_checkpoints() {
        let (no, yes) = (AllowReplay::No, AllowReplay::Always);
        for (sinks, allow_replay) in [(&["files"][..], yes), (&[], no), (&[], yes)] {
            let Decision::GoBack(warning) = fallback(&[7], true).decide(sinks, allow_replay) else {
                panic!("nobody has to be asked");
            };
            assert!(warning.contains("checkpoint 7") && warning.contains("checkpoint 6"), "{warning}");
            assert_eq!(warning.contains("1 checkpoint,"), !sinks.is_empty(), "{warning}");
        }
    }

    #[test]
    fn a_savepoint_is_further_back_than_anybody_counts() {
        let Decision::Ask(question) = fallback(&[9], false).decide(&["files"], AllowReplay::No) else {
            panic!("committed output would be written again");
        };
        assert!(question.contains("the output of all checkpoints since"), "{question}");
    }
}
