//! The event loop. It takes inputs from the inbox, passes them to the process, and carries out its outputs in
//! order.

use super::alive::Alive;
use super::calls::Calls;
use super::child::Children;
use super::connection::Network;
use super::exit::Exit;
use super::inbox::{Event, Inbox};
use super::outlet::Outlet;
use super::slot::{Slots, panic_text};
use super::storage::{Part, Uploads};
use super::{ChildMode, Interrupts, Options, interrupt};
use crate::store::StoreOp;
use crate::{ChildCommand, ChildId, ConnId, Input, Output, Process, Signal};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// Threads for local files. Tokio's default is 512. An executor had 93 such threads after 230 rescales and
/// failures, and the allocator keeps memory for each thread.
const FILE_THREADS: usize = 16;

/// Drives `process` on this thread until it exits. The process raises `signal`, from any thread, to get
/// [`Input::Wakeup`]. The driver raises it too, so a wakeup may occur without need.
///
/// Connections are flushed and children killed before this returns, for at most [`Options::flush_timeout`]; slots are
/// stopped, and their steps waited for, for at most [`Options::slot_timeout`] and only if the process has not failed.
pub fn run(process: Box<dyn Process>, signal: Signal, options: Options) -> Exit {
    drive(process, Inbox::new(signal), options)
}

/// Drives `process` on a thread of its own. Signals of the OS are not handled there.
///
/// # Errors
/// If the system refuses the thread.
pub fn spawn(
    name: String,
    process: Box<dyn Process>,
    signal: Signal,
    options: Options,
) -> std::io::Result<Handle> {
    spawn_with(name, process, signal, Options { signals: false, interrupts: None, ..options }, |_| ())
}

/// A process on a thread of its own. Dropping the handle leaves it running.
pub struct Handle {
    inbox: Inbox,
    thread: JoinHandle<Exit>,
}

impl Handle {
    /// Ends the process as SIGKILL would, without flushing anything.
    pub fn kill(&self) {
        self.inbox.push(Event::Kill);
    }

    /// Asks the process to end, as SIGTERM would.
    pub fn terminate(&self) {
        self.inbox.push_input(Input::Terminate);
    }

    /// Waits until the process has ended.
    pub fn join(self) -> Exit {
        self.thread.join().expect("a panic of the process is its exit")
    }
}

/// As [`spawn`], calling `ended` on the thread when the process has ended.
fn spawn_with(
    name: String,
    process: Box<dyn Process>,
    signal: Signal,
    options: Options,
    ended: impl FnOnce(Exit) + Send + 'static,
) -> std::io::Result<Handle> {
    let inbox = Inbox::new(signal);
    let own_inbox = inbox.clone();
    let body = move || {
        let exit = drive(process, own_inbox, options);
        ended(exit.clone());
        exit
    };
    let thread = std::thread::Builder::new().name(name).spawn(body)?;
    Ok(Handle { inbox, thread })
}

struct Driver {
    process: Box<dyn Process>,
    inbox: Inbox,
    network: Network,
    outlets: HashMap<ConnId, Outlet>,
    tasks: Vec<AbortHandle>,
    children: Children,
    slots: Slots,
    uploads: Uploads,
    calls: Calls,
    options: Options,
    runtime: tokio::runtime::Handle,
    alive: Alive,
    all_ended: mpsc::Receiver<Infallible>,
    slots_alive: Alive,
    slots_ended: mpsc::Receiver<Infallible>,
    outputs: Vec<Output>,
}

fn drive(process: Box<dyn Process>, inbox: Inbox, mut options: Options) -> Exit {
    let own = match &options.runtime {
        Some(_) => None,
        None => match start_runtime(options.io_threads) {
            Ok(runtime) => {
                options.runtime = Some(runtime.handle().clone());
                Some(runtime)
            }
            Err(e) => {
                let reason = format!("cannot start the I/O threads: {e}");
                return Exit { code: Exit::NOT_STARTED, reason };
            }
        },
    };
    let exit = Driver::new(process, inbox, options).run();
    if let Some(runtime) = own {
        runtime.shutdown_background();
    }
    exit
}

fn start_runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads.max(1)).max_blocking_threads(FILE_THREADS).thread_name("io");
    builder.enable_all().build()
}

