//! Data connections between executors.
//!
//! The receiver of records opens the connection to their sender: `senders` are those that this executor opened,
//! `receivers` those that were opened to it.

use bytes::Bytes;
use reflow_env::{ConnId, Output};
use reflow_protocol::data::ToSender;
use reflow_protocol::hello::Hello;
use reflow_types::{ExecutorId, JobId};
use std::collections::BTreeMap;

/// Who this executor is to its peers.
pub(super) struct Credentials {
    pub(super) id: ExecutorId,
    pub(super) job: JobId,
    pub(super) token: u128,
}

#[derive(Default)]
pub(super) struct Peers {
    /// Where each executor of the attempt listens.
    addresses: BTreeMap<ExecutorId, String>,
    senders: BTreeMap<ExecutorId, ToPeer>,
    receivers: BTreeMap<ExecutorId, ConnId>,
    /// Connections by id.
    by_conn: BTreeMap<ConnId, Peer>,
    next_conn: u64,
}

struct ToPeer {
    conn: ConnId,
    /// Frames that wait for the connection to stand.
    waiting: Option<Vec<Bytes>>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// This executor receives records over it.
    Sender(ExecutorId),
    /// This executor sends records over it.
    Receiver(ExecutorId),
    /// Accepted; nothing is known yet.
    Unknown,
}

impl Peers {
    /// Sets where the executors of the next attempt listen. Connections to executors that are no longer among
    /// them are closed.
    pub(super) fn set_addresses(&mut self, addresses: &[(ExecutorId, String)], out: &mut Vec<Output>) {
        self.addresses = addresses.iter().cloned().collect();
        let gone = |id: &ExecutorId| !self.addresses.contains_key(id);
        let lost: Vec<ExecutorId> = self.senders.keys().copied().filter(gone).collect();
        for id in lost {
            if let Some(peer) = self.senders.remove(&id) {
                self.by_conn.remove(&peer.conn);
                out.push(Output::Close { conn: peer.conn });
            }
        }
    }

    /// Sends to the executor from which records come; opens the connection if there is none.
    pub(super) fn send_to_sender(
        &mut self,
        to: ExecutorId,
        message: &ToSender,
        ours: &Credentials,
        out: &mut Vec<Output>,
    ) {
        let frame = reflow_protocol::encode(message);
        let Some(address) = self.addresses.get(&to) else { return };
        let peer = self.senders.entry(to).or_insert_with(|| {
            // The JobManager's connection has number 0.
            self.next_conn += 1;
            let conn = ConnId(self.next_conn);
            self.by_conn.insert(conn, Peer::Sender(to));
            out.push(Output::Connect { conn, address: address.clone() });
            let hello = Hello::Receiver { id: ours.id, job: ours.job, token: ours.token };
            ToPeer { conn, waiting: Some(vec![hello.encode()]) }
        });
        match &mut peer.waiting {
            Some(waiting) => waiting.push(frame),
            None => out.push(Output::Send { conn: peer.conn, frame }),
        }
    }

    /// Sends records to the executor that opened a connection for them. Without one they are dropped: their
    /// receiver is gone.
    pub(super) fn send_to_receiver(&self, to: ExecutorId, frame: Bytes, out: &mut Vec<Output>) {
        if let Some(&conn) = self.receivers.get(&to) {
            out.push(Output::Send { conn, frame });
        }
    }

    /// An outgoing connection stands.
    pub(super) fn connected(&mut self, conn: ConnId, out: &mut Vec<Output>) {
        let Some(peer) = self.senders.values_mut().find(|peer| peer.conn == conn) else { return };
        for frame in peer.waiting.take().into_iter().flatten() {
            out.push(Output::Send { conn, frame });
        }
    }

    pub(super) fn accepted(&mut self, conn: ConnId) {
        self.by_conn.insert(conn, Peer::Unknown);
    }

    /// An accepted connection has said who it is.
    pub(super) fn identified(&mut self, conn: ConnId, id: ExecutorId) {
        self.by_conn.insert(conn, Peer::Receiver(id));
        self.receivers.insert(id, conn);
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<Peer> {
        self.by_conn.get(&conn).copied()
    }

    /// A connection is gone; says whose it was, if it still mattered.
    pub(super) fn closed(&mut self, conn: ConnId) -> Option<Peer> {
        let peer = self.by_conn.remove(&conn)?;
        match peer {
            Peer::Sender(id) => drop(self.senders.remove(&id)),
            Peer::Receiver(id) if self.receivers.get(&id) == Some(&conn) => drop(self.receivers.remove(&id)),
            Peer::Receiver(_) | Peer::Unknown => return None,
        }
        Some(peer)
    }
}
