//! The commands, one a file.

pub(crate) mod cancel;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod run;
pub(crate) mod savepoint;
