//! All options of Reflow: key, type, default, meaning, and the keys of Flink that name the same option.
//!
//! The decision: options are one static table ([`options`]) of typed entries, and a [`Config`] exists only once
//! every value in it has been parsed and checked. So a getter cannot fail; an unknown key or an invalid value is
//! reported once, at start-up, with the place where it was set; and the reference page (`docs/configuration.md`) is
//! printed from the same table and always agrees with it. Rejected: a `serde` struct (loses Flink's flat keys, the
//! source of each value, and the aliases).
//!
//! ```
//! use reflow_config::{Config, options};
//! use std::time::Duration;
//!
//! let config = Config::from_pairs([("scheduler-mode", "reactive"), ("heartbeat.timeout", "8 s")]).unwrap();
//! assert_eq!(options::HEARTBEAT_TIMEOUT.get(&config), Duration::from_secs(8));
//! assert_eq!(options::MAX_PARALLELISM.get(&config), 32768); // a default that reactive mode changes
//!
//! let error = Config::from_pairs([("heartbeat.timeot", "8 s")]).unwrap_err();
//! assert!(error.to_string().contains("did you mean `heartbeat.timeout`?"));
//! ```
//!
//! Sources of values, of which a later one overrides an earlier one: `conf/config.yaml` (nested or flat keys), the
//! environment variable `REFLOW_PROPERTIES` (lines of `key: value`), `-Dkey=value`. [`Loader`] reads them in that
//! order.
//!
//! Reading order: [`options`] (the table), [`option`] (what an entry is), [`value`], [`duration`], [`memory`] and
//! [`choice`] (the types and how their texts are read), [`load`] (from texts to a [`Config`]), [`source`],
//! [`unsupported`] (keys of Flink that Reflow does not have), [`page`] (the reference page). Only [`Loader::file`]
//! does I/O.

pub mod choice;
mod config;
mod consistency;
mod defaults;
pub mod duration;
mod error;
pub mod load;
pub mod memory;
pub mod option;
pub mod options;
pub mod page;
pub mod source;
mod suggest;
pub mod unsupported;
pub mod value;
mod yaml;

pub use choice::{
    CheckpointingMode, FailoverStrategy, HighAvailability, RestartStrategy, Scheduler, SchedulerMode,
    TaskManagerProvider, Termination,
};
pub use config::{Config, Effective};
pub use error::ConfigError;
pub use load::{Loaded, Loader};
pub use memory::MemorySize;
pub use option::ConfigOption;
pub use source::{PROPERTIES_VARIABLE, Source};
