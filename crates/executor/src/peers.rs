//! Data connections between executors.
//!
//! The receiver of records opens the connection to their sender: `senders` are the connections that this executor
//! has opened, `receivers` those that were opened to it. Key groups that change their owner have connections of
//! their own, which the new owner opens: `old_owners` are those that this executor has opened, `new_owners` those
//! that were opened to it.

use bytes::Bytes;
use reflow_env::{ConnId, Output};
use reflow_protocol::data::ToSender;
use reflow_protocol::hello::Hello;
use reflow_types::{ExecutorId, JobId};
use std::collections::BTreeMap;

/// The identity with which this executor connects to its peers.
pub(super) struct Credentials {
    pub(super) id: ExecutorId,
    pub(super) job: JobId,
    pub(super) token: u128,
    /// The secret of the former leadership. A peer may not have heard of the change.
    former: u128,
}

impl Credentials {
    pub(super) fn new(id: ExecutorId, job: JobId, token: u128) -> Self {
        Self { id, job, token, former: token }
    }

    /// Another leadership has another secret.
    pub(super) fn follow(&mut self, token: u128) {
        if token != self.token {
            self.former = std::mem::replace(&mut self.token, token);
        }
    }

    /// Whether a peer is an executor of this job.
    pub(super) fn accept(&self, job: JobId, token: u128) -> bool {
        job == self.job && (token == self.token || token == self.former)
    }
}

#[derive(Default)]
pub(super) struct Peers {
    /// The addresses of the attempt's executors.
    addresses: BTreeMap<ExecutorId, String>,
    senders: BTreeMap<ExecutorId, ToPeer>,
    receivers: BTreeMap<ExecutorId, ConnId>,
    old_owners: BTreeMap<ExecutorId, ConnId>,
    new_owners: BTreeMap<ExecutorId, NewOwner>,
    /// The number of the last connection that each executor has opened for records, and for key groups.
    last_receivers: BTreeMap<ExecutorId, u64>,
    last_new_owners: BTreeMap<ExecutorId, u64>,
    by_conn: BTreeMap<ConnId, Peer>,
    next_conn: u64,
}

struct ToPeer {
    conn: ConnId,
    /// Frames that wait for the connection.
    waiting: Option<Vec<Bytes>>,
}

/// The connection to a new owner of key groups, or the frames that wait for it.
enum NewOwner {
    Connected(ConnId),
    /// Bounded in bytes, because the changes since the last checkpoint may be large.
    Awaited(Vec<Bytes>),
}

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// This executor receives records over it.
    Sender(ExecutorId),
    /// This executor sends records over it.
    Receiver(ExecutorId),
    /// This executor receives key groups over it.
    OldOwner(ExecutorId),
    /// This executor hands key groups over through it.
    NewOwner(ExecutorId),
    /// The connection was accepted, and its hello has not arrived.
    Unknown,
}

impl Peers {
    /// Sets the addresses of the executors of the next attempt or graph. Connections to other executors are
    /// closed.
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

