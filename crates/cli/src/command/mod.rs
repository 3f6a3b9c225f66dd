//! The commands, one file each.

pub(crate) mod cancel;
pub(crate) mod certs;
pub(crate) mod checkpoints;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod exceptions;
pub(crate) mod generate;
pub(crate) mod graph;
pub(crate) mod info;
pub(crate) mod leader;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod offline;
pub(crate) mod rescale;
pub(crate) mod rescales;
pub(crate) mod run;
pub(crate) mod savepoint;
pub(crate) mod task_managers;
pub(crate) mod top;
