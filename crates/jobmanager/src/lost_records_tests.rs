//! Claims where records of leadership are gone: the last job is found by what all have left, and no epoch is taken twice.

use super::*;

/// As by a lifecycle rule of a bucket.
#[test]
fn a_job_is_found_without_the_records_of_leadership() {
    let mut store = begun(&[(1, complete(1, "this"))]);
    claim(claimant(2), &mut store).unwrap();
    store.objects.retain(|name, _| !name.contains("/epochs/"));
    let next = claim(claimant(3), &mut store).unwrap();
    assert_eq!((next.authority.epoch, next.job, next.resumed), (LeaderEpoch(3), JobId(1), true));
    assert_eq!(latest(&next), Some(1));
    store.objects.retain(|name, _| !name.contains("/epochs/"));
    let other = claimant(1).layout.decision(JobId(9), CheckpointId(4)).0;
    store.objects.insert(other, Bytes::from_static(b"?"));
    let error = claim(claimant(4), &mut store).unwrap_err();
    assert!(matches!(error, LeadershipError::SeveralJobs { .. }), "{error}");
    assert!(claim(Claimant { fresh: true, ..claimant(4) }, &mut store).is_ok());
}

/// The file of an epoch goes right after it was taken: what its leader has left tells the number.
#[test]
fn an_epoch_without_its_file_is_not_taken_again() {
    let mut store = begun(&[(1, complete(1, "this"))]); // by epoch 1
    store.objects.retain(|name, _| !name.contains("/epochs/"));
    let next = claim(claimant(2), &mut store).unwrap();
    assert_eq!((next.authority.epoch, next.job), (LeaderEpoch(2), JobId(1)));
    // The second takeover has no checkpoint of its own yet.
    store.objects.retain(|name, _| !name.contains("/epochs/"));
    let next = claim(claimant(3), &mut store).unwrap();
    assert_eq!((next.authority.epoch, next.job), (LeaderEpoch(3), JobId(1)));
}

/// Another job of the name writes to the same places: names that hold the epoch must differ.
#[test]
fn the_epoch_of_a_job_that_has_ended_is_not_taken_again() {
    let mut store = begun(&[]);
    for (job, epoch) in [(1, 7), (2, 9), (3, 8)] {
        put_mark(&mut store, JobId(job), &end("FINISHED", LeaderEpoch(epoch)));
    }
    store.objects.retain(|name, _| !name.contains("/epochs/"));
    let next = claim(claimant(4), &mut store).unwrap();
    assert_eq!((next.authority.epoch, next.job, next.resumed), (LeaderEpoch(10), JobId(4), false));
}

#[test]
fn the_last_epoch_of_an_ended_job_is_not_taken_again_if_only_its_record_is_gone() {
    for fresh in [false, true] {
        let mut store = begun(&[]);
        claim(claimant(2), &mut store).unwrap();
        put_mark(&mut store, JobId(1), &end("FINISHED", LeaderEpoch(2)));
        store.objects.remove(&claimant(1).layout.epoch(LeaderEpoch(2)).0);
        let next = claim(Claimant { fresh, ..claimant(3) }, &mut store).unwrap();
        assert_eq!((next.authority.epoch, next.job, next.resumed), (LeaderEpoch(3), JobId(3), false));
    }
}

/// The last record that is left is of another job, which has ended before.
#[test]
fn the_epoch_of_a_job_that_has_ended_after_that_of_the_last_record_is_not_taken_again() {
    for fresh in [false, true] {
        let mut store = begun(&[]);
        mark(&mut store, JobId(1), "FINISHED");
        let second = claim(claimant(2), &mut store).unwrap();
        put_mark(&mut store, JobId(2), &end("CANCELED", second.authority.epoch));
        store.objects.retain(|name, _| !name.contains(&JobId(2).to_string()) || name.contains("/ended/"));
        store.objects.remove(&claimant(1).layout.epoch(LeaderEpoch(2)).0);
        let next = claim(Claimant { fresh, ..claimant(3) }, &mut store).unwrap();
        assert_eq!((next.authority.epoch, next.job, next.resumed), (LeaderEpoch(3), JobId(3), false));
    }
}

#[test]
fn of_several_jobs_the_last_one_is_resumed_without_the_records_of_leadership() {
    let mut store = begun(&[(1, complete(1, "this"))]);
    let second = claim(Claimant { fresh: true, ..claimant(2) }, &mut store).unwrap();
    store.objects.retain(|name, _| !name.contains("/epochs/"));
    let third = claim(claimant(3), &mut store).unwrap();
    assert_eq!((third.authority.epoch, third.job, third.resumed), (LeaderEpoch(3), second.job, true));
}