    /// Sends a message to an executor that sends records, and opens the connection if there is none.
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
            let Credentials { id, job, token, .. } = *ours;
            let hello = Hello::Receiver { id, job, token, number: conn.0 };
            ToPeer { conn, waiting: Some(vec![hello.encode()]) }
        });
        match &mut peer.waiting {
            Some(waiting) => waiting.push(frame),
            None => out.push(Output::Send { conn: peer.conn, frame }),
        }
    }

    /// Sends records to the executor that has opened a connection for them. Without a connection the records are
    /// dropped, because their receiver is gone.
    pub(super) fn send_to_receiver(&self, to: ExecutorId, frame: Bytes, out: &mut Vec<Output>) {
        if let Some(&conn) = self.receivers.get(&to) {
            out.push(Output::Send { conn, frame });
        }
    }

    /// Opens a connection to each executor that will hand over key groups.
    pub(super) fn expect_from(
        &mut self,
        old_owners: impl IntoIterator<Item = ExecutorId>,
        out: &mut Vec<Output>,
    ) {
        for old_owner in old_owners {
            let Some(address) =
                self.addresses.get(&old_owner).filter(|_| !self.old_owners.contains_key(&old_owner))
            else {
                continue;
            };
            self.next_conn += 1;
            let conn = ConnId(self.next_conn);
            out.push(Output::Connect { conn, address: address.clone() });
            self.by_conn.insert(conn, Peer::OldOwner(old_owner));
            self.old_owners.insert(old_owner, conn);
        }
    }

    /// Sends a part of key groups' state to an executor. It waits until the executor has opened a connection for
    /// it.
    ///
    /// # Errors
    /// The number of waiting bytes if they are more than `max_bytes`. Executors open these connections while a
    /// rescale is prepared, so little waits unless a connection has failed.
    pub(super) fn send_to_new_owner(
        &mut self,
        to: ExecutorId,
        frame: Bytes,
        max_bytes: usize,
        out: &mut Vec<Output>,
    ) -> Result<(), usize> {
        match self.new_owners.entry(to).or_insert_with(|| NewOwner::Awaited(Vec::new())) {
            NewOwner::Connected(conn) => out.push(Output::Send { conn: *conn, frame }),
            NewOwner::Awaited(frames) => {
                let bytes = frame.len() + frames.iter().map(Bytes::len).sum::<usize>();
                if bytes > max_bytes && !frames.is_empty() {
                    return Err(bytes);
                }
                frames.push(frame);
            }
        }
        Ok(())
    }

    /// Ends all transfers of key groups. Only connections that this executor has opened are closed: a peer may
    /// already have opened a connection for the next rescale.
    pub(super) fn end_hand_overs(&mut self, out: &mut Vec<Output>) {
        self.new_owners.retain(|_, new_owner| matches!(new_owner, NewOwner::Connected(_)));
        for conn in std::mem::take(&mut self.old_owners).into_values() {
            self.by_conn.remove(&conn);
            out.push(Output::Close { conn });
        }
    }

    /// Handles the hello of a new owner of key groups.
    pub(super) fn identified_new_owner(
        &mut self,
        conn: ConnId,
        id: ExecutorId,
        number: u64,
        out: &mut Vec<Output>,
    ) {
        if !is_latest(&mut self.last_new_owners, id, number) {
            return self.drop_superseded(conn, out);
        }
        self.by_conn.insert(conn, Peer::NewOwner(id));
        let before = self.new_owners.insert(id, NewOwner::Connected(conn));
        if let Some(NewOwner::Awaited(frames)) = before {
            out.extend(frames.into_iter().map(|frame| Output::Send { conn, frame }));
        }
    }

    /// Handles the establishment of an outgoing connection.
    pub(super) fn connected(&mut self, conn: ConnId, ours: &Credentials, out: &mut Vec<Output>) {
        if let Some(Peer::OldOwner(_)) = self.by_conn.get(&conn) {
            let Credentials { id, job, token, .. } = *ours;
            let hello = Hello::NewOwner { id, job, token, number: conn.0 };
            out.push(Output::Send { conn, frame: hello.encode() });
            return;
        }
        let Some(peer) = self.senders.values_mut().find(|peer| peer.conn == conn) else { return };
        for frame in peer.waiting.take().into_iter().flatten() {
            out.push(Output::Send { conn, frame });
        }
    }

    pub(super) fn accepted(&mut self, conn: ConnId) {
        self.by_conn.insert(conn, Peer::Unknown);
    }

    /// Handles the hello of a receiver of records.
    pub(super) fn identified_receiver(
        &mut self,
        conn: ConnId,
        id: ExecutorId,
        number: u64,
        out: &mut Vec<Output>,
    ) {
        if !is_latest(&mut self.last_receivers, id, number) {
            return self.drop_superseded(conn, out);
        }
        self.by_conn.insert(conn, Peer::Receiver(id));
        self.receivers.insert(id, conn);
    }

    /// Drops a connection whose peer has opened a later one. The peer closes it, so if it replaced the later one,
    /// frames would be lost and a rescale would wait for them without end.
    fn drop_superseded(&mut self, conn: ConnId, out: &mut Vec<Output>) {
        self.by_conn.remove(&conn);
        out.push(Output::Close { conn });
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<Peer> {
        self.by_conn.get(&conn).copied()
    }

    /// Handles a closed connection. Returns its peer if the connection was still in use.
    pub(super) fn closed(&mut self, conn: ConnId) -> Option<Peer> {
        let peer = self.by_conn.remove(&conn)?;
        match peer {
            Peer::Sender(id) => drop(self.senders.remove(&id)),
            Peer::Receiver(id) if self.receivers.get(&id) == Some(&conn) => drop(self.receivers.remove(&id)),
            Peer::OldOwner(id) => drop(self.old_owners.remove(&id)),
            Peer::NewOwner(id) if matches!(self.new_owners.get(&id), Some(NewOwner::Connected(at)) if *at == conn) =>
            {
                self.new_owners.remove(&id);
            }
            Peer::Receiver(_) | Peer::NewOwner(_) | Peer::Unknown => return None,
        }
        Some(peer)
    }
}

