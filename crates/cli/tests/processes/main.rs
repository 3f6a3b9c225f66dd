//! Tests with real processes of a distribution, for what a test within one process cannot check.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod autoscaler;
mod distribution;
mod fetched_job;
mod first_process;
mod frozen;
mod locked;
mod lost_job_manager;
mod lost_logs;
mod observing;
mod pods;
mod quick_start;
mod replaced_job;
mod steering;
mod stores;
mod two_pipelines;
mod unseen_storage;