impl Driver {
    fn new(process: Box<dyn Process>, inbox: Inbox, options: Options) -> Self {
        let runtime = options.runtime.clone().expect("the caller has set the runtime");
        let ((alive, all_ended), (slots_alive, slots_ended)) = (Alive::new(), Alive::new());
        Self {
            process,
            network: Network::new(options.clone(), inbox.clone(), runtime.clone()),
            outlets: HashMap::new(),
            tasks: Vec::new(),
            children: Children::new(inbox.clone()),
            slots: Slots::new(options.clock, inbox.clone()),
            uploads: Uploads::default(),
            calls: Calls::default(),
            inbox,
            options,
            runtime,
            alive,
            all_ended,
            slots_alive,
            slots_ended,
            outputs: Vec::new(),
        }
    }

    fn run(mut self) -> Exit {
        if self.options.signals && self.options.interrupts.is_none() {
            let interrupts = Interrupts::default();
            let watch = self.runtime.spawn(interrupt::watch(interrupts.clone()));
            self.tasks.push(watch.abort_handle());
            self.options.interrupts = Some(interrupts);
        }
        if let Some(interrupts) = &self.options.interrupts {
            interrupts.attach(self.inbox.clone());
        }
        let exit = catch_unwind(AssertUnwindSafe(|| self.turn_until_exit()))
            .unwrap_or_else(|panic| Exit::panicked(format!("panicked: {}", panic_text(&*panic))));
        self.end(&exit);
        exit
    }

    fn turn_until_exit(&mut self) -> Exit {
        if let Some(exit) = self.step(Input::Start) {
            return exit;
        }
        let mut batch = VecDeque::new();
        loop {
            self.inbox.take(&mut batch);
            let mut raised = self.inbox.signal().take();
            if batch.is_empty() && !raised {
                raised = self.inbox.signal().wait(self.time_to_wakeup());
                self.inbox.take(&mut batch);
            }
            for event in batch.drain(..) {
                if let Some(exit) = self.on_event(event) {
                    return exit;
                }
            }
            let due = self.time_to_wakeup().is_some_and(|wait| wait.is_zero());
            if due {
                // The process will judge whose messages are missing, so it first gets those that came during the batch.
                self.inbox.take(&mut batch);
                if let Some(exit) = batch.drain(..).find_map(|event| self.on_event(event)) {
                    return exit;
                }
            }
            if (raised || due)
                && let Some(exit) = self.step(Input::Wakeup)
            {
                return exit;
            }
        }
    }

    fn time_to_wakeup(&self) -> Option<Duration> {
        self.process.next_wakeup().map(|at| at.since(self.options.clock.now()))
    }

    fn on_event(&mut self, event: Event) -> Option<Exit> {
        let input = match event {
            Event::Input(input) => input,
            Event::Accepted { conn, listener, outlet } => {
                self.outlets.insert(conn, outlet);
                Input::Accepted { conn, listener }
            }
            Event::Frame { conn, frame, permit } => {
                let exit =
                    self.outlets.contains_key(&conn).then(|| self.step(Input::Received { conn, frame }));
                drop(permit);
                return exit.flatten();
            }
            Event::SlotLost { reason } => return Some(Exit::panicked(reason)),
            Event::Kill => return Some(Exit { code: Exit::KILLED, reason: "killed".into() }),
        };
        match &input {
            Input::Connected { conn, .. } | Input::Silent { conn } if !self.outlets.contains_key(conn) => {
                return None;
            }
            Input::Closed { conn, .. } => drop(self.outlets.remove(conn)?),
            Input::ChildExited { child, .. } => self.children.ended(*child),
            Input::Terminate => {
                if let Some(interrupts) = &self.options.interrupts {
                    interrupts.handled();
                }
            }
            Input::Called { ticket, .. } if !self.calls.ended(*ticket) => return None,
            _ => {}
        }
        self.step(input)
    }

    /// Passes one input to the process and carries out its outputs.
    fn step(&mut self, input: Input) -> Option<Exit> {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.process.handle(self.options.clock.now(), input, &mut outputs);
        let exit = outputs.drain(..).find_map(|output| self.carry_out(output));
        self.outputs = outputs;
        exit
    }