/// Many marks are read neither one after the other nor all at once.
#[test]
fn marks_are_read_some_at_a_time() {
    let mut store = begun(&[]);
    (1..=100).for_each(|job| mark(&mut store, JobId(job), "FINISHED"));
    let mut claim = Claim::new(claimant(200));
    let mut most = 0;
    let mut answered = Vec::new();
    while answered.is_empty() {
        let asked = claim.ask(Instant(1));
        most = most.max(asked.len());
        assert!(claim.ask(Instant(1)).is_empty(), "more than its bound is outstanding");
        for (question, op) in asked {
            answered.extend(claim.answered(Instant(1), question, store.answer(op)).unwrap());
        }
    }
    assert_eq!((most, leads(answered.remove(0)).job), (32, JobId(200)));
}

#[test]
fn a_job_behind_one_that_has_ended_is_found_without_its_record() {
    // Job 1 has ended in epoch 1, and job 2 was begun in epoch 2, whose record is deleted.
    let mut store = begun(&[]);
    mark(&mut store, JobId(1), "FINISHED");
    let second = claim(claimant(2), &mut store).unwrap();
    assert_eq!((second.authority.epoch, second.job), (LeaderEpoch(2), JobId(2)));
    store.objects.remove(&claimant(1).layout.epoch(LeaderEpoch(2)).0);
    let third = claim(claimant(3), &mut store).unwrap();
    assert_eq!((third.authority.epoch, third.job, third.resumed), (LeaderEpoch(3), JobId(2), true));
}

/// As a flipped bit in the answer to one read.
#[test]
fn a_job_behind_one_that_has_ended_is_found_although_its_decision_is_misread_once() {
    let mut store = begun(&[]);
    mark(&mut store, JobId(1), "FINISHED");
    let second = claim(claimant(2), &mut store).unwrap();
    store.objects.remove(&claimant(1).layout.epoch(LeaderEpoch(2)).0);
    let at = claimant(1).layout.decision(second.job, CheckpointId(0));
    let whole = store.objects[&at.0].clone();
    let mut reads = 0;
    let third = leads(claim_while(claimant(3), &mut store, |op, store| {
        if matches!(op, StoreOp::Get { at: read, .. } if *read == at) {
            reads += 1;
            let body = if reads == 1 { Bytes::from_static(b"?") } else { whole.clone() };
            store.objects.insert(at.0.clone(), body);
        }
    }));
    assert_eq!((third.job, third.resumed), (JobId(2), true));
}

#[test]
fn a_job_that_was_replaced_is_not_resumed_when_its_successor_has_ended() {
    // Job 1 was replaced by job 2, which has ended.
    let mut store = begun(&[(1, complete(1, "this"))]);
    let second = claim(Claimant { fresh: true, ..claimant(2) }, &mut store).unwrap();
    put_mark(&mut store, JobId(2), &end("FINISHED", second.authority.epoch));
    let third = claim(claimant(3), &mut store).unwrap();
    assert_eq!((third.job, third.resumed), (JobId(3), false));
}

#[test]
fn a_fresh_start_takes_no_epoch_that_the_job_before_it_has_used() {
    for gone in ["/epochs/00000000000000000002", "/epochs/"] {
        let mut store = begun(&[(1, complete(1, "this"))]);
        claim(claimant(2), &mut store).unwrap();
        store.objects.insert(claimant(1).layout.job_dir(JobId(1)).0 + "/data/2-1-1-1", Bytes::new());
        store.objects.retain(|name, _| !name.contains(gone));
        let next = claim(Claimant { fresh: true, ..claimant(3) }, &mut store).unwrap();
        assert_eq!(
            (next.authority.epoch, next.job, next.resumed),
            (LeaderEpoch(3), JobId(3), false),
            "{gone}"
        );
    }
    // Nothing but the decision to take over names the epoch.
    let mut store = begun(&[(1, complete(1, "this"))]);
    claim(claimant(2), &mut store).unwrap();
    store.objects.remove(&claimant(1).layout.epoch(LeaderEpoch(2)).0);
    let next = claim(Claimant { fresh: true, ..claimant(3) }, &mut store).unwrap();
    assert_eq!(next.authority.epoch, LeaderEpoch(3));
}
