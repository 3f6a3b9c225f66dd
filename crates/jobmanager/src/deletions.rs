//! Deletes objects that are no longer needed, in a safe order.
//!
//! A reader must not find a manifest whose objects are gone. So the manifests of a batch are deleted first, and its objects
//! wait until those are gone. A manifest that cannot be deleted is tried again with the next batch. Until then everything
//! after it waits, up to a bound; objects beyond the bound are left to the next JobManager, which finds them in storage.

use std::collections::VecDeque;

/// The most objects that wait for deletion.
const MAX_WAITING: usize = 100_000;

/// The pending deletions of a job's objects.
#[derive(Debug)]
pub(crate) struct Deletions {
    /// The most deletions under way.
    most_under_way: usize,
    waiting: VecDeque<String>,
    under_way: usize,
    /// The number of deletions of manifests under way.
    manifests_under_way: usize,
    /// Whether a manifest could not be deleted since the last batch.
    stuck: bool,
    job: Job,
}

/// The state of the job, as far as its objects depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Runs,
    /// The job has ended, but its end is not recorded, so another JobManager may resume from any object.
    Ended,
    /// The end is recorded, so nothing is read any more.
    EndRecorded,
}

impl Deletions {
    /// No deletions.
    pub(crate) fn new(most_under_way: usize) -> Self {
        let (waiting, job) = (VecDeque::new(), Job::Runs);
        Self { most_under_way, waiting, under_way: 0, manifests_under_way: 0, stuck: false, job }
    }

    /// The job has ended. Nothing is deleted until that is recorded.
    pub(crate) fn hold(&mut self) {
        self.job = Job::Ended;
    }

    /// The job's end is recorded, so everything may be deleted.
    pub(crate) fn allow_all(&mut self) {
        self.job = Job::EndRecorded;
    }

    /// Whether the job has ended and its end is not recorded yet.
    pub(crate) fn are_held(&self) -> bool {
        self.job == Job::Ended
    }

    /// Adds objects to delete, behind those that wait. Returns the number of objects that are left in storage.
    pub(crate) fn add(&mut self, objects: Vec<String>) -> usize {
        self.stuck = false;
        if self.waiting.len() >= MAX_WAITING {
            return objects.len();
        }
        self.waiting.extend(objects);
        0
    }

    /// Takes the next object that may be deleted now.
    pub(crate) fn next(&mut self) -> Option<String> {
        let manifest = is_manifest(self.waiting.front()?);
        if self.job == Job::Ended {
            return None;
        }
        if self.stuck || self.under_way >= self.most_under_way || (!manifest && self.manifests_under_way > 0)
        {
            return None;
        }
        self.under_way += 1;
        self.manifests_under_way += usize::from(manifest);
        self.waiting.pop_front()
    }

    /// An object of [`next`](Self::next) was deleted.
    pub(crate) fn done(&mut self, object: &str) {
        self.under_way -= 1;
        self.manifests_under_way -= usize::from(is_manifest(object));
    }

    /// An object of [`next`](Self::next) may still exist.
    pub(crate) fn failed(&mut self, object: String) {
        self.done(&object);
        // Nothing of an ended job is read, so the rest need not wait.
        if is_manifest(&object) && self.job != Job::EndRecorded {
            self.waiting.push_front(object);
            self.stuck = true;
        }
    }

    /// Whether objects wait or are being deleted.
    pub(crate) fn any(&self) -> bool {
        self.under_way > 0 || !self.waiting.is_empty()
    }
}

fn is_manifest(object: &str) -> bool {
    object.ends_with("/_metadata")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(deletions: &mut Deletions, objects: &[&str]) {
        assert_eq!(deletions.add(objects.iter().map(|object| object.to_string()).collect()), 0);
    }

    #[test]
    fn objects_wait_for_their_manifests() {
        let mut deletions = Deletions::new(32);
        add(&mut deletions, &["chk-1/_metadata", "chk-2/_metadata", "a"]);
        assert_eq!(deletions.next().as_deref(), Some("chk-1/_metadata"));
        assert_eq!(deletions.next().as_deref(), Some("chk-2/_metadata"));
        assert_eq!(deletions.next(), None);
        deletions.done("chk-2/_metadata");
        assert_eq!(deletions.next(), None, "chk-1 may name it");
        deletions.done("chk-1/_metadata");
        assert_eq!(deletions.next().as_deref(), Some("a"));
        deletions.failed("a".to_owned());
        assert!(!deletions.any(), "an object is left to the next JobManager");
    }

    /// Seed 1312: storage did not answer, the manifest stayed, and what it names went.
    #[test]
    fn what_a_manifest_names_that_could_not_be_deleted_stays() {
        let mut deletions = Deletions::new(32);
        add(&mut deletions, &["chk-1/_metadata", "a"]);
        let manifest = deletions.next().unwrap();
        deletions.failed(manifest);
        assert_eq!(deletions.next(), None);
        assert!(deletions.any());
        add(&mut deletions, &["chk-2/_metadata", "b"]);
        assert_eq!(deletions.next().as_deref(), Some("chk-1/_metadata"), "it is tried again");
        deletions.done("chk-1/_metadata");
        assert_eq!(deletions.next().as_deref(), Some("a"));
        assert_eq!(deletions.next().as_deref(), Some("chk-2/_metadata"));
        assert_eq!(deletions.next(), None);
    }

    #[test]
    fn nothing_goes_between_the_jobs_end_and_its_record() {
        let mut deletions = Deletions::new(32);
        add(&mut deletions, &["chk-1/_metadata", "a"]);
        deletions.hold();
        assert_eq!(deletions.next(), None);
        assert!(deletions.any());
        deletions.allow_all();
        let manifest = deletions.next().unwrap();
        deletions.failed(manifest);
        assert_eq!(deletions.next().as_deref(), Some("a"), "nobody reads the manifest that stays");
    }

    #[test]
    fn only_so_many_wait_and_go_at_a_time() {
        let mut deletions = Deletions::new(32);
        deletions.add((0..MAX_WAITING).map(|n| n.to_string()).collect());
        assert_eq!(deletions.add(vec!["more".to_owned(), "and more".to_owned()]), 2);
        let going = std::iter::from_fn(|| deletions.next()).count();
        assert_eq!(going, 32);
    }
}
