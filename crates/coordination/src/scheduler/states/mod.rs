//! The states of the scheduler, one module each.

pub(super) mod canceling;
pub(super) mod created;
pub(super) mod creating_execution_graph;
pub(super) mod executing;
pub(super) mod failing;
pub(super) mod finished;
pub(super) mod reconciling;
pub(super) mod rescaling;
pub(super) mod restarting;
pub(super) mod stop_with_savepoint;
pub(super) mod waiting_for_resources;