/// Records the number of a connection. Returns whether it is greater than all earlier ones of the executor.
fn is_latest(last: &mut BTreeMap<ExecutorId, u64>, id: ExecutorId, number: u64) -> bool {
    let last = last.entry(id).or_default();
    let is_latest = *last < number;
    *last = number.max(*last);
    is_latest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If a rescale is abandoned and planned again shortly after, the hello of the first connection may arrive
    /// last.
    #[test]
    fn a_connection_does_not_replace_a_later_one() {
        let (mut peers, mut out, owner) = (Peers::default(), Vec::new(), ExecutorId(7));
        let (first, second) = (ConnId(8), ConnId(9));
        peers.accepted(first);
        peers.accepted(second);
        peers.identified_new_owner(second, owner, 3, &mut out);
        peers.identified_new_owner(first, owner, 1, &mut out);
        assert!(matches!(out[..], [Output::Close { conn }] if conn == first));
        assert_eq!(peers.closed(first), None);
        out.clear();
        let frame = Bytes::from_static(b"part");
        assert_eq!(peers.send_to_new_owner(owner, frame.clone(), 1_000, &mut out), Ok(()));
        assert!(matches!(out[..], [Output::Send { conn, .. }] if conn == second));

        let (first, second) = (ConnId(10), ConnId(11));
        peers.identified_receiver(second, owner, 5, &mut out);
        peers.identified_receiver(first, owner, 4, &mut out);
        out.clear();
        peers.send_to_receiver(owner, frame, &mut out);
        assert!(matches!(out[..], [Output::Send { conn, .. }] if conn == second));
    }

    #[test]
    fn what_waits_for_a_new_owner_is_bounded_in_bytes() {
        let (mut peers, mut out, owner) = (Peers::default(), Vec::new(), ExecutorId(7));
        let part = || Bytes::from_static(&[1; 400]);
        let mut send = |peers: &mut Peers, frame| peers.send_to_new_owner(owner, frame, 1_000, &mut out);
        let large = Bytes::from_static(&[2; 2_000]);
        assert_eq!(send(&mut peers, large.clone()), Ok(()), "one part is sent whatever its size");
        assert_eq!(send(&mut peers, part()), Err(2_400));
        peers.end_hand_overs(&mut Vec::new());
        let sent: Vec<_> = (0..4).map(|_| send(&mut peers, part())).collect();
        assert_eq!(sent, [Ok(()), Ok(()), Err(1_200), Err(1_200)]);
        let mut out = Vec::new();
        peers.identified_new_owner(ConnId(9), owner, 1, &mut out);
        assert_eq!(out.len(), 2);
        assert_eq!(
            peers.send_to_new_owner(owner, large, 1_000, &mut out),
            Ok(()),
            "the connection bounds it"
        );
    }
}
