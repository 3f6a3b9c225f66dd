//! The broker over TCP, with a thread for each connection, and what can go wrong with it.

use super::client::MAX_MESSAGE_BYTES;
use super::{Broker, BrokerReply, BrokerRequest};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a request that waits looks whether there is an answer.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Serves a broker until it is killed. Dropping it kills it.
pub struct BrokerServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Has the port until it ends.
    accepting: Option<JoinHandle<()>>,
}

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Each answer takes this long.
    Slow(Duration),
    /// Answers are carried out, but cannot be read.
    Garbage,
    /// The server dies when it has carried out the next request to prepare a transaction, before it answers.
    DiesInPrepare,
    /// The server dies when it has carried out the next commit, before it answers.
    DiesInCommit,
}

struct Shared {
    broker: Arc<Mutex<Broker>>,
    server: Mutex<Server>,
    changed: Condvar,
}

#[derive(Default)]
struct Server {
    trouble: Trouble,
    killed: bool,
    /// The number of answers in trouble.
    struck: u64,
    connections: Vec<TcpStream>,
}

impl BrokerServer {
    /// Serves `broker`, which outlives the server as its disk would, at a free port.
    ///
    /// # Errors
    /// If the system refuses the port.
    pub fn start(broker: Arc<Mutex<Broker>>) -> std::io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), broker)
    }

    /// The same at a certain address.
    ///
    /// # Errors
    /// If the system refuses the port.
    pub fn start_at(address: SocketAddr, broker: Arc<Mutex<Broker>>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { broker, server: Mutex::default(), changed: Condvar::new() });
        let accepting = shared.clone();
        let accept = move || {
            for connection in listener.incoming() {
                let shared = accepting.clone();
                let Ok(connection) = connection else { continue };
                if !shared.admit(&connection) {
                    return; // and close the listener
                }
                let serve = move || drop(shared.serve(connection));
                drop(std::thread::Builder::new().name("broker-connection".to_owned()).spawn(serve));
            }
        };
        let accepting = std::thread::Builder::new().name("broker".to_owned()).spawn(accept)?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what is wrong with it from now on.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.shared.server().trouble = trouble;
    }

    /// How many answers were late or could not be read.
    pub fn struck(&self) -> u64 {
        self.shared.server().struck
    }

    /// Waits until it is dead.
    ///
    /// # Panics
    /// If it still lives after a minute.
    pub fn wait_for_death(&self) {
        let minute = Duration::from_secs(60);
        let alive = |server: &mut Server| !server.killed;
        let waited = self.shared.changed.wait_timeout_while(self.shared.server(), minute, alive);
        let (server, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(server.killed, "the broker still lives");
    }

    /// Kills it: connections break, and the port is closed.
    pub fn kill(&mut self) {
        self.shared.kill();
        if let Some(accepting) = self.accepting.take() {
            // Wakes the thread that accepts connections, which then ends.
            drop(TcpStream::connect(self.address));
            drop(accepting.join());
        }
    }
}

impl Drop for BrokerServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server lives and takes the connection.
    fn admit(&self, connection: &TcpStream) -> bool {
        let mut server = self.server();
        if let Ok(connection) = connection.try_clone() {
            server.connections.push(connection);
        }
        !server.killed
    }

    fn kill(&self) {
        let mut server = self.server();
        server.killed = true;
        for connection in server.connections.drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
        self.changed.notify_all();
    }

    /// Waits for `time`, or until the server is killed.
    fn pause(&self, time: Duration) {
        let alive = |server: &mut Server| !server.killed;
        drop(self.changed.wait_timeout_while(self.server(), time, alive));
    }

    /// Answers the requests of one connection until it ends.
    fn serve(&self, mut connection: TcpStream) -> std::io::Result<()> {
        loop {
            let mut len = [0; 4];
            connection.read_exact(&mut len)?;
            let len = u32::from_be_bytes(len).min(MAX_MESSAGE_BYTES);
            let mut message = vec![0; len as usize];
            connection.read_exact(&mut message)?;
            let Ok(request) = postcard::from_bytes::<BrokerRequest>(&message) else { return Ok(()) };
            let Some(answer) = self.answer(&request) else { return Ok(()) };
            connection.write_all(&(answer.len() as u32).to_be_bytes())?;
            connection.write_all(&answer)?;
        }
    }

    /// Carries out a request. `None` if the server is dead.
    fn answer(&self, request: &BrokerRequest) -> Option<Vec<u8>> {
        let mut wait = match request {
            BrokerRequest::Fetch { wait_ms, .. } => Duration::from_millis(*wait_ms),
            _ => Duration::ZERO,
        };
        let answer = loop {
            if self.server().killed {
                return None;
            }
            match self.broker().handle(request) {
                Some(answer) => break answer,
                None if wait.is_zero() => {
                    break Ok(BrokerReply::Records { records: Vec::new(), left: 0, complete: false });
                }
                None => {}
            }
            self.pause(wait.min(LOOK_AGAIN));
            wait = wait.saturating_sub(LOOK_AGAIN);
        };
        let trouble = {
            let mut server = self.server();
            server.struck += u64::from(server.trouble != Trouble::None);
            server.trouble
        };
        match (trouble, request) {
            (Trouble::Slow(time), _) => self.pause(time),
            (Trouble::Garbage, _) => return Some(b"HTTP/1.1 400 Bad Request".to_vec()),
            (Trouble::DiesInPrepare, BrokerRequest::Prepare { .. })
            | (Trouble::DiesInCommit, BrokerRequest::Commit { .. }) => {
                self.kill();
                return None;
            }
            _ => {}
        }
        postcard::to_stdvec(&answer).ok()
    }
}
