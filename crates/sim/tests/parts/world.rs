//! Tests of the world, with toy processes.

use bytes::Bytes;
use reflow_env::{
    Call, CallResult, ChildCommand, ChildId, Client, ConnId, Input, ListenerId, Location, Output, Process,
    PutMode, Signal, SlotLoop, SlotStep, StoreError, StoreOp, Ticket,
};
use reflow_sim::world::{BEGIN, Directions, Spawner, Storage, System, Time};
use reflow_sim::{Context, Faults, Probe, Program, Rng, Strikes, Trace, World};
use reflow_types::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: u64 = 1_000_000;

/// A process that is a function.
struct Toy<F>(F);

impl<F: FnMut(Input, &mut Vec<Output>) + Send> Process for Toy<F> {
    fn handle(&mut self, _: Instant, input: Input, out: &mut Vec<Output>) {
        (self.0)(input, out);
    }

    fn next_wakeup(&self) -> Option<Instant> {
        None
    }
}

fn toy(name: &str, handle: impl FnMut(Input, &mut Vec<Output>) + Send + 'static) -> Program {
    Program { name: name.to_owned(), process: Box::new(Toy(handle)) }
}

/// Starts `sleeper` children for every command.
struct Sleepers;

impl Spawner for Sleepers {
    fn spawn(&mut self, _: &Context, _: &ChildCommand) -> Result<Program, String> {
        Ok(toy("sleeper", |_, _| ()))
    }
}

fn world(seed: u64) -> World {
    World::new(seed, Box::new(Sleepers), Strikes::new(Probe::default()), Trace::new(None))
}

fn run(world: &mut World, until: u64) {
    while world.advance(BEGIN + until) {}
}

/// A process that sends every frame back.
fn echo() -> Program {
    toy("echo", |input, out| match input {
        Input::Start => out.push(Output::Listen { listener: ListenerId(0), address: "0.0.0.0:7000".into() }),
        Input::Received { conn, frame } => out.push(Output::Send { conn, frame }),
        _ => {}
    })
}

type Log = Arc<Mutex<Vec<String>>>;

/// A process that sends 0 … 99 at once and logs what it receives.
#[expect(clippy::unwrap_used, reason = "this is a test, if not one of its functions")]
fn caller(log: &Log) -> Program {
    let log = log.clone();
    toy("caller", move |input, out| match input {
        Input::Start => {
            let conn = ConnId(1);
            out.push(Output::Connect { conn, address: "a:7000".into() });
            out.extend((0..100u8).map(|n| Output::Send { conn, frame: Bytes::from(vec![n]) }));
        }
        Input::Received { frame, .. } => log.lock().unwrap().push(frame[0].to_string()),
        Input::Closed { reason, .. } => log.lock().unwrap().push(reason),
        _ => {}
    })
}

