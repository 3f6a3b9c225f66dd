//! Tests of the simulator's parts. They are not in the crate, which would then be compiled once more for them: its jobs
//! contain the engine many times.

mod chaos;
mod redone;
mod rng;
mod runs;
mod shrink;
mod succession;
mod target;
mod world;
