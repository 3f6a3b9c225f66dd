//! The commands, one file each.

pub(crate) mod cancel;
pub(crate) mod config;
pub(crate) mod drain;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod offline;
pub(crate) mod rescale;
pub(crate) mod rescales;
pub(crate) mod run;
pub(crate) mod savepoint;
