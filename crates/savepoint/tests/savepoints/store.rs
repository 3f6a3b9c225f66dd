//! The storage of a job for commands, and exports from it.

use crate::job::Job;
use reflow_env::{StoreError, StoreOp, StoreReply, StoreResult};
use reflow_savepoint::{Export, Savepoint, SavepointError, export};
use reflow_testkit::MemoryStore;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A store, and what is written besides.
pub(crate) struct Store<'a> {
    store: &'a MemoryStore,
    pub(crate) written: RefCell<BTreeMap<String, bytes::Bytes>>,
    /// The largest range that was read.
    pub(crate) largest: RefCell<u64>,
}

impl<'a> Store<'a> {
    pub(crate) fn of(job: &'a Job) -> Self {
        Self { store: job.harness.store(), written: RefCell::default(), largest: RefCell::default() }
    }

    pub(crate) fn request(&self, op: StoreOp) -> StoreResult {
        match op {
            StoreOp::Get { at, range } => {
                let written = self.written.borrow().get(&at.0).cloned();
                let stored =
                    || self.store.below(&at.0).find(|(name, _)| *name == at.0).map(|(_, body)| body.clone());
                let body = written.or_else(stored).ok_or_else(|| StoreError::NotFound(at.clone()))?;
                let len = body.len() as u64;
                let range = range.unwrap_or(0..len);
                if range.end > len {
                    return Err(StoreError::OutOfRange { at, range, len });
                }
                let mut largest = self.largest.borrow_mut();
                *largest = (range.end - range.start).max(*largest);
                Ok(StoreReply::Bytes(body.slice(range.start as usize..range.end as usize)))
            }
            StoreOp::Put { at, body, .. } => match self.written.borrow_mut().insert(at.0.clone(), body) {
                None => Ok(StoreReply::Done),
                Some(_) => Err(StoreError::AlreadyExists(at)),
            },
            op => panic!("{op:?}"),
        }
    }
}

/// The lines of an export, sorted by their text.
pub(crate) fn exported(store: &Store<'_>, at: &str, wanted: &Export) -> Result<Vec<Value>, SavepointError> {
    let requests = |op| store.request(op);
    let savepoint = Savepoint::open(at, &requests)?;
    let mut out = Vec::new();
    let lines = export::export(&savepoint, wanted, &mut out, &mut |_| {})?;
    let mut values: Vec<Value> = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(values.len() as u64, lines);
    values.sort_by_key(Value::to_string);
    Ok(values)
}

pub(crate) fn of(uid: &str, states: &[&str]) -> Export {
    Export {
        uid: uid.to_owned(),
        states: states.iter().map(|&name| name.to_owned()).collect(),
        keys: Vec::new(),
    }
}
