//! Slots on threads, wakeups, and the end of a process.

use crate::probe::Probe;
use reflow_env::real::{self, Clock, Options};
use reflow_env::{Input, Output, Process, Signal, SlotLoop, SlotStep};
use reflow_types::Instant;
use std::sync::mpsc;
use std::time::Duration;

/// A slot that reports its steps and its drop, and ends or panics on request.
struct Slot {
    steps: mpsc::Sender<String>,
    orders: mpsc::Receiver<&'static str>,
}

impl SlotLoop for Slot {
    fn step(&mut self, _now: Instant) -> SlotStep {
        let order = self.orders.try_recv();
        let name = std::thread::current().name().unwrap().to_owned();
        self.steps.send(name).unwrap();
        match order {
            Ok("end") => SlotStep::Ended,
            Ok(order) => panic!("{order}"),
            Err(_) => SlotStep::Wait(None),
        }
    }
}

fn run_slot(probe: &Probe) -> (Signal, mpsc::Sender<&'static str>, mpsc::Receiver<String>) {
    let (steps, stepped) = mpsc::channel();
    let (order, orders) = mpsc::channel();
    let signal = Signal::default();
    let slot = Box::new(Slot { steps, orders });
    probe.ask(Output::RunSlot { slot, signal: signal.clone(), name: "slot-1".into() });
    assert_eq!(stepped.recv().unwrap(), "slot-1");
    (signal, order, stepped)
}

#[test]
fn a_slot_steps_when_its_signal_is_raised_until_it_ends() {
    let probe = Probe::start(Options::default());
    let (signal, order, stepped) = run_slot(&probe);
    signal.raise();
    stepped.recv().unwrap();
    order.send("end").unwrap();
    signal.raise();
    stepped.recv().unwrap();
    assert!(stepped.recv().is_err(), "the slot is dropped");
    assert_eq!(probe.exit().0.code, 0);
}

#[test]
fn exit_and_kill_stop_slots() {
    let probe = Probe::start(Options::default());
    let (_signal, _order, stepped) = run_slot(&probe);
    probe.exit();
    while stepped.recv().is_ok() {}

    let probe = Probe::start(Options::default());
    let (_signal, _order, stepped) = run_slot(&probe);
    probe.handle.kill();
    while stepped.recv().is_ok() {}
}

/// A step of user code that does not come back.
struct Stuck(mpsc::Sender<()>, mpsc::Receiver<()>);

impl SlotLoop for Stuck {
    fn step(&mut self, _now: Instant) -> SlotStep {
        self.0.send(()).unwrap();
        let _ = self.1.recv();
        SlotStep::Ended
    }
}

/// Begins a step that ends when the returned sender is dropped.
fn begin_stuck_step(probe: &Probe) -> mpsc::Sender<()> {
    let ((stepping, steps), (goes_on, until)) = (mpsc::channel(), mpsc::channel::<()>());
    let slot = Box::new(Stuck(stepping, until));
    probe.ask(Output::RunSlot { slot, signal: Signal::default(), name: "slot-1".into() });
    steps.recv().unwrap();
    goes_on
}

#[test]
fn an_exit_does_not_wait_for_a_step_that_does_not_end() {
    let options = Options { flush_timeout: Duration::from_secs(3_600), ..Options::default() };
    let probe = Probe::start(options);
    let goes_on = begin_stuck_step(&probe);
    assert_eq!(probe.exit().0.code, 0);
    drop(goes_on);
}

/// The step may be what takes the memory that the process ends for.
#[test]
fn a_process_that_fails_does_not_wait_for_steps_at_all() {
    let probe = Probe::start(Options { slot_timeout: Duration::from_secs(3_600), ..Options::default() });
    let goes_on = begin_stuck_step(&probe);
    probe.ask(Output::Exit { code: 1, reason: "no memory left".into() });
    assert_eq!(probe.handle.join().code, 1);
    drop(goes_on);
}

#[test]
fn a_panic_that_leaves_a_slot_ends_the_process() {
    let probe = Probe::start(Options::default());
    let (signal, order, _stepped) = run_slot(&probe);
    order.send("torn state").unwrap();
    signal.raise();
    let exit = probe.handle.join();
    assert_eq!((exit.code, exit.reason.as_str()), (101, "slot thread slot-1 panicked: torn state"));
}

/// Exits at the third wakeup that it asked for.
struct Alarm {
    at: Option<Instant>,
    left: u32,
}

impl Process for Alarm {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Wakeup => {
                assert!(self.at.is_some_and(|at| at <= now), "not before the time");
                self.left -= 1;
            }
            Input::Start => {}
            other => panic!("{other:?}"),
        }
        self.at = Some(now + Duration::from_millis(5));
        if self.left == 0 {
            out.push(Output::Exit { code: 7, reason: "three times".into() });
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.at
    }
}

#[test]
fn a_process_is_woken_at_its_time() {
    let clock = Clock::start();
    let started = clock.now();
    let options = Options { clock, ..Options::default() };
    let exit = real::run(Box::new(Alarm { at: None, left: 3 }), Signal::default(), options);
    assert_eq!(exit.code, 7);
    assert!(clock.now().since(started) >= Duration::from_millis(15));
}

#[test]
fn terminate_is_an_input() {
    let probe = Probe::start(Options::default());
    probe.handle.terminate();
    probe.wait_for(|input| matches!(input, Input::Terminate).then_some(()));
    assert_eq!(probe.exit().0.code, 0);
}
