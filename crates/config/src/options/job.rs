//! What a job is called and how wide it runs.

use super::{Section, section};
use crate::option::{ConfigOption, option};

section! { "Job" {
    /// The parallelism of operators that set none. In reactive mode the scheduler chooses instead.
    DEFAULT_PARALLELISM: u32 = option("parallelism.default").default("1").between(1, 32768);

    /// The max parallelism of operators that set none: the number of key groups, and the bound of what the
    /// job can be rescaled to. State keeps the value it was first written with.
    MAX_PARALLELISM: u32 =
        option("pipeline.max-parallelism").default("4096").in_reactive_mode("32768").between(1, 32768);
}}