fn numbers(count: u32) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[test]
fn one_seed_is_one_run_and_another_seed_another() {
    let hash = |seed| {
        let mut world = world(seed);
        world.faults = Faults { frame_slow: 0.1, ..Faults::default() };
        world.start("a", |_| echo());
        world.start("b", |_| caller(&Log::default()));
        run(&mut world, 30 * SECOND);
        assert!(world.trace.events > 100);
        world.trace.hash()
    };
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn frames_come_in_order_or_nothing_listens() {
    for seed in 0..20 {
        let mut world = world(seed);
        let log = Log::default();
        world.faults = Faults { frame_slow: 0.1, ..Faults::default() };
        let echo = world.start("a", |_| echo());
        run(&mut world, SECOND);
        world.start("b", |_| caller(&log));
        run(&mut world, 200 * SECOND);
        assert_eq!(*log.lock().unwrap(), numbers(100));
        world.kill(echo);
        world.start("b", |_| caller(&log));
        run(&mut world, 300 * SECOND);
        let mut tail = log.lock().unwrap()[100..].to_vec();
        tail.sort();
        assert_eq!(tail, ["a:7000: connection refused", "connection reset by peer"]);
    }
}

#[test]
fn a_killed_peer_leaves_a_prefix() {
    let mut lengths = Vec::new();
    for seed in 0..50 {
        let mut world = world(seed);
        let log = Log::default();
        let echo = world.start("a", |_| echo());
        run(&mut world, SECOND);
        world.start("b", |_| caller(&log));
        run(&mut world, SECOND + 20_000);
        world.kill(echo);
        run(&mut world, 20 * SECOND);
        let mut log = log.lock().unwrap().clone();
        assert!(log.pop().unwrap().contains("connection"), "seed {seed}");
        assert_eq!(log, numbers(log.len() as u32));
        lengths.push(log.len());
    }
    assert!(lengths.iter().any(|&n| n > 0 && n < 100), "some are cut off in the middle: {lengths:?}");
}

#[test]
fn a_partition_holds_frames_or_breaks_connections_and_ends() {
    let (mut held, mut broken) = (0, 0);
    for seed in 0..50 {
        let mut world = world(seed);
        let log = Log::default();
        world.start("a", |_| echo());
        run(&mut world, SECOND);
        world.start("b", |_| caller(&log));
        run(&mut world, SECOND + 5_000);
        world.partition("a", "b", Directions::Both);
        // Frames that have already arrived are still handled.
        run(&mut world, SECOND + 100_000);
        let before = log.lock().unwrap().len();
        run(&mut world, 60 * SECOND);
        let cut = log.lock().unwrap().iter().skip(before).all(|line| line.parse::<u8>().is_err());
        assert!(cut, "nothing comes through a partition");
        world.heal("a", "b");
        run(&mut world, 90 * SECOND);
        match *log.lock().unwrap() == numbers(100) {
            true => held += 1,
            false => broken += 1,
        }
    }
    assert!(held > 5 && broken > 5, "{held} {broken}");
}

#[test]
fn of_many_who_create_one_wins() {
    for seed in 0..20 {
        let mut world = world(seed);
        let won = Arc::new(AtomicU64::new(0));
        for name in ["a", "b", "c"] {
            let won = won.clone();
            let put = StoreOp::Put {
                at: Location("/decision".into()),
                body: Bytes::copy_from_slice(name.as_bytes()),
                mode: PutMode::Create,
            };
            let program = toy(name, move |input, out| match input {
                Input::Start => out.push(Output::Store { ticket: Ticket(1), op: put.clone() }),
                Input::Stored { result: Ok(_), .. } => drop(won.fetch_add(1, Ordering::Relaxed)),
                Input::Stored { result: Err(e), .. } => assert!(matches!(e, StoreError::AlreadyExists(_))),
                _ => {}
            });
            world.start(name, |_| program);
        }
        run(&mut world, SECOND);
        assert_eq!(won.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn an_upload_appears_with_its_last_part_or_not_at_all() {
    let mut whole = 0;
    for seed in 0..50 {
        let mut world = world(seed);
        world.faults = Faults { store_error: 0.05, store_error_although_done: 0.05, ..Faults::default() };
        let part = |n: u8| Output::Store {
            ticket: Ticket(n.into()),
            op: StoreOp::Upload {
                upload: 1,
                at: Location("file:///big".into()),
                part: Bytes::from(vec![n; 3]),
                last: n == 4,
            },
        };
        let writer = world.start("a", |_| {
            toy("writer", move |input, out| {
                if matches!(input, Input::Start) {
                    out.extend((0..5).map(part));
                }
            })
        });
        run(&mut world, 8_000);
        if Rng::new(seed).chance(0.3) {
            world.kill(writer);
        }
        run(&mut world, SECOND);
        if let Some(body) = world.storage.get("/big") {
            assert_eq!(&body[..], b"\0\0\0\x01\x01\x01\x02\x02\x02\x03\x03\x03\x04\x04\x04");
            whole += 1;
        }
    }
    assert!((1..50).contains(&whole), "{whole}");
}

/// A client of a counter. The simulator does not run its function.
struct Counter;

impl Client for Counter {
    type Request = u64;
    type Answer = u64;
    type Error = std::fmt::Error;

    fn system(&self) -> &str {
        "counter://c"
    }

    fn call(&self, _: &u64) -> impl Future<Output = Result<u64, std::fmt::Error>> + Send {
        std::future::ready(Err(std::fmt::Error))
    }
}

/// Adds what it is asked to and answers with the sum, once it is at least the request.
struct Sum(Arc<AtomicU64>);

impl System for Sum {
    fn answer(
        &mut self,
        _: Time,
        request: &(dyn std::any::Any + Send + Sync),
        _: &mut Storage,
    ) -> Option<CallResult> {
        let number = *request.downcast_ref::<u64>().expect("the client's type");
        let sum = self.0.fetch_add(number, Ordering::Relaxed) + number;
        (number > 0 || sum > 0).then(|| Ok(Box::new(sum) as _))
    }
}

#[test]
fn calls_are_carried_out_lost_or_repeated_and_end_once() {
    let mut sums = [0; 11];
    for seed in 0..200 {
        let mut world = world(seed);
        world.faults = Faults {
            call_lost: 0.2,
            call_answer_lost: 0.2,
            call_twice: 0.2,
            call_slow: 0.2,
            ..Faults::default()
        };
        let sum = Arc::new(AtomicU64::new(0));
        world.add_system("counter://c", Box::new(Sum(sum.clone())));
        let ends = Arc::new(AtomicU64::new(0));
        let ended = ends.clone();
        let second = Duration::from_secs(1);
        world.start("a", |_| {
            toy("caller", move |input, out| match input {
                Input::Start => {
                    let call = |n: u64, request| Output::Call {
                        ticket: Ticket(n),
                        call: Call::new(&Arc::new(Counter), request, second),
                    };
                    // The first one waits for the second, as a long poll does. The third is not answered.
                    out.extend([call(1, 0), call(2, 5), call(3, 0)]);
                    out.push(Output::CancelCall { ticket: Ticket(3) });
                }
                Input::Called { ticket, .. } => {
                    assert!(ticket != Ticket(3), "it was cancelled");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            })
        });
        run(&mut world, 200 * SECOND);
        assert_eq!(ends.load(Ordering::Relaxed), 2, "seed {seed}: each call ends once");
        sums[sum.load(Ordering::Relaxed) as usize] += 1;
    }
    let [lost, once, twice] = [sums[0], sums[5], sums[10]];
    assert!(lost > 10 && once > 50 && twice > 10 && lost + once + twice == 200, "{sums:?}");
}

#[test]
fn children_die_with_their_parent_and_are_reported_to_it() {
    let log = Log::default();
    let seen = log.clone();
    let command = ChildCommand { program: "job".into(), args: Vec::new(), stdin: Bytes::new() };
    let parent = toy("parent", move |input, out| match input {
        Input::Start => {
            for child in 0..3 {
                out.push(Output::StartChild { child: ChildId(child), command: command.clone() });
            }
            out.push(Output::KillChild { child: ChildId(2) });
        }
        Input::ChildExited { child, status } => seen.lock().unwrap().push(format!("{} {status}", child.0)),
        _ => {}
    });
    let mut world = world(3);
    let parent = world.start("a", |_| parent);
    run(&mut world, SECOND);
    assert_eq!(world.children(parent).len(), 2);
    let first = world.children(parent)[0];
    world.kill(first);
    run(&mut world, 2 * SECOND);
    assert_eq!(*log.lock().unwrap(), ["2 killed by signal 9", "0 killed by signal 9"]);
    world.kill(parent);
    run(&mut world, 3 * SECOND);
    assert_eq!(world.running().count(), 0);
}

#[test]
fn a_slot_steps_when_it_wants_and_a_frozen_process_does_nothing() {
    struct Counting(Arc<AtomicU64>, Signal);
    impl SlotLoop for Counting {
        fn step(&mut self, now: Instant) -> SlotStep {
            let steps = self.0.fetch_add(1, Ordering::Relaxed);
            match steps {
                0..10 => SlotStep::Ready,
                10..20 => {
                    self.1.raise();
                    SlotStep::Wait(None)
                }
                20..30 => SlotStep::Wait(Some(now + Duration::from_secs(1))),
                _ => SlotStep::Ended,
            }
        }
    }
    let steps = Arc::new(AtomicU64::new(0));
    let counted = steps.clone();
    let mut world = world(4);
    let id = world.start("a", |_| {
        toy("slots", move |input, out| {
            if matches!(input, Input::Start) {
                let signal = Signal::default();
                let slot = Box::new(Counting(counted.clone(), signal.clone()));
                out.push(Output::RunSlot { slot, signal, name: "slot".into() });
            }
        })
    });
    run(&mut world, SECOND);
    assert_eq!(steps.load(Ordering::Relaxed), 21);
    world.freeze(id, Duration::from_secs(100));
    run(&mut world, 90 * SECOND);
    assert_eq!(steps.load(Ordering::Relaxed), 21);
    run(&mut world, 200 * SECOND);
    assert_eq!(steps.load(Ordering::Relaxed), 31);
}
