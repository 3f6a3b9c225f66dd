//! The simulated network: connections that deliver in order, after random times, until they break.
//!
//! A partition between two hosts holds back everything between them, or in one direction. Some connections survive it and deliver
//! afterwards; others break, and each end notices that at its own time. Of what a killed process has sent,
//! everything from a random frame on is lost. Its peer sees the connection close, but not through a partition.

use super::ProcessId;
use super::time::Time;
use bytes::Bytes;
use reflow_env::{ConnId, ListenerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A connection. End 0 has opened it, end 1 is set when it is accepted.
pub(super) struct Link {
    pub(super) ends: [End; 2],
    pub(super) hosts: [String; 2],
    port: u16,
    established: bool,
    broken: bool,
    held: VecDeque<Arrival>,
}

/// One end of a connection, with what is on its way to it.
#[derive(Default)]
pub(super) struct End {
    pub(super) owner: Option<(ProcessId, ConnId)>,
    /// Whether the owner still uses it.
    pub(super) open: bool,
    last_arrival: Time,
    sent: u64,
    arrived: u64,
    lost_from: Option<u64>,
}

/// Something on its way to one end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) link: usize,
    pub(super) to: usize,
    number: u64,
    pub(super) what: Parcel,
}

/// What arrives.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    /// A request to connect.
    Open,
    /// The connection was accepted.
    Accepted,
    /// A frame.
    Frame(Bytes),
    /// The connection was closed.
    Closed(String),
}

/// The consequence of an arrival.
pub(super) enum Arrived {
    /// None.
    Nothing,
    /// A listener accepts a connection. Tell it, and send [`Parcel::Accepted`] back.
    ToAccept(ProcessId, ListenerId),
    /// Nothing listens at the address. Send this error back.
    Refused(String),
    /// The owner of the end gets it.
    ToTell(ProcessId, ConnId, Parcel),
}

/// All connections and listeners.
#[derive(Default)]
pub(super) struct Network {
    pub(super) links: Vec<Link>,
    listeners: BTreeMap<(String, u16), (ProcessId, ListenerId)>,
    /// From and to which host nothing arrives.
    partitions: BTreeSet<(String, String)>,
    /// The hosts that names point at, for all hosts and for single ones.
    names: BTreeMap<(Option<String>, String), String>,
    last_port: u16,
}

impl Network {
    /// Binds a port of a host, a free one for port 0. Returns the port.
    pub(super) fn listen(
        &mut self,
        host: &str,
        address: &str,
        owner: (ProcessId, ListenerId),
    ) -> Result<String, String> {
        let port = port_of(address).ok_or_else(|| format!("'{address}' is not an address"))?;
        let port = if port == 0 { self.free_port(host) } else { port };
        let place = (host.to_owned(), port);
        if self.listeners.contains_key(&place) {
            return Err("address already in use".to_owned());
        }
        self.listeners.insert(place, owner);
        Ok(format!("{host}:{port}"))
    }

    fn free_port(&mut self, host: &str) -> u16 {
        loop {
            self.last_port = if self.last_port < 40_000 { 40_000 } else { self.last_port + 1 };
            if !self.listeners.contains_key(&(host.to_owned(), self.last_port)) {
                return self.last_port;
            }
        }
    }

    /// Frees the ports of a process.
    pub(super) fn stop_listening(&mut self, process: ProcessId) {
        self.listeners.retain(|_, (owner, _)| *owner != process);
    }

    /// Begins a connection.
    pub(super) fn connect(
        &mut self,
        from: &str,
        address: &str,
        owner: (ProcessId, ConnId),
    ) -> Result<usize, String> {
        let port = port_of(address).ok_or_else(|| format!("'{address}' is not an address"))?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = if matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0") { from } else { host };
        let host = &self.resolve(from, host).to_owned();
        let opener = End { owner: Some(owner), open: true, ..End::default() };
        self.links.push(Link {
            ends: [opener, End::default()],
            hosts: [from.to_owned(), host.to_owned()],
            port,
            established: false,
            broken: false,
            held: VecDeque::new(),
        });
        Ok(self.links.len() - 1)
    }

    /// Points a name at a host, for all hosts or for one.
    pub(super) fn point(&mut self, viewer: Option<&str>, name: &str, host: &str) {
        if viewer.is_none() {
            self.names.retain(|(_, known), _| known != name);
        }
        self.names.insert((viewer.map(str::to_owned), name.to_owned()), host.to_owned());
    }

    /// The host that a name points at for another host. A name that points at none is the name of a host.
    fn resolve<'a>(&'a self, viewer: &str, name: &'a str) -> &'a str {
        let of = |viewer: Option<&str>| self.names.get(&(viewer.map(str::to_owned), name.to_owned()));
        of(Some(viewer)).or_else(|| of(None)).map_or(name, String::as_str)
    }

    /// Sends something, which takes `delay` or longer, because it stays behind what was sent before.
    pub(super) fn send(
        &mut self,
        now: Time,
        delay: Time,
        link: usize,
        to: usize,
        what: Parcel,
    ) -> (Time, Arrival) {
        let end = &mut self.links[link].ends[to];
        end.last_arrival = end.last_arrival.max(now + delay);
        end.sent += 1;
        (end.last_arrival, Arrival { link, to, number: end.sent, what })
    }

