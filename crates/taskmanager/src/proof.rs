//! Checks that this machine can use the job's checkpoint storage.
//!
//! A TaskManager that cannot use it (another directory has the same name, the file system is not mounted,
//! credentials are missing) would offer its slots and then fail every checkpoint. So before it starts an
//! executor, it reads the record that the JobManager's leadership has written, and creates an object next to the
//! checkpoints' data. [`Proof`] performs no I/O: it returns storage requests and is given their answers.

use reflow_env::{Location, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_protocol::control::StorageProof;
use reflow_types::Instant;
use std::time::Duration;

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// The number of reads, over eight seconds, after which a missing or different object is an error. A shared file
/// system may show an object late.
const MAX_MISSES: u32 = 6;

/// A check in progress.
pub(super) struct Proof {
    of: StorageProof,
    step: Step,
    /// When a failure of storage is no longer retried.
    give_up_at: Instant,
    retry: Duration,
    misses: u32,
    /// When the next request is due; `None` while one is in progress.
    ask_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read,
    Create,
    Delete,
}

/// The result of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next step follows, or the same one is repeated.
    GoOn,
    /// The same step is repeated after a failure, which is to be logged.
    TryAgain(String),
    /// This machine can read and write the storage.
    Seen,
    /// This machine cannot use the storage, with the reason and what to do.
    Unseen(String),
}

impl Proof {
    /// Begins a check. Failures of storage are retried for `patience`.
    pub(super) fn new(now: Instant, of: StorageProof, patience: Duration) -> Self {
        let (give_up_at, ask_at) = (now + patience, Some(now));
        Self { of, step: Step::Read, give_up_at, retry: FIRST_RETRY, misses: 0, ask_at }
    }

    /// The request that is due now, if any.
    pub(super) fn ask(&mut self, now: Instant) -> Option<StoreOp> {
        self.ask_at.take_if(|at| *at <= now)?;
        let created = || Location(self.of.creates.clone());
        Some(match self.step {
            Step::Read => StoreOp::Get { at: Location(self.of.written.clone()), range: None },
            Step::Create => {
                let body = self.of.content.clone();
                StoreOp::Put { at: created(), body, mode: PutMode::Create }
            }
            Step::Delete => StoreOp::Delete { at: created() },
        })
    }

    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Handles the answer to the last request.
    pub(super) fn answered(&mut self, now: Instant, answer: StoreResult) -> Verdict {
        match (self.step, answer) {
            (Step::Read, Ok(StoreReply::Bytes(found))) if found == self.of.content => {
                self.go_on(now, Step::Create)
            }
            (Step::Read, Ok(_)) => self.missed(now, "holds something else than the JobManager wrote there"),
            (Step::Read, Err(StoreError::NotFound(_))) => {
                self.missed(now, "is not there, although the JobManager wrote it")
            }
            // A put that failed may have been carried out nevertheless, and then a repetition finds the object.
            (Step::Create, Ok(_) | Err(StoreError::AlreadyExists(_))) => self.go_on(now, Step::Delete),
            // If the object cannot be deleted, a later leader deletes it as unused.
            (Step::Delete, _) => Verdict::Seen,
            (Step::Read | Step::Create, Err(error)) => self.failed(now, &error),
        }
    }

    fn go_on(&mut self, now: Instant, step: Step) -> Verdict {
        self.step = step;
        self.ask_at = Some(now);
        Verdict::GoOn
    }

    fn missed(&mut self, now: Instant, what: &str) -> Verdict {
        self.misses += 1;
        if self.misses < MAX_MISSES {
            self.later(now);
            return Verdict::GoOn;
        }
        Verdict::Unseen(format!(
            "{} {what}: this machine sees another directory of that name. Let execution.checkpointing.dir be a \
             directory that every machine shares, or a URL such as s3://bucket/checkpoints",
            self.of.written
        ))
    }

    fn failed(&mut self, now: Instant, error: &StoreError) -> Verdict {
        if now >= self.give_up_at {
            return Verdict::Unseen(format!(
                "{error}: check that this machine may read and write execution.checkpointing.dir, and for S3 its \
                 s3.* options, which each TaskManager takes from its own configuration"
            ));
        }
        self.later(now);
        Verdict::TryAgain(error.to_string())
    }

