//! Stages without keyed state, one a file.

mod assign_time;
mod boxed;
mod flat_map;
mod map;
mod pre_aggregate;
mod process;
mod side_output;
pub(crate) mod sink;
mod split_times;
mod tail;
mod try_map;

pub use assign_time::{AssignTime, EventTime, Extracted, Given, Punctuated};
pub(crate) use assign_time::{TIME_RANGE, WATERMARKS};
pub use boxed::{BoxedStage, SinkEnd};
pub use flat_map::Flatten;
pub use map::{Filter, Inspect, Map};
pub use pre_aggregate::PreAggregate;
pub use process::UnkeyedProcess;
pub(crate) use process::WithoutKey;
pub use side_output::SideOutput;
pub use sink::SinkStage;
pub use split_times::SplitTimes;
pub use tail::{Edge, FilteredEdge, SharedTail, Tail};
pub use try_map::{Convert, Keep, Try};
