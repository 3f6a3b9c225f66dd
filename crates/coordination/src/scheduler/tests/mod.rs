//! The scheduler against a small world: executors that obey, storage that stores, and what a test makes of them.

mod absence;
mod adoption;
mod draining;
mod ending;
mod failures;
mod faults;
mod fixtures;
mod hand_over;
mod live;
mod random;
mod recovery;
mod regions;
mod rescaling;
mod stopping;
mod tasks;
mod transfer;
mod waiting;
mod world;
