//! Enumerators: which reader gets which split, what a checkpoint holds of them, and damaged states.

use super::*;
use reflow_api::source::{FixedSplits, HandOut, ReaderMessage};
use reflow_api::{CallTicket, EnumeratorContext, UserError};
use reflow_env::{Client, Location, ObjectMeta, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_graph::{ExecutionVertex, Operator, Subtask, Vertex};
use reflow_protocol::command::MoreSplits;
use reflow_protocol::failure::Fault;
use reflow_types::{Bounds, ExecutorId, SlotId, VertexId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: Instant = Instant(1_000);

fn job() -> JobGraph {
    let vertex = Vertex {
        id: VertexId(1),
        name: "source".into(),
        operators: vec![Operator { uid: "cars".into(), name: "cars".into(), ..Operator::default() }],
        parallelism: None,
        max_parallelism: None,
        slot_sharing_group: "default".into(),
        source: true,
        keyed: false,
    };
    JobGraph { name: "job".into(), vertices: vec![vertex], ..JobGraph::default() }
}

/// Readers with these ids.
fn readers(ids: &[u64]) -> ExecutionGraph {
    let slot = SlotId { executor: ExecutorId(1), index: 0 };
    let subtasks = ids.iter().map(|id| Subtask { id: SubtaskId(*id), slot }).collect();
    ExecutionGraph {
        vertices: vec![ExecutionVertex { subtasks, table: None, attempt: reflow_types::Attempt::default() }],
    }
}

fn fixed(splits: u32) -> Enumerators {
    Enumerators::new(&job(), vec![("cars".into(), Box::new(FixedSplits::new(0..splits)))], &Bounds::default())
}

/// How many splits each reader got, and how many readers were told that it was the last.
fn handed_out(work: &Work) -> (BTreeMap<u64, usize>, usize) {
    let mut counts = BTreeMap::new();
    for (reader, assignment) in &work.assignments {
        *counts.entry(reader.0).or_default() += assignment.splits.len();
    }
    (counts, work.assignments.iter().filter(|(_, assignment)| assignment.more == MoreSplits::None).count())
}

#[test]
fn fixed_splits_are_handed_out_once_and_evenly() {
    let mut host = fixed(5);
    host.deploy(NOW, &readers(&[7, 8]), &[], &[]).unwrap();
    assert_eq!(handed_out(&host.advance(NOW)), (BTreeMap::from([(7, 3), (8, 2)]), 2));
    assert_eq!(host.advance(NOW), Work::default());
}

/// A reader that took the first part for all would say how far those splits are, and records of the others be late.
#[test]
fn an_assignment_in_several_messages_says_so_until_the_last() {
    let bounds = Bounds { message_splits: 2, ..Bounds::default() };
    let mut host = Enumerators::new(&job(), vec![("cars".into(), Box::new(FixedSplits::new(0..5)))], &bounds);
    host.deploy(NOW, &readers(&[7]), &[], &[]).unwrap();
    let parts: Vec<_> =
        host.advance(NOW).assignments.iter().map(|(_, part)| (part.splits.len(), part.more)).collect();
    let expected =
        [(2, MoreSplits::Follow), (2, MoreSplits::Follow), (1, MoreSplits::Possible), (0, MoreSplits::None)];
    assert_eq!(parts, expected);
}

#[test]
fn readers_hear_how_many_have_splits_to_read() {
    let mut host = fixed(2);
    host.deploy(NOW, &readers(&[7, 8, 9]), &[], &[]).unwrap();
    let to_all = |ids: &[u64], active| ids.iter().map(|id| (SubtaskId(*id), active)).collect::<Vec<_>>();
    assert_eq!(host.advance(NOW).active, to_all(&[7, 8, 9], 2));
    host.exhausted(SubtaskId(9));
    assert_eq!(host.advance(NOW).active, [], "it had none");
    host.exhausted(SubtaskId(7));
    assert_eq!(host.advance(NOW).active, to_all(&[7, 8, 9], 1));
    host.exhausted(SubtaskId(8));
    assert_eq!(host.advance(NOW).active, [], "there is nobody to share with");

    host.deploy(NOW, &readers(&[7, 8]), &[], &[]).unwrap();
    host.advance(NOW);
    host.begin_move(&readers(&[7, 8]), &readers(&[8]));
    assert_eq!(host.advance(NOW).active, []);
    host.move_splits(VertexIndex(0), vec![Bytes::from_static(b"a")], Vec::new(), vec![(SubtaskId(8), 1)]);
    assert_eq!(host.advance(NOW).active, to_all(&[8], 1));
}

#[test]
fn what_was_handed_out_before_a_checkpoint_is_not_handed_out_again_after_it() {
    let mut host = fixed(5);
    host.deploy(NOW, &readers(&[7, 8]), &[], &[]).unwrap();
    let before = host.snapshot();
    host.advance(NOW);
    let after = host.snapshot();
    host.deploy(NOW, &readers(&[9]), &[], &after).unwrap();
    assert_eq!(
        handed_out(&host.advance(NOW)),
        (BTreeMap::from([(9, 0)]), 1),
        "the readers' states hold them"
    );
    host.deploy(NOW, &readers(&[10]), &[], &before).unwrap();
    assert_eq!(handed_out(&host.advance(NOW)), (BTreeMap::from([(10, 5)]), 1));
    host.deploy(NOW, &readers(&[11]), &[], &[]).unwrap();
    assert_eq!(
        handed_out(&host.advance(NOW)),
        (BTreeMap::from([(11, 5)]), 1),
        "a job without state starts anew"
    );
}

#[test]
fn readers_that_were_given_back_splits_get_fewer() {
    let mut host = fixed(2);
    let item = Bytes::from_static(b"split");
    let state = reflow_protocol::snapshot::OperatorState {
        operator: "cars".into(),
        name: "splits".into(),
        redistribution: reflow_protocol::snapshot::Redistribution::Split,
        items: vec![item.clone(), item],
    };
    let restore = vec![(SubtaskId(7), Restore { operator: vec![state], ..Restore::default() })];
    host.deploy(NOW, &readers(&[7, 8]), &restore, &[]).unwrap();
    assert_eq!(handed_out(&host.advance(NOW)).0, BTreeMap::from([(7, 0), (8, 2)]));
}

#[test]
fn between_a_pause_and_the_end_of_the_attempt_nothing_is_handed_out() {
    let mut host = fixed(2);
    host.deploy(NOW, &readers(&[7]), &[], &[]).unwrap();
    host.pause(CheckpointId(3));
    assert_eq!(host.advance(NOW), Work::default());
    assert_eq!(host.next_wakeup(), None);
    host.resume(CheckpointId(2));
    assert_eq!(host.advance(NOW), Work::default(), "another checkpoint's end means nothing");
    host.resume(CheckpointId(3));
    assert_eq!(handed_out(&host.advance(NOW)).0, BTreeMap::from([(7, 2)]));
    host.stop();
    assert_eq!(host.advance(NOW), Work::default());
}

#[test]
fn splits_change_their_readers_and_nothing_is_handed_out_meanwhile() {
    let mut host = fixed(3);
    host.deploy(NOW, &readers(&[7, 8]), &[], &[]).unwrap();
    host.begin_move(&readers(&[7, 8]), &readers(&[7, 8]));
    assert_eq!(handed_out(&host.advance(NOW)).0.values().sum::<usize>(), 3, "the same readers go on");

    host.deploy(NOW, &readers(&[7, 8]), &[], &[]).unwrap();
    host.begin_move(&readers(&[7, 8]), &readers(&[8, 9]));
    assert_eq!(host.advance(NOW), Work::default());
    assert_eq!(host.snapshot().len(), 1, "what was not handed out is the enumerator's");
    let state = reflow_protocol::snapshot::OperatorState {
        operator: "cars".into(),
        name: "times".into(),
        redistribution: reflow_protocol::snapshot::Redistribution::Union,
        items: vec![Bytes::from_static(b"time")],
    };
    let released = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")];
    let moved = (SubtaskId(8), 1);
    let assignments = host.move_splits(VertexIndex(0), released, vec![state], vec![moved, (SubtaskId(9), 0)]);
    let with_state = assignments.iter().filter(|(_, assignment)| !assignment.states.is_empty());
    let with_state: Vec<_> =
        with_state.map(|(reader, assignment)| (reader.0, assignment.splits.len())).collect();
    assert_eq!(with_state, [(8, 1), (9, 1)], "state goes with the splits that were let go of");
    let work = Work { assignments, ..Work::default() };
    let (splits, lasts) = handed_out(&work);
    assert_eq!(splits, BTreeMap::from([(8, 2), (9, 3)]), "with the three that nobody had");
    assert_eq!(lasts, 2, "both are told again that no more will come");
    assert_eq!(host.advance(NOW).assignments, []);
}

/// Lists a directory each second and takes each object for a split.
#[derive(Default)]
struct Watcher {
    wake: Option<Instant>,
    listing: Option<Ticket>,
}

impl Enumerator for Watcher {
    fn poll(&mut self, now: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        if let Some(listing) = self.listing.and_then(|ticket| context.io().take(ticket)) {
            (self.listing, self.wake) = (None, Some(now + Duration::from_secs(1)));
            let StoreReply::Objects(objects) = listing? else { return Err("no listing".into()) };
            objects.iter().for_each(|object| context.found(&object.at.0));
        }
        if self.listing.is_none() && self.wake.is_none_or(|wake| wake <= now) {
            self.listing = Some(context.io().submit(StoreOp::List { below: Location("/in".into()) }));
        }
        Ok(self.wake.filter(|_| self.listing.is_none()))
    }

    fn is_searching(&self) -> bool {
        self.listing.is_some()
    }

    fn is_done(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Bytes {
        Bytes::new()
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), UserError> {
        *self = Self::default();
        Ok(())
    }
}

fn watcher() -> Enumerators {
    let watcher = Box::new(Watcher::default());
    Enumerators::new(&job(), vec![("cars".into(), watcher)], &Bounds::default())
}

fn objects(name: &str) -> StoreResult {
    Ok(StoreReply::Objects(vec![ObjectMeta { at: Location(name.into()), len: 1 }]))
}

#[test]
fn requests_are_forgotten_by_a_deployment() {
    let mut host = watcher();
    host.deploy(NOW, &readers(&[7]), &[], &[]).unwrap();
    let [(first, _)] = host.advance(NOW).requests[..] else { panic!("it lists") };
    assert_eq!(host.advance(NOW), Work::default());
    host.deploy(NOW, &readers(&[8]), &[], &[]).unwrap();
    assert!(host.answered(NOW, first, objects("/in/a").into()).is_none());
    let [(second, _)] = host.advance(NOW).requests[..] else { panic!("it lists again") };
    assert_ne!(first, second);
    assert!(host.answered(NOW, second, objects("/in/a").into()).is_none());
    assert_eq!(handed_out(&host.advance(NOW)), (BTreeMap::from([(8, 1)]), 0));
    assert_eq!(host.next_wakeup(), Some(NOW + Duration::from_secs(1)));
    let later = NOW + Duration::from_secs(1);
    let [(third, _)] = host.advance(later).requests[..] else { panic!() };
    let broken: StoreResult = Err(StoreError::NotFound(Location("/in".into())));
    host.answered(later, third, broken.into());
    assert_eq!(host.advance(later).failures[0].fault, Fault::External);
    assert_eq!(host.next_wakeup(), None, "it is not polled again");
    let theirs = Ticket(5);
    assert!(host.answered(later, theirs, objects("/in/a").into()).is_some(), "it is not an enumerator's");
}

/// Asks a broker for its partitions, and waits.
struct Asking(Option<CallTicket<Broker>>);

struct Broker;

impl Client for Broker {
    type Request = ();
    type Answer = Vec<u32>;
    type Error = std::fmt::Error;

    fn system(&self) -> &str {
        "broker://b"
    }

    fn call(&self, _: &()) -> impl Future<Output = Result<Vec<u32>, std::fmt::Error>> + Send {
        std::future::ready(Ok(Vec::new()))
    }
}

impl Enumerator for Asking {
    fn poll(&mut self, _: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        let io = context.io().clone();
        let call = self.0.get_or_insert_with(|| io.call(&Arc::new(Broker), (), Duration::from_secs(9)));
        if let Some(answer) = io.take_answer(call) {
            answer?.iter().for_each(|partition| context.found(partition));
        }
        Ok(None)
    }

    fn is_done(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Bytes {
        Bytes::new()
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), UserError> {
        self.0 = None;
        Ok(())
    }
}

#[test]
fn calls_end_with_the_attempt() {
    let enumerators =
        vec![("a".into(), Box::new(Asking(None)) as _), ("cars".into(), Box::new(Asking(None)) as _)];
    let mut host = Enumerators::new(&job(), enumerators, &Bounds::default());
    host.deploy(NOW, &readers(&[7]), &[], &[]).unwrap();
    let [(other, _), (ticket, _)] = host.advance(NOW).requests[..] else { panic!("both ask") };
    host.answered(NOW, ticket, Answer::External(Ok(Box::new(vec![1u32, 2]))));
    assert_eq!(handed_out(&host.advance(NOW)), (BTreeMap::from([(7, 2)]), 0));
    host.stop();
    let mut work = host.advance(NOW);
    assert_eq!(work.canceled, [other]);
    assert!(matches!(work.outputs().next(), Some(Output::CancelCall { ticket }) if ticket == other));
}

#[test]
fn readers_without_splits_are_told_so_once_there_was_a_look() {
    let mut host = watcher();
    for attempt in 0..2 {
        host.deploy(NOW, &readers(&[7, 8, 9]), &[], &[]).unwrap();
        let work = host.advance(NOW);
        assert_eq!(work.assignments, [], "attempt {attempt}: the listing may bring splits for everyone");
        let (listing, _) = work.requests[0];
        host.answered(NOW, listing, objects("/in/a").into());
        let expected = BTreeMap::from([(7, 1), (8, 0), (9, 0)]);
        assert_eq!(handed_out(&host.advance(NOW)), (expected, 0), "attempt {attempt}");
        let later = NOW + Duration::from_secs(1);
        let (listing, _) = host.advance(later).requests[0];
        host.answered(later, listing, objects("/in/b").into());
        assert_eq!(handed_out(&host.advance(later)), (BTreeMap::from([(8, 1)]), 0), "nobody is told twice");
    }
}

/// Finds the splits 0 to 3, then those in the events of readers, and hands out on request.
#[derive(Default)]
struct EventLog(Vec<u8>);

impl Enumerator for EventLog {
    fn poll(&mut self, _: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        self.0.drain(..).for_each(|split| context.found(&split));
        Ok(None)
    }

    fn on_event(&mut self, reader: SubtaskId, event: &[u8]) -> Result<(), UserError> {
        self.0.extend(event);
        if reader == SubtaskId(9) { Err("nobody expects it".into()) } else { Ok(()) }
    }

    fn hand_out(&self) -> HandOut {
        HandOut::OnRequest
    }

    fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    fn snapshot(&self) -> Bytes {
        Bytes::from(self.0.clone())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
        self.0 = snapshot.to_vec();
        Ok(())
    }
}

#[test]
fn readers_send_events_and_request_splits() {
    let log = Box::new(EventLog(vec![0, 1, 2]));
    let mut host = Enumerators::new(&job(), vec![("cars".into(), log)], &Bounds::default());
    host.deploy(NOW, &readers(&[7, 8, 9]), &[], &[]).unwrap();
    let request =
        |host: &mut Enumerators, reader| host.received(SubtaskId(reader), ReaderMessage::SplitRequest);
    let event = |host: &mut Enumerators, reader, event: u8| {
        host.received(SubtaskId(reader), ReaderMessage::Event(Bytes::from(vec![event])));
    };
    request(&mut host, 8);
    let expected = (BTreeMap::from([(7, 0), (8, 1), (9, 0)]), 0);
    assert_eq!(handed_out(&host.advance(NOW)), expected, "the others know that there is none for them now");
    event(&mut host, 7, 3);
    event(&mut host, 6, 4); // of a reader that is gone
    [7, 7, 8].iter().for_each(|reader| request(&mut host, *reader));
    let state = host.snapshot();
    let (splits, lasts) = handed_out(&host.advance(NOW));
    assert_eq!((splits, lasts), (BTreeMap::from([(7, 2), (8, 1), (9, 0)]), 3), "there are no more");
    event(&mut host, 9, 5);
    let failure = &host.advance(NOW).failures[0];
    assert_eq!((failure.fault, failure.message.as_str()), (Fault::External, "nobody expects it"));

    host.deploy(NOW, &readers(&[17]), &[], &state).unwrap();
    assert_eq!(
        handed_out(&host.advance(NOW)),
        (BTreeMap::from([(17, 0)]), 0),
        "requests end with the attempt"
    );
    // A reader that is added may request a split before the others have released theirs.
    host.begin_move(&readers(&[17]), &readers(&[18]));
    request(&mut host, 17);
    (0..4).for_each(|_| request(&mut host, 18));
    assert_eq!(host.advance(NOW), Work::default());
    host.move_splits(VertexIndex(0), Vec::new(), Vec::new(), vec![(SubtaskId(18), 0)]);
    assert_eq!(
        handed_out(&host.advance(NOW)),
        (BTreeMap::from([(18, 2)]), 1),
        "the event is not in the state"
    );
}

#[test]
fn damaged_states_are_permanent_failures() {
    let mut host = fixed(1);
    let states = [("cars".to_owned(), Bytes::from_static(&[0xff; 3]))];
    let failure = host.deploy(NOW, &readers(&[7]), &[], &states).unwrap_err();
    assert_eq!((failure.fault, failure.operator.as_str()), (Fault::Permanent, "cars"));
}

#[test]
fn readers_end_together() {
    let mut host = fixed(1);
    host.deploy(NOW, &readers(&[7, 8]), &[], &[]).unwrap();
    assert_eq!(host.advance(NOW).ends, []);
    host.exhausted(SubtaskId(8));
    assert_eq!(host.advance(NOW).ends, [], "the reader without a split waits for the other one");
    host.pause(CheckpointId(3));
    host.exhausted(SubtaskId(7));
    assert_eq!(host.advance(NOW).ends, [], "sources are paused");
    host.resume(CheckpointId(3));
    assert_eq!(host.advance(NOW).ends, [SubtaskId(7), SubtaskId(8)]);
    assert_eq!(host.advance(NOW).ends, [], "they are told once");
}

#[test]
fn readers_that_have_changed_report_anew() {
    let mut host = fixed(1);
    host.deploy(NOW, &readers(&[7]), &[], &[]).unwrap();
    host.advance(NOW);
    host.begin_move(&readers(&[7]), &readers(&[7, 8]));
    host.exhausted(SubtaskId(7));
    assert_eq!(host.advance(NOW).ends, [], "it may get splits of another reader");
    host.move_splits(VertexIndex(0), Vec::new(), Vec::new(), vec![(SubtaskId(7), 1), (SubtaskId(8), 0)]);
    host.exhausted(SubtaskId(8));
    assert_eq!(host.advance(NOW).ends, []);
    host.exhausted(SubtaskId(7));
    assert_eq!(host.advance(NOW).ends, [SubtaskId(7), SubtaskId(8)]);
}