    /// Handles an arrival.
    pub(super) fn arrive(&mut self, arrival: Arrival) -> Arrived {
        let cut_off = self.is_partitioned(arrival.link, arrival.to);
        let link = &mut self.links[arrival.link];
        if link.broken {
            return Arrived::Nothing;
        }
        if cut_off {
            link.held.push_back(arrival);
            return Arrived::Nothing;
        }
        let end = &mut link.ends[arrival.to];
        end.arrived = arrival.number;
        let lost = end.lost_from.is_some_and(|from| arrival.number >= from);
        match arrival.what {
            Parcel::Open => self.arrive_open(arrival.link),
            Parcel::Frame(_) if lost => Arrived::Nothing,
            _ if !end.open => Arrived::Nothing,
            what => {
                let Some((process, conn)) = end.owner else { return Arrived::Nothing };
                match what {
                    Parcel::Closed(_) => end.open = false,
                    Parcel::Accepted => link.established = true,
                    Parcel::Open | Parcel::Frame(_) => {}
                }
                Arrived::ToTell(process, conn, what)
            }
        }
    }

    fn arrive_open(&mut self, link: usize) -> Arrived {
        let link = &mut self.links[link];
        match self.listeners.get(&(link.hosts[1].clone(), link.port)) {
            _ if !link.ends[0].open => Arrived::Nothing,
            Some(&(process, listener)) => Arrived::ToAccept(process, listener),
            None => Arrived::Refused(format!("{}:{}: connection refused", link.hosts[1], link.port)),
        }
    }

    /// The listener has taken the connection.
    pub(super) fn accept(&mut self, link: usize, owner: (ProcessId, ConnId)) {
        let end = &mut self.links[link].ends[1];
        end.owner = Some(owner);
        end.open = true;
    }

    /// Closes an end without telling its owner. Returns whether it was open.
    pub(super) fn close(&mut self, link: usize, side: usize) -> bool {
        std::mem::take(&mut self.links[link].ends[side].open)
    }

    /// The owner of an end was killed. Of the frames under way, those from the `lost`-th on are lost.
    pub(super) fn lose(&mut self, link: usize, from: usize, lost: impl FnOnce(u64) -> u64) -> u64 {
        let end = &mut self.links[link].ends[1 - from];
        let under_way = end.sent - end.arrived;
        let kept = if under_way == 0 { 0 } else { lost(under_way) };
        end.lost_from = Some(end.arrived + 1 + kept);
        under_way - kept
    }

    /// Ends a connection attempt that has not succeeded. Returns who waits for it.
    pub(super) fn give_up_connecting(&mut self, link: usize) -> Option<(ProcessId, ConnId)> {
        let link = &mut self.links[link];
        if link.established || !std::mem::take(&mut link.ends[0].open) {
            return None;
        }
        link.broken = true;
        link.ends[0].owner
    }

    /// From now on nothing arrives from one host at another one. Returns the connections between them.
    pub(super) fn partition(&mut self, from: &str, to: &str) -> Vec<usize> {
        self.partitions.insert((from.to_owned(), to.to_owned()));
        let (a, b) = (from, to);
        let between = |link: &Link| pair(&link.hosts[0], &link.hosts[1]) == pair(a, b);
        let alive = |link: &Link| !link.broken && link.ends.iter().any(|end| end.open);
        let links = self.links.iter().enumerate();
        links.filter(|(_, link)| between(link) && alive(link)).map(|(number, _)| number).collect()
    }

    /// Breaks a connection, so that nothing arrives any more.
    pub(super) fn break_link(&mut self, link: usize) {
        self.links[link].broken = true;
        self.links[link].held.clear();
    }

    /// Connects two hosts again. Returns what arrives now.
    pub(super) fn heal(&mut self, a: &str, b: &str) -> Vec<Arrival> {
        for (from, to) in [(a, b), (b, a)] {
            self.partitions.remove(&(from.to_owned(), to.to_owned()));
        }
        let between = |link: &&mut Link| pair(&link.hosts[0], &link.hosts[1]) == pair(a, b);
        self.links.iter_mut().filter(between).flat_map(|link| std::mem::take(&mut link.held)).collect()
    }

    /// Whether nothing arrives from one of two hosts at the other.
    pub(super) fn are_cut_off(&self, a: &str, b: &str) -> bool {
        [(a, b), (b, a)]
            .iter()
            .any(|(from, to)| self.partitions.contains(&((*from).to_owned(), (*to).to_owned())))
    }

    /// Whether nothing arrives at this end of a connection.
    pub(super) fn is_partitioned(&self, link: usize, to: usize) -> bool {
        let hosts = &self.links[link].hosts;
        let direction = || (hosts[1 - to].clone(), hosts[to].clone());
        !self.partitions.is_empty() && self.partitions.contains(&direction())
    }

    /// Whether the owner of an end that can hear nothing of the other one waits for it.
    pub(super) fn is_silent(&self, link: usize, side: usize) -> bool {
        let it = &self.links[link];
        it.established && it.ends[side].open && self.is_partitioned(link, side)
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}
