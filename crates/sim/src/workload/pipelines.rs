//! The job of two or three pipelines that exchange no data, so that each fails and restarts alone.

use super::counts::{self, Count, Counted};
use super::reading::Reading;
use super::sink::LineSink;
use super::source::ReadingSource;
use super::{Lines, Workload};
use reflow_stream::StreamEnv;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    let group = |own| if workload.has_slots_for_each_pipeline() { own } else { "default" };
    pipeline(env, workload, ["readings", "lines", "default"], "", workload.source());
    let early = || workload.source().ending_early();
    pipeline(env, workload, ["the first again", "other lines", group("second")], SECOND, early());
    if workload.has_third_pipeline() {
        pipeline(env, workload, ["the first once more", "third lines", group("third")], THIRD, early());
    }
}

/// The prefix of the lines of the second pipeline.
const SECOND: &str = "second ";
/// The same of the third one.
const THIRD: &str = "third ";

fn pipeline(
    env: &mut StreamEnv,
    workload: &Workload,
    [readings, lines, group]: [&str; 3],
    prefix: &'static str,
    source: ReadingSource,
) {
    workload
        .readings_of(env, readings, source)
        .slot_sharing_group(group)
        .key_by(|reading: &Reading| reading.key)
        .aggregate(Count)
        .slot_sharing_group(group)
        .max_parallelism(workload.max_parallelism[0])
        .map(move |counted: Counted| format!("{prefix}{}", counted.line()))
        .sink(lines, LineSink);
}

pub(super) fn expected(workload: &Workload) -> Lines {
    let mut lines = counts::expected(workload.readings.all());
    let others = if workload.has_third_pipeline() { &[SECOND, THIRD][..] } else { &[SECOND] };
    for prefix in others {
        let early = counts::expected(workload.readings.first());
        lines.extend(early.into_iter().map(|(line, times)| (format!("{prefix}{line}"), times)));
    }
    lines
}