    fn later(&mut self, now: Instant) {
        self.ask_at = Some(now + self.retry);
        self.retry = (self.retry * 2).min(LAST_RETRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn proof() -> Proof {
        let of =
            StorageProof { written: "/c/1".into(), content: "job 5".into(), creates: "/c/data/p".into() };
        Proof::new(Instant(0), of, PATIENCE)
    }

    /// Answers each request in turn, in its own time; the last verdict, and how long it took.
    fn run(proof: &mut Proof, mut answer: impl FnMut(&StoreOp) -> StoreResult) -> (Verdict, Duration) {
        loop {
            let now = proof.next_wakeup().expect("it waits for nothing else");
            let op = proof.ask(now).expect("it is due");
            assert_eq!(proof.ask(now), None, "one request at a time");
            match proof.answered(now, answer(&op)) {
                Verdict::GoOn | Verdict::TryAgain(_) => {}
                verdict => return (verdict, now.since(Instant(0))),
            }
        }
    }

    fn good(op: &StoreOp) -> StoreResult {
        match op {
            StoreOp::Get { .. } => Ok(StoreReply::Bytes("job 5".into())),
            _ => Ok(StoreReply::Done),
        }
    }

    fn error(at: &str) -> StoreError {
        StoreError::Failed { at: Location(at.into()), reason: "permission denied".into() }
    }

    #[test]
    fn it_reads_creates_and_tidies_up() {
        let mut asked = Vec::new();
        let (verdict, took) = run(&mut proof(), |op| {
            asked.push(op.clone());
            good(op)
        });
        assert_eq!((verdict, took), (Verdict::Seen, Duration::ZERO));
        let at = |name: &str| Location(name.into());
        let body: Bytes = "job 5".into();
        let expected = [
            StoreOp::Get { at: at("/c/1"), range: None },
            StoreOp::Put { at: at("/c/data/p"), body, mode: PutMode::Create },
            StoreOp::Delete { at: at("/c/data/p") },
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn another_directory_of_the_same_name_is_told_apart() {
        let absent: StoreResult = Err(StoreError::NotFound(Location("/c/1".into())));
        let others: StoreResult = Ok(StoreReply::Bytes("job 6".into()));
        for (answer, what) in [(absent, "is not there"), (others, "something else")] {
            let (verdict, took) = run(&mut proof(), |_| answer.clone());
            let Verdict::Unseen(reason) = verdict else { panic!("{verdict:?}") };
            assert!(reason.contains("/c/1") && reason.contains(what), "{reason}");
            assert!(reason.contains("execution.checkpointing.dir"), "{reason}");
            assert!((5..10).contains(&took.as_secs()), "{took:?}");
        }
    }

    #[test]
    fn what_shows_late_is_seen() {
        let mut misses = 3;
        let (verdict, _) = run(&mut proof(), |op| {
            misses -= i32::from(misses > 0);
            if misses > 0 { Err(StoreError::NotFound(Location("/c/1".into()))) } else { good(op) }
        });
        assert_eq!(verdict, Verdict::Seen);
    }

    #[test]
    fn failing_storage_is_waited_for_but_not_for_ever() {
        for fails in [
            |op: &StoreOp| matches!(op, StoreOp::Get { .. }),
            |op: &StoreOp| matches!(op, StoreOp::Put { .. }),
        ] {
            let (verdict, took) =
                run(&mut proof(), |op| if fails(op) { Err(error("/c/data")) } else { good(op) });
            let Verdict::Unseen(reason) = verdict else { panic!("{verdict:?}") };
            assert!(reason.contains("/c/data: permission denied: check that"), "{reason}");
            assert!(took >= PATIENCE && took <= PATIENCE + LAST_RETRY, "{took:?}");
        }
        let mut failures = 5;
        let (verdict, _) = run(&mut proof(), |op| {
            failures -= i32::from(failures > 0);
            if failures > 0 { Err(error("/c/1")) } else { good(op) }
        });
        assert_eq!(verdict, Verdict::Seen);
    }

    #[test]
    fn a_put_that_was_done_although_it_failed_counts_and_garbage_does_no_harm() {
        let (verdict, _) = run(&mut proof(), |op| match op {
            StoreOp::Put { at, .. } => Err(StoreError::AlreadyExists(at.clone())),
            StoreOp::Delete { at } => Err(error(&at.0)),
            op => good(op),
        });
        assert_eq!(verdict, Verdict::Seen);
    }
}
