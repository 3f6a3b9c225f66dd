//! What a job's operators keep in checkpoints: each state with its name, its kind and its schema.
//!
//! Every process knows these from the job function. A manifest contains those of the build that wrote it. So another
//! build knows what has changed before it reads any state, and a tool can read the state without the job.

use reflow_types::data::Schema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A state by key, which is a table of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredState {
    /// The number of its table, which follows from the name if a function declares the state.
    pub table: u16,
    /// Its name, by which a checkpoint finds it.
    pub name: String,
    pub kind: StateKind,
    /// The time after which entries expire.
    pub time_to_live: Option<Duration>,
    /// The schema of its entries, a pair of key and value. `None` in manifests of releases that did not write it.
    pub schema: Option<Schema>,
}

impl DeclaredState {
    /// Whether a checkpoint that has `other` finds it here.
    pub fn is_named_as(&self, other: &DeclaredState) -> bool {
        (self.table, &self.name) == (other.table, &other.name)
    }
}

/// What a state by key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateKind {
    /// One value for each key.
    Value,
    /// A list for each key, whose elements are entries under key and position.
    List,
    /// A map for each key, whose entries are under key and user key.
    Map,
    /// The accumulator of an aggregate for each key, or its reduced value.
    Aggregating,
    /// Timers, under key, time and tag.
    Timers,
    /// What a window operator keeps for keys and windows.
    Windows,
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StateKind::Value => "value",
            StateKind::List => "list",
            StateKind::Map => "map",
            StateKind::Aggregating => "aggregating",
            StateKind::Timers => "timers",
            StateKind::Windows => "windows",
        })
    }
}

/// A list of items that belong to no key: what a function declares as operator state, or what an operator keeps for
/// itself, such as the splits of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredList {
    /// Its name within the operator.
    pub name: String,
    /// The schema of an item. `None` in manifests of releases that did not write it.
    pub schema: Option<Schema>,
}

/// The beginning of the names of lists that functions declare, by which they differ from what operators keep for
/// themselves.
const OF_FUNCTION: &str = "list: ";

impl DeclaredList {
    /// The name of the list of a source's unfinished splits.
    pub const SPLITS: &str = "splits";
    /// The name of the list of the records under way of an operator with asynchronous calls. Each item belongs to one
    /// subtask; at a live rescale it moves with its key, or from a subtask that is removed to one that stays.
    pub const UNDER_WAY: &str = "records under way";

    /// The name that a list of a function has among its operator's state.
    pub fn of_function(list: &str) -> String {
        format!("{OF_FUNCTION}{list}")
    }

    /// The name of a list for users.
    pub fn display_name(list: &str) -> &str {
        list.strip_prefix(OF_FUNCTION).unwrap_or(list)
    }
}
