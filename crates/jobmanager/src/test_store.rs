//! An object store in memory for tests, which answers requests at once.

use bytes::Bytes;
use reflow_env::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub(crate) struct MemoryStore {
    pub(crate) objects: BTreeMap<String, Bytes>,
    /// If set, all requests fail with this message.
    pub(crate) broken: Option<&'static str>,
    /// The next put of a name with this ending is carried out, but its answer is lost.
    pub(crate) lost_answer: Option<&'static str>,
    /// So many reads of a name with this ending are damaged.
    pub(crate) damaged_reads: Option<(&'static str, u32)>,
}

impl MemoryStore {
    pub(crate) fn answer(&mut self, op: StoreOp) -> StoreResult {
        let (StoreOp::Put { at, .. }
        | StoreOp::Get { at, .. }
        | StoreOp::Delete { at }
        | StoreOp::List { below: at }) = &op
        else {
            panic!("the JobManager does not ask for {op:?}")
        };
        if let Some(reason) = self.broken {
            return Err(StoreError::Failed { at: at.clone(), reason: reason.to_owned() });
        }
        match op {
            StoreOp::Put { at, mode: PutMode::Create, .. } if self.objects.contains_key(&at.0) => {
                Err(StoreError::AlreadyExists(at))
            }
            StoreOp::Put { at, body, .. } => {
                let lost = self.lost_answer.take_if(|name| at.0.ends_with(*name)).is_some();
                self.objects.insert(at.0.clone(), body);
                let reason = "the connection is gone".to_owned();
                if lost { Err(StoreError::Failed { at, reason }) } else { Ok(StoreReply::Done) }
            }
            StoreOp::Get { at, range } => match self.objects.get(&at.0) {
                None => Err(StoreError::NotFound(at)),
                Some(body) => {
                    let strikes = self.damaged_reads.filter(|(name, _)| at.0.ends_with(*name));
                    if let Some((name, left)) = strikes {
                        self.damaged_reads = (left > 1).then_some((name, left - 1));
                    }
                    let damaged = strikes.is_some();
                    let whole = 0..body.len() as u64 / if damaged { 2 } else { 1 };
                    let range = range.unwrap_or(whole);
                    Ok(StoreReply::Bytes(body.slice(range.start as usize..range.end as usize)))
                }
            },
            StoreOp::Delete { at } => {
                self.objects.remove(&at.0);
                Ok(StoreReply::Done)
            }
            StoreOp::List { below } => {
                let prefix = format!("{below}/");
                let found = self.objects.iter().filter(|(name, _)| name.starts_with(&prefix));
                let meta = |(name, body): (&String, &Bytes)| ObjectMeta {
                    at: Location(name.clone()),
                    len: body.len() as u64,
                };
                Ok(StoreReply::Objects(found.map(meta).collect()))
            }
            _ => unreachable!("refused above"),
        }
    }

    /// The names that contain `part`.
    pub(crate) fn names(&self, part: &str) -> Vec<&str> {
        self.objects.keys().map(String::as_str).filter(|name| name.contains(part)).collect()
    }
}

/// Requests that take effect, and are answered, only when the test says so.
#[derive(Default)]
pub(crate) struct Held {
    /// The part of a name that holds a request back, and how many more are held back.
    next: (&'static str, usize),
    requests: Vec<(Ticket, StoreOp)>,
}

impl Held {
    /// Holds the next `most` requests back whose names contain `part`.
    pub(crate) fn hold(&mut self, part: &'static str, most: usize) {
        self.next = (part, most);
    }

    /// Returns the request unless it is held back.
    pub(crate) fn pass(&mut self, ticket: Ticket, op: StoreOp) -> Option<StoreOp> {
        let (part, most) = &mut self.next;
        if *most == 0 || !format!("{op:?}").contains(*part) {
            return Some(op);
        }
        *most -= 1;
        self.requests.push((ticket, op));
        None
    }

    /// Takes what was held back, and holds nothing back any more.
    pub(crate) fn take(&mut self) -> Vec<(Ticket, StoreOp)> {
        std::mem::take(self).requests
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }
}
