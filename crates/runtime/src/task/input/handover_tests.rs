//! Tests of a window operator that a live rescale adds. The tests play its old owners and its input.

use super::*;
use crate::build::Restored;
use crate::failure::OperatorName;
use crate::keyed::{Aggregated, WindowOperator, Windowing};
use crate::rescale::{Incoming, Outgoing};
use crate::stage::{Control, Stage};
use crate::stages::SharedTail;
use crate::wiring::Place;
use reflow_api::window::{EventTimeTrigger, TumblingWindows, Windowed};
use reflow_api::{Aggregate, Io};
use reflow_env::{Clock, Request, Signal, StoreOp, StoreReply};
use reflow_graph::{
    Edge, EdgeId, ExecutionGraph, ExecutionVertex, JobGraph, Operator, Shipping, Subtask, Vertex, VertexIndex,
};
use reflow_network::{Hub, LocalChannelId, Sender};
use reflow_protocol::data::ChannelId;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::{AfterBarrier, FirstCheckpoint, RestorePart, RunRef, StateFormat};
use reflow_types::{
    Bounds, ExecutorId, GraphVersion, JobId, Key, MAX_WATERMARK, MaxParallelism, OwnershipTable, SlotId,
    SubtaskIndex, Timestamp, VertexId,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = u64;
    type Acc = u64;
    type Out = u64;
    fn create(&self) -> u64 {
        0
    }
    fn add(&self, acc: &mut u64, value: u64) {
        *acc += value;
    }
    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

struct Counting {
    seen: Arc<AtomicUsize>,
    next: SharedTail<u8>,
    /// `None` for the start, then the place after each cut.
    places: Arc<Mutex<Vec<Option<Place>>>>,
    /// Records are on their way to the outside.
    undelivered: Arc<AtomicBool>,
}

impl Control for Counting {
    type Next = SharedTail<u8>;

    fn next_stage(&self) -> &SharedTail<u8> {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut SharedTail<u8> {
        &mut self.next
    }

    fn start(&mut self) {
        self.places.lock().unwrap().push(None);
    }

    fn rescaled(&mut self, place: Place) {
        self.places.lock().unwrap().push(Some(place));
    }

    fn deliver(&mut self, _: Instant) -> bool {
        !self.undelivered.load(Ordering::Relaxed)
    }
}

impl Stage<Windowed<u64, u64>> for Counting {
    fn push(&mut self, _: Windowed<u64, u64>, _: Timestamp) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::from_millis(1_000)
    }
}

fn max() -> MaxParallelism {
    MaxParallelism::new(512).unwrap()
}

fn table() -> OwnershipTable {
    OwnershipTable::initial(max(), 2)
}

const SOURCE: SubtaskId = SubtaskId(1);
const OLD: SubtaskId = SubtaskId(2);
const ADDED: SubtaskId = SubtaskId(3);
const ALSO_OLD: SubtaskId = SubtaskId(4);
const CUT: CheckpointId = CheckpointId(9);

fn wiring(hub: &Hub, version: GraphVersion) -> Wiring {
    let slot = SlotId { executor: ExecutorId(1), index: 0 };
    let vertex = |id: u128, name: &str, source| Vertex {
        id: VertexId(id),
        name: name.into(),
        operators: vec![Operator { uid: name.into(), name: name.into(), ..Operator::default() }],
        parallelism: None,
        max_parallelism: Some(max()),
        slot_sharing_group: "default".into(),
        source,
        keyed: !source,
    };
    let job = JobGraph {
        name: "job".into(),
        vertices: vec![vertex(1, "source", true), vertex(2, "windows", false)],
        edges: vec![Edge {
            from: VertexIndex(0),
            to: VertexIndex(1),
            shipping: Shipping::Hash,
            side_output: None,
        }],
        ..JobGraph::default()
    };
    let (subtask, attempt) = (|id| Subtask { id, slot }, reflow_types::Attempt::default());
    let graph = ExecutionGraph {
        vertices: vec![
            ExecutionVertex { subtasks: vec![subtask(SOURCE)], table: None, attempt },
            ExecutionVertex { subtasks: vec![subtask(OLD), subtask(ADDED)], table: Some(table()), attempt },
        ],
    };
    Wiring {
        job: Arc::new(job),
        graph: Arc::new(graph),
        version,
        vertex: VertexIndex(1),
        subtask: ADDED,
        index: SubtaskIndex(1),
        executor: ExecutorId(1),
        slots: vec![Signal::default()].into(),
        hub: hub.clone(),
    }
}

/// The incoming key groups from one of the old owners.
fn share(old_owners: &[SubtaskId], of: usize) -> KeyGroupSet {
    let groups = table().groups_of(SubtaskIndex(1));
    groups.iter().filter(|group| usize::from(group.0) % old_owners.len() == of).collect()
}

fn preparation(hub: &Hub, old_owners: &[SubtaskId], version: GraphVersion) -> Preparation {
    let gain = |(of, &from)| Incoming { from, groups: share(old_owners, of) };
    Preparation {
        version,
        wiring: Some(wiring(hub, version)),
        incoming: old_owners.iter().enumerate().map(gain).collect(),
        outgoing: Vec::new(),
        checkpoint: CheckpointId(8),
        // The vertex's watermark in the last complete checkpoint.
        restore: Restore { watermark: Some(100), ..Restore::default() },
    }
}

fn context(hub: &Hub, old_owners: &[SubtaskId]) -> BuildContext {
    let preparation = preparation(hub, old_owners, GraphVersion(1));
    BuildContext {
        wiring: wiring(hub, GraphVersion(1)),
        job_id: JobId(1),
        attempt: Default::default(),
        io: Io::default(),
        clock: Arc::new(Still),
        restored: Restored {
            state: preparation.restore.clone(),
            first_checkpoint: FirstCheckpoint::Changes,
            checkpoint: None,
            then: AfterBarrier::Continue,
        },
        from_local: true,
        bounds: Bounds::default(),
        latency_interval: None,
        prefetch_bandwidth: None,
        added: Some(preparation),
    }
}

/// Values whose key groups move.
fn values() -> impl Iterator<Item = u64> {
    (0u64..).filter(|value| table().owner_of(value.key_hash()) == SubtaskIndex(1))
}

/// The task, with what replaces the rest of the job.
struct Rig {
    hub: Hub,
    io: Io,
    task: Box<dyn Task>,
    fired: Arc<AtomicUsize>,
    places: Arc<Mutex<Vec<Option<Place>>>>,
    undelivered: Arc<AtomicBool>,
    events: Vec<TaskEvent>,
}

impl Rig {
    /// A task that waits for the cut and gets a share of its key groups from each of `old_owners`.
    fn new(old_owners: &[SubtaskId]) -> Self {
        let hub = Hub::new(Signal::default());
        let mut context = context(&hub, old_owners);
        let gate = context.gate::<u64>();
        let fired = Arc::new(AtomicUsize::new(0));
        let places: Arc<Mutex<Vec<Option<Place>>>> = Arc::default();
        let assigner = TumblingWindows::of(Duration::from_secs(1));
        let windowing = Windowing::new(assigner, EventTimeTrigger, Aggregated(Sum));
        let undelivered = Arc::<AtomicBool>::default();
        let next = Counting {
            seen: fired.clone(),
            next: SharedTail::new(Vec::new()),
            places: places.clone(),
            undelivered: undelivered.clone(),
        };
        let operator = OperatorName { name: "Window".into(), uid: "windows".into() };
        let head = WindowOperator::new(operator, |value: &u64| *value, windowing, max(), next);
        let task = Box::new(InputTask::new(gate, head, &mut context));
        let mut rig = Self { hub, io: context.io, task, fired, places, undelivered, events: Vec::new() };
        rig.steps();
        rig
    }

    fn steps(&mut self) {
        for _ in 0..200 {
            self.task.step(Still.now(), &mut self.events);
        }
    }

    fn trigger(&mut self, checkpoint: CheckpointId, version: GraphVersion) {
        let cut = Some(Cut { version, splits: Vec::new() });
        let (format, directory, then) = (StateFormat::Checkpoint, "/c".into(), AfterBarrier::Continue);
        self.task.trigger(
            Still.now(),
            checkpoint,
            &SnapshotKind { format, full: false, directory, then, cut },
        );
    }

    /// Runs the cut, at which the source's channel has this watermark.
    fn cut(&mut self, watermark: Timestamp) -> Sender<u64> {
        self.trigger(CUT, GraphVersion(1));
        self.task.adopt(Vec::new());
        let id = ChannelId { edge: EdgeId(0), from: SOURCE, to: ADDED };
        let id = LocalChannelId { channel: id, since: GraphVersion(1) };
        let mut sender = Sender::local(&self.hub, id, Signal::default(), Signal::default());
        sender.watermark(watermark);
        sender
    }

    /// Hands everything over, without changes since the last checkpoint.
    fn handed_over(&mut self, from: SubtaskId, watermark: Timestamp) {
        self.task.hand_over(from, Part::Done { cut_at_us: 1, watermark });
    }

    fn fired(&self) -> usize {
        self.fired.load(Ordering::Relaxed)
    }
}

fn send(sender: &mut Sender<u64>, values: impl IntoIterator<Item = u64>, time: Timestamp) {
    let rows = values.into_iter().map(|value| Row { hash: value.key_hash(), time, value });
    let rows: Vec<_> = rows.collect();
    // One batch: a batch is buffered as a whole, and no other one is read while many records are buffered.
    for rows in rows.chunks(10_000) {
        sender.send(rows.to_vec(), 0).expect("short records");
    }
}

/// docs/design/rescale.md: a new owner "begins at the watermark that the old owner had at the cut: neither does a
/// record become late by waiting, nor is one accepted whose window has fired".
#[test]
fn a_record_that_is_late_at_the_old_owner_is_late_at_the_new_one() {
    let mut rig = Rig::new(&[OLD]);
    let mut sender = rig.cut(5_000);
    // The old owner's windows up to 5000 have fired. This record's window ends at 1000.
    send(&mut sender, values().take(1), 10);
    sender.watermark(6_000);
    rig.steps();
    rig.handed_over(OLD, 5_000);
    rig.steps();
    assert_eq!(rig.fired(), 0, "a window has fired a second time");
}

#[test]
fn an_end_that_comes_during_the_hand_over_loses_no_windows() {
    const KEYS: usize = 5_000;
    let mut rig = Rig::new(&[OLD]);
    let mut sender = rig.cut(5_000);
    send(&mut sender, values().take(KEYS), 10_000);
    sender.watermark(MAX_WATERMARK);
    sender.end();
    rig.steps();
    rig.handed_over(OLD, 5_000);
    rig.steps();
    assert_eq!(rig.fired(), KEYS, "each key has a window");
    assert!(rig.events.iter().any(|event| matches!(event, TaskEvent::Report(SubtaskEvent::Ended))));
}

/// The second old owner had a higher watermark. Windows that it makes due fire after those of the first one.
#[test]
fn the_watermarks_of_two_old_owners_lose_no_windows() {
    const KEYS: usize = 5_000;
    let mut rig = Rig::new(&[OLD, ALSO_OLD]);
    let mut sender = rig.cut(500);
    send(&mut sender, values().take(KEYS), 600);
    rig.steps();
    let of_first = share(&[OLD, ALSO_OLD], 0);
    let first = values().take(KEYS).filter(|value| of_first.contains(value.key_hash().group(max()))).count();
    rig.handed_over(OLD, 500);
    rig.steps();
    rig.handed_over(ALSO_OLD, 1_000);
    rig.steps();
    assert_eq!(rig.fired(), first, "those that were in when event time came to 1000");
}

/// State that the first rescale has prefetched is installed and may have left again since.
#[test]
fn a_second_rescale_reads_again_what_the_first_one_has_read() {
    let mut rig = Rig::new(&[OLD]);
    let mut sender = rig.cut(500);
    rig.handed_over(OLD, 500);
    rig.steps();
    let reads = |io: &Io| {
        let reads = io
            .drain_submitted()
            .into_iter()
            .filter(|(_, request)| matches!(request, Request::Store(StoreOp::Get { .. })));
        reads.map(|(ticket, _)| io.answer(ticket, Ok(StoreReply::Bytes(Bytes::new())))).count()
    };
    reads(&rig.io);
    for rescale in 2..4 {
        let mut preparation = preparation(&rig.hub, &[OLD], GraphVersion(rescale));
        let groups = share(&[OLD], 0);
        let run = RunRef { object: "a".into(), table: 0, segment: 0, offset: 0, len: 9 };
        preparation.restore.keyed = vec![RestorePart { groups, runs: vec![run] }];
        rig.task.prepare(preparation);
        rig.steps();
        assert_eq!(reads(&rig.io), 1, "in rescale {rescale}");
        rig.steps();
        let checkpoint = CheckpointId(CUT.0 + rescale);
        rig.trigger(checkpoint, GraphVersion(rescale));
        sender.barrier(checkpoint, false);
        rig.steps();
        rig.handed_over(OLD, 500);
        rig.steps();
        let version = GraphVersion(rescale);
        let installed = |event: &TaskEvent| {
            let TaskEvent::Report(event) = event else { return false };
            matches!(event, SubtaskEvent::Installed { version: of, .. } if *of == version)
        };
        assert!(rig.events.iter().any(installed));
    }
}

/// Functions learn their place from the chain: before the first record, and at each cut of a task that goes on.
#[test]
fn a_chain_starts_at_the_first_cut_and_learns_its_place_at_each_later_one() {
    let mut rig = Rig::new(&[OLD]);
    assert_eq!(*rig.places.lock().unwrap(), [], "the rescale may be abandoned");
    let mut sender = rig.cut(500);
    rig.handed_over(OLD, 500);
    rig.steps();
    assert_eq!(*rig.places.lock().unwrap(), [None]);
    let mut preparation = preparation(&rig.hub, &[OLD], GraphVersion(2));
    let mut graph = preparation.wiring.as_ref().map(|wiring| (*wiring.graph).clone()).unwrap();
    let slot = SlotId { executor: ExecutorId(1), index: 0 };
    graph.vertices[1].subtasks.push(Subtask { id: ALSO_OLD, slot });
    preparation.wiring.as_mut().unwrap().graph = Arc::new(graph);
    rig.task.prepare(preparation);
    rig.steps();
    let checkpoint = CheckpointId(CUT.0 + 2);
    rig.trigger(checkpoint, GraphVersion(2));
    sender.barrier(checkpoint, false);
    rig.steps();
    let place = Place { index: SubtaskIndex(1), parallelism: 3 };
    assert_eq!(*rig.places.lock().unwrap(), [None, Some(place)]);
}

/// Otherwise the new owner's records of a key could be read before those of this task.
#[test]
fn a_key_moves_only_when_its_records_are_delivered() {
    let mut rig = Rig::new(&[OLD]);
    let mut sender = rig.cut(500);
    rig.handed_over(OLD, 500);
    rig.steps();
    let mut removal = preparation(&rig.hub, &[], GraphVersion(2));
    removal.wiring = None;
    removal.outgoing = vec![Outgoing { to: ALSO_OLD, groups: share(&[OLD], 0) }];
    rig.task.prepare(removal);
    rig.steps();
    let cut = CheckpointId(CUT.0 + 1);
    rig.undelivered.store(true, Ordering::Relaxed);
    rig.trigger(cut, GraphVersion(2));
    sender.barrier(cut, false);
    let is_done = |event: &TaskEvent| matches!(event, TaskEvent::HandOver { part: Part::Done { .. }, .. });
    rig.steps();
    assert!(!rig.events.iter().any(is_done), "{:?}", rig.events);
    let step = rig.task.step(Still.now(), &mut rig.events);
    assert!(matches!(step, TaskStep::Idle(Some(_))), "{step:?}");
    rig.undelivered.store(false, Ordering::Relaxed);
    rig.steps();
    assert!(rig.events.iter().any(is_done), "{:?}", rig.events);
}

/// The checkpoint of the cut that removes the task fails, and the next to complete is a savepoint. Sinks commit
/// only with checkpoints.
#[test]
fn a_removed_task_does_not_end_with_a_savepoint() {
    let mut rig = Rig::new(&[OLD]);
    let mut sender = rig.cut(500);
    rig.handed_over(OLD, 500);
    rig.steps();
    let mut removal = preparation(&rig.hub, &[], GraphVersion(2));
    removal.wiring = None;
    rig.task.prepare(removal);
    rig.steps();
    let [cut, savepoint, checkpoint] = [1, 2, 3].map(|number| CheckpointId(CUT.0 + number));
    rig.trigger(cut, GraphVersion(2));
    sender.barrier(cut, false);
    rig.steps();
    rig.task.aborted(cut);
    for (id, format, ends) in
        [(savepoint, StateFormat::Savepoint, false), (checkpoint, StateFormat::Checkpoint, true)]
    {
        let (directory, then) = ("/c".into(), AfterBarrier::Continue);
        rig.task.trigger(Still.now(), id, &SnapshotKind { format, full: false, directory, then, cut: None });
        rig.steps();
        rig.task.completed(id);
        rig.steps();
        let finished = |event: &TaskEvent| matches!(event, TaskEvent::Report(SubtaskEvent::Finished));
        assert_eq!(rig.events.iter().any(finished), ends, "after {format:?}");
    }
}
