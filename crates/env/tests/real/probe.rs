//! A process whose outputs come from a test and whose inputs go to it.

use reflow_env::real::{self, Exit, Handle, Options};
use reflow_env::{ConnId, Input, ListenerId, Output, Process, Signal, StoreOp, StoreResult, Ticket};
use reflow_types::Instant;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Far above what any test needs; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The test's end of a process that is driven for real.
pub(crate) struct Probe {
    inputs: mpsc::Receiver<Input>,
    skipped: RefCell<VecDeque<Input>>,
    outputs: mpsc::Sender<Output>,
    signal: Signal,
    next_ticket: Cell<u64>,
    pub(crate) handle: Handle,
}

struct Inner {
    inputs: mpsc::Sender<Input>,
    outputs: mpsc::Receiver<Output>,
    gate: Arc<Mutex<()>>,
}

impl Process for Inner {
    fn handle(&mut self, _now: Instant, input: Input, out: &mut Vec<Output>) {
        drop(self.gate.lock().unwrap());
        drop(self.inputs.send(input));
        out.extend(self.outputs.try_iter());
    }

    fn next_wakeup(&self) -> Option<Instant> {
        None
    }
}

impl Probe {
    pub(crate) fn start(options: Options) -> Self {
        Self::start_gated(options, Arc::default())
    }

    /// The process does nothing while somebody holds `gate`.
    pub(crate) fn start_gated(options: Options, gate: Arc<Mutex<()>>) -> Self {
        let (to_test, inputs) = mpsc::channel();
        let (outputs, from_test) = mpsc::channel();
        let signal = Signal::default();
        let inner = Box::new(Inner { inputs: to_test, outputs: from_test, gate });
        let handle = real::spawn("probe".into(), inner, signal.clone(), options).unwrap();
        Self { inputs, skipped: RefCell::default(), outputs, signal, next_ticket: Cell::new(0), handle }
    }

    /// Has the process ask for `output`.
    pub(crate) fn ask(&self, output: Output) {
        self.outputs.send(output).unwrap();
        self.signal.raise();
    }

    /// The next input that `pick` wants; others are kept for later calls.
    pub(crate) fn wait_for<T>(&self, mut pick: impl FnMut(&Input) -> Option<T>) -> T {
        let mut skipped = self.skipped.borrow_mut();
        let found = skipped.iter().enumerate().find_map(|(at, input)| Some((at, pick(input)?)));
        if let Some((at, found)) = found {
            skipped.remove(at);
            return found;
        }
        loop {
            let input = self.inputs.recv_timeout(PATIENCE).expect("the input comes");
            match pick(&input) {
                Some(found) => return found,
                None if matches!(input, Input::Wakeup) => {}
                None => skipped.push_back(input),
            }
        }
    }

    pub(crate) fn listen(&self, address: &str) -> Result<String, String> {
        self.ask(Output::Listen { listener: ListenerId(0), address: address.into() });
        self.wait_for(|input| match input {
            Input::Listening { address, .. } => Some(Ok(address.clone())),
            Input::ListenFailed { error, .. } => Some(Err(error.clone())),
            _ => None,
        })
    }

    pub(crate) fn accepted(&self) -> ConnId {
        self.wait_for(|input| match input {
            Input::Accepted { conn, .. } => Some(*conn),
            _ => None,
        })
    }

    pub(crate) fn connect(&self, id: u64, address: &str) -> Result<ConnId, String> {
        self.ask(Output::Connect { conn: ConnId(id), address: address.into() });
        self.wait_for(|input| match input {
            Input::Connected { conn, .. } if conn.0 == id => Some(Ok(*conn)),
            Input::Closed { conn, reason } if conn.0 == id => Some(Err(reason.clone())),
            _ => None,
        })
    }

    pub(crate) fn send(&self, conn: ConnId, frame: impl Into<bytes::Bytes>) {
        self.ask(Output::Send { conn, frame: frame.into() });
    }

    pub(crate) fn received(&self, from: ConnId) -> bytes::Bytes {
        self.wait_for(|input| match input {
            Input::Received { conn, frame } if *conn == from => Some(frame.clone()),
            _ => None,
        })
    }

    pub(crate) fn closed(&self, which: ConnId) -> String {
        self.wait_for(|input| match input {
            Input::Closed { conn, reason } if *conn == which => Some(reason.clone()),
            _ => None,
        })
    }

    /// Carries out a storage request.
    pub(crate) fn store(&self, op: StoreOp) -> StoreResult {
        let ticket = self.begin(op);
        self.stored(ticket)
    }

    /// Starts a storage request.
    pub(crate) fn begin(&self, op: StoreOp) -> Ticket {
        let ticket = Ticket(self.next_ticket.replace(self.next_ticket.get() + 1));
        self.ask(Output::Store { ticket, op });
        ticket
    }

    /// The answer to a storage request.
    pub(crate) fn stored(&self, which: Ticket) -> StoreResult {
        self.wait_for(|input| match input {
            Input::Stored { ticket, result } if *ticket == which => Some(result.clone()),
            _ => None,
        })
    }

    /// Ends the process. Returns its exit and the inputs for which the test has not waited.
    pub(crate) fn exit(self) -> (Exit, Vec<Input>) {
        self.ask(Output::Exit { code: 0, reason: String::new() });
        let exit = self.handle.join();
        let rest = self.skipped.into_inner().into_iter().chain(self.inputs.try_iter());
        (exit, rest.filter(|input| !matches!(input, Input::Start | Input::Wakeup)).collect())
    }
}

/// Two processes with a connection between them: the listening one and its end, the connecting one and its end.
/// It has introduced itself.
pub(crate) fn pair(options: &Options) -> ((Probe, ConnId), (Probe, ConnId)) {
    let (server, client) = (Probe::start(options.clone()), Probe::start(options.clone()));
    let address = server.listen("127.0.0.1:0").unwrap();
    let to_server = client.connect(1, &address).unwrap();
    let to_client = server.accepted();
    client.send(to_server, "hello");
    assert_eq!(server.received(to_client), "hello");
    ((server, to_client), (client, to_server))
}

/// Sends frames around every bound of a connection with these options, and an answer.
#[track_caller]
pub(crate) fn expect_frames_of_all_sizes(options: &Options) {
    let ((server, to_client), (client, to_server)) = pair(options);
    let sizes = [0, 1, 5, 1000, 16 << 10, (16 << 10) + 1, 1 << 20, 3, 20 << 20, 7];
    for (at, size) in sizes.iter().enumerate() {
        client.send(to_server, vec![at as u8; *size]);
    }
    for (at, size) in sizes.iter().enumerate() {
        assert!(server.received(to_client) == vec![at as u8; *size], "frame {at}");
    }
    server.send(to_client, "pong");
    assert_eq!(client.received(to_server), "pong");
}
