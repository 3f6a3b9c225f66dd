//! Slots on threads of their own.
//!
//! A slot catches the panics of user code itself. Any other panic is a bug in Reflow, after which the slot's
//! state and channels may be inconsistent. So the whole process exits with a reason, and its parent starts
//! another.

use super::Clock;
use super::alive::Alive;
use super::inbox::{Event, Inbox};
use crate::slot::{SlotLoop, SlotStep};
use crate::{Input, Signal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The slot threads of one process.
pub(super) struct Slots {
    threads: Vec<(JoinHandle<()>, Signal)>,
    stop: Arc<AtomicBool>,
    clock: Clock,
    inbox: Inbox,
}

impl Slots {
    pub(super) fn new(clock: Clock, inbox: Inbox) -> Self {
        Self { threads: Vec::new(), stop: Arc::default(), clock, inbox }
    }

    /// Starts a thread for `slot`.
    pub(super) fn run(&mut self, slot: Box<dyn SlotLoop>, signal: Signal, name: String, alive: Alive) {
        self.threads.retain(|(thread, _)| !thread.is_finished());
        let (inbox, clock, stop, wake) = (self.inbox.clone(), self.clock, self.stop.clone(), signal.clone());
        let lost = self.inbox.clone();
        let about = name.clone();
        let body = move || {
            let _alive = alive;
            let turn = AssertUnwindSafe(|| drive(slot, &wake, &stop, clock));
            match catch_unwind(turn) {
                Ok(()) => inbox.push_input(Input::Wakeup),
                Err(panic) => {
                    let reason = format!("slot thread {about} panicked: {}", panic_text(&*panic));
                    inbox.push(Event::SlotLost { reason });
                }
            }
        };
        match std::thread::Builder::new().name(name.clone()).spawn(body) {
            Ok(thread) => self.threads.push((thread, signal)),
            Err(e) => lost.push(Event::SlotLost { reason: format!("slot thread {name} did not start: {e}") }),
        }
    }

    /// Tells all slots to end after their current step. Their threads hold an `Alive` until then.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for (_, signal) in &self.threads {
            signal.raise();
        }
    }
}

fn drive(mut slot: Box<dyn SlotLoop>, signal: &Signal, stop: &AtomicBool, clock: Clock) {
    while !stop.load(Ordering::Acquire) {
        match slot.step(clock.now()) {
            SlotStep::Ready => {}
            SlotStep::Wait(until) => {
                let timeout: Option<Duration> = until.map(|until| until.since(clock.now()));
                signal.wait(timeout);
            }
            SlotStep::Ended => return,
        }
    }
}

/// The message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
