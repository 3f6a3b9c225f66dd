//! Ids. Each is a newtype, so that one cannot be passed in place of another.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A text that is not an id. Ids of jobs, vertices and TaskManagers are 32 hexadecimal digits, as in Flink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an id: expected 32 hexadecimal digits")]
pub struct ParseIdError(pub String);

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                let value = hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
                value.map(Self).ok_or_else(|| ParseIdError(text.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    String::deserialize(d)?.parse().map_err(de::Error::custom)
                } else {
                    u128::deserialize(d).map(Self)
                }
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The next one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl From<$inner> for $name {
            fn from(number: $inner) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

hex_id!(
    /// A job. The id stays the same over restarts and changes of the JobManager; `--fresh` starts a job with
    /// another id.
    JobId
);
hex_id!(
    /// A job vertex (an operator chain): the hash of its head operator's uid, so that it is the same in every build
    /// and every process.
    VertexId
);
hex_id!(
    /// A TaskManager process. Each start has a new id.
    TaskManagerId
);
hex_id!(
    /// A task executor: the child process of a TaskManager that runs the slots of one job. Each start has a new id.
    ExecutorId
);

impl VertexId {
    /// The id of the vertex whose head operator has this uid.
    pub fn of_uid(uid: &str) -> Self {
        let half = |salt: &str| u128::from(crate::key::hash_bytes(format!("{salt}{uid}").as_bytes()).0);
        Self(half("vertex") << 64 | half("uid"))
    }
}

number_id!(
    /// A subtask. Channels, objects and transactions have it in their names; it is never used again within a job.
    SubtaskId(u64)
);
number_id!(
    /// The index of a subtask in its vertex, 0 … p−1. A new ownership table may change it.
    SubtaskIndex(u32)
);
number_id!(
    /// Counts the deployments of a job under one leadership. Every message of a task carries it as a fencing token.
    AttemptNumber(u32)
);
number_id!(
    /// Counts the execution graphs of an attempt. A live rescale uses the next number.
    GraphVersion(u64)
);
number_id!(
    /// A checkpoint or savepoint. Ids only grow, also over restarts and changes of the JobManager.
    CheckpointId(u64)
);
number_id!(
    /// A JobManager's leadership of a job. Each start of a JobManager takes the next one.
    LeaderEpoch(u64)
);

/// The identity of one deployment of a job, over all leaderships. Later ones are greater. Messages of another attempt are
/// rejected.
///
/// ```
/// # extern crate reflow_types as reflow;
/// use reflow::Attempt;
///
/// let earlier = Attempt { epoch: 1u64.into(), number: 7u32.into() };
/// let of_the_next_leader = Attempt { epoch: 2u64.into(), number: 0u32.into() };
/// assert!(earlier < of_the_next_leader);
/// assert_eq!(earlier.to_string(), "1.7");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The leadership that deployed it.
    pub epoch: LeaderEpoch,
    /// The number of the deployment within the leadership.
    pub number: AttemptNumber,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// A slot: one thread of a task executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId {
    /// The task executor whose thread it is.
    pub executor: ExecutorId,
    /// 0 … slots of that TaskManager − 1.
    pub index: u32,
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.executor, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hex_digits() {
        let id: JobId = "9cb9b50e6b54f532c72a685bb021e65b".parse().unwrap();
        assert_eq!(id.to_string(), "9cb9b50e6b54f532c72a685bb021e65b");
        for bad in ["", "9cb9", "+cb9b50e6b54f532c72a685bb021e65b", "zcb9b50e6b54f532c72a685bb021e65b"] {
            assert_eq!(bad.parse::<JobId>(), Err(ParseIdError(bad.to_owned())));
        }
    }
}
