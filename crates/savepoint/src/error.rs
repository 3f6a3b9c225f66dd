//! Why a savepoint cannot be read or changed, and what the user can do.

use crate::edit::LineError;
use crate::json::Mismatch;
use reflow_arrow::ArrowError;
use reflow_coordination::manifest::ManifestError;
use reflow_env::StoreError;
use reflow_state::StateError;
use reflow_types::data::DecodeError;
use std::io;

/// Why a savepoint cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SavepointError {
    /// There is no manifest.
    #[error(
        "there is no savepoint or checkpoint at {at}: it has no _metadata. Name the directory of one savepoint, such as \
         .../savepoint-1a2b3c-..., or of one checkpoint, such as .../chk-12"
    )]
    NotThere {
        /// The directory.
        at: String,
    },
    /// The manifest is not one, or is damaged.
    #[error("{at}: {error}")]
    Manifest {
        /// The directory.
        at: String,
        /// The damage.
        error: ManifestError,
    },
    /// The checkpoint was never completed.
    #[error("{at} was never completed, so it has no state")]
    NeverCompleted {
        /// The directory.
        at: String,
    },
    /// Storage has failed, or an object is missing.
    #[error("cannot read or write state: {0}")]
    Storage(#[from] StoreError),
    /// An object is damaged.
    #[error("{object}: {error}")]
    State {
        /// The object.
        object: String,
        /// The damage.
        error: StateError,
    },
    /// An entry does not have the schema of its state.
    #[error("{object}: state '{state}': an entry cannot be read by the schema of its state: {error}")]
    Entry {
        /// The object.
        object: String,
        /// The state.
        state: String,
        /// The damage.
        error: DecodeError,
    },
    /// A block has another schema than the manifest says.
    #[error("{object}: state '{state}': a block has another schema than its state")]
    OtherSchema {
        /// The object.
        object: String,
        /// The state.
        state: String,
    },
    /// The manifest has no schemas.
    #[error(
        "{at} was written by an earlier release, without the schemas of its states: its entries cannot be read without the \
         job. Restore the job from it with this release and take a savepoint"
    )]
    NoSchemas {
        /// The directory.
        at: String,
    },
    /// The key group of a key is not known, although the state is shared by several owners.
    #[error(
        "state '{state}': the key groups of its keys are not known, because their type hashes in a way of its own; take a \
         savepoint of the job, which can be read without them"
    )]
    UnknownKeyGroups {
        /// The state.
        state: String,
    },
    /// No operator has this uid.
    #[error("no operator has the uid '{uid}'; there are: {}", .known.join(", "))]
    UnknownOperator {
        /// The uid.
        uid: String,
        /// The uids of operators with state.
        known: Vec<String>,
    },
    /// The operator has no such state.
    #[error("operator '{uid}' has no state '{state}'; {}", states(.known))]
    UnknownState {
        /// The operator's uid.
        uid: String,
        /// The name.
        state: String,
        /// The names of its states.
        known: Vec<String>,
    },
    /// Only savepoints can be changed.
    #[error("{at} is a checkpoint, which shares its objects with others: take a savepoint and change that")]
    NotASavepoint {
        /// The directory.
        at: String,
    },
    /// The target is there.
    #[error("{at} is there already; a changed savepoint is written to a new directory")]
    AlreadyThere {
        /// The directory.
        at: String,
    },
    /// Another operator or state has the name.
    #[error("the name '{name}' is taken, or empty")]
    Taken {
        /// The name.
        name: String,
    },
    /// The state was not named by a function.
    #[error(
        "state '{state}' of operator '{uid}' cannot be renamed: only states that a function declares by name can, to names \
         that none of its states has"
    )]
    NotRenamed {
        /// The operator's uid.
        uid: String,
        /// The state.
        state: String,
    },
    /// The entries of the state depend on each other.
    #[error(
        "the entries of state '{state}' of operator '{uid}' cannot be changed: only values, lists, maps, aggregates and timers \
         by key can; windows keep several states that depend on each other"
    )]
    NotEditable {
        /// The operator's uid.
        uid: String,
        /// The state.
        state: String,
    },
    /// A line of JSON does not fit.
    #[error("state '{state}': {error}")]
    Line {
        /// The state.
        state: String,
        /// The line, the field and the type.
        error: LineError,
    },
    /// A key has another type than those of the state.
    #[error("state '{state}': no key can be that: {mismatch}")]
    Key {
        /// The state.
        state: String,
        /// Both types.
        mismatch: Mismatch,
    },
    /// A state does not fit into columns.
    #[error("state '{state}': {error}")]
    Columns {
        /// The state.
        state: String,
        /// The field, and what to do.
        error: ArrowError,
    },
    /// A file of columns cannot be written.
    #[error("state '{state}': cannot write its file: {cause}")]
    File {
        /// The state.
        state: String,
        /// The error of the file's format or of the file system.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

fn states(known: &[String]) -> String {
    if known.is_empty() { "it has none".to_owned() } else { format!("it has: {}", known.join(", ")) }
}