    fn carry_out(&mut self, output: Output) -> Option<Exit> {
        match output {
            Output::Listen { listener, address } => {
                let task = self.network.clone().listen(listener, address, self.alive.clone());
                self.tasks.push(self.runtime.spawn(task).abort_handle());
            }
            Output::Connect { conn, address } => {
                debug_assert!(conn.0 < ConnId::ACCEPTED, "outgoing connections have ids below ACCEPTED");
                self.outlets.insert(conn, self.network.connect(conn, address, self.alive.clone()));
            }
            Output::Send { conn, frame } => {
                if let Some(outlet) = self.outlets.get(&conn) {
                    outlet.send(frame);
                }
            }
            Output::Close { conn } => {
                if let Some(outlet) = self.outlets.remove(&conn) {
                    outlet.close();
                }
            }
            Output::Store { ticket, op: StoreOp::Upload { upload, at, part, last } } => {
                let part = Part { ticket, at, bytes: part, last };
                self.uploads.add(upload, part, &self.options.storage, &self.inbox, &self.runtime);
            }
            Output::Store { ticket, op: StoreOp::CancelUpload { upload } } => {
                self.uploads.cancel(upload);
                let result = Ok(crate::StoreReply::Done);
                self.inbox.push_input(Input::Stored { ticket, result });
            }
            Output::Store { ticket, op } => {
                let (storage, inbox) = (self.options.storage.clone(), self.inbox.clone());
                self.runtime.spawn(async move {
                    let result = storage.carry_out(op).await;
                    inbox.push_input(Input::Stored { ticket, result });
                });
            }
            Output::Call { ticket, call } => self.calls.start(ticket, call, &self.inbox),
            Output::CancelCall { ticket } => self.calls.cancel(ticket),
            Output::StartChild { child, command } => {
                self.start_child(child, command);
            }
            Output::KillChild { child } => self.children.kill(child),
            Output::RunSlot { slot, signal, name } => {
                self.slots.run(slot, signal, name, self.slots_alive.clone())
            }
            Output::Exit { code, reason } => return Some(Exit { code, reason }),
        }
        None
    }

    fn start_child(&mut self, child: ChildId, command: ChildCommand) {
        let alive = self.alive.clone();
        let ChildMode::InProcess(factory) = &self.options.child else {
            return self.children.start(child, command, &self.runtime, alive);
        };
        let (process, signal) = factory(command);
        let options = Options { signals: false, interrupts: None, ..self.options.clone() };
        let inbox = self.inbox.clone();
        let ended = move |exit: Exit| {
            inbox.push_input(Input::ChildExited { child, status: exit.as_child_status() });
            drop(alive);
        };
        match spawn_with(format!("child-{}", child.0), process, signal, options, ended) {
            Ok(handle) => self.children.add_thread(child, handle.inbox),
            Err(e) => {
                let status = format!("cannot start a thread: {e}");
                self.inbox.push_input(Input::ChildExited { child, status });
            }
        }
    }

    /// Releases the resources of the process. Unless it was killed, queued frames are sent before.
    fn end(mut self, exit: &Exit) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.calls.cancel_all();
        self.children.kill_all();
        self.slots.stop();
        for (_, outlet) in self.outlets.drain() {
            if exit.code != Exit::KILLED {
                outlet.close();
            }
        }
        self.inbox.close();
        drop((self.process, self.network, self.uploads, self.alive, self.slots_alive));
        let timed_out = Err(mpsc::RecvTimeoutError::Timeout);
        if self.all_ended.recv_timeout(self.options.flush_timeout) == timed_out {
            tracing::warn!("a connection or child has not ended after {:?}", self.options.flush_timeout);
        }
        // A step that does not end may be the cause of the failure, and it may continue to allocate memory.
        if exit.is_failure() {
            return;
        }
        let patience = self.options.slot_timeout;
        if self.slots_ended.recv_timeout(patience) == timed_out {
            tracing::warn!("a slot has not ended its step after {patience:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::Instant;

    /// A process that something reaches while it handles its first input, for longer than it wanted to wait for it.
    struct Late {
        inbox: Inbox,
        wake_at: Option<Instant>,
        seen: Vec<&'static str>,
    }

    impl Process for Late {
        fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
            match input {
                Input::Start => {
                    self.wake_at = Some(now);
                    self.inbox.push_input(Input::Terminate);
                }
                Input::Terminate if self.seen.is_empty() => {
                    self.seen.push("first");
                    self.inbox.push_input(Input::Terminate);
                }
                Input::Terminate => self.seen.push("second"),
                _ => out.push(Output::Exit { code: 0, reason: self.seen.join(", ") }),
            }
        }

        fn next_wakeup(&self) -> Option<Instant> {
            self.wake_at
        }
    }

    #[test]
    fn a_process_gets_what_has_arrived_before_it_judges_by_the_time() {
        let inbox = Inbox::new(Signal::default());
        let late = Late { inbox: inbox.clone(), wake_at: None, seen: Vec::new() };
        let exit = drive(Box::new(late), inbox, Options::default());
        assert_eq!(exit.reason, "first, second");
    }
}
