//! The job with the file sink. Its files are open over checkpoints, in a few buckets, or are closed with each checkpoint.

use super::reading::Reading;
use super::{Workload, counts, sink};
use reflow_connectors::file_sink::Bounds;
use reflow_connectors::{FileSink, Lines, RollingPolicy};
use reflow_stream::StreamEnv;
use std::time::Duration;

/// The directories below that of the sink.
const BUCKETS: u8 = 3;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    let [drawn, other] = workload.max_parallelism;
    let seldom = RollingPolicy::default()
        .rollover_interval(workload.window * 4)
        .inactivity_interval(Duration::from_secs(5));
    let policy = match drawn % 4 {
        0 => RollingPolicy::on_checkpoint(),
        1 => seldom.max_part_size(200),
        _ => seldom,
    };
    let files = FileSink::new(sink::COMMITTED.trim_end_matches('/'), Lines)
        .bucket_by(|line: &String| format!("b={}", line.as_bytes().first().map_or(0, |byte| byte % BUCKETS)))
        .extension("")
        .rolling_policy(policy)
        .bounds(Bounds {
            upload_part_bytes: 30 + other as usize % 50,
            buffered_bytes: 50 + drawn as usize % 400,
            joined_pieces: 2 + other as usize % 4,
        })
        .max_open_buckets(1 + other as usize % usize::from(BUCKETS));
    workload
        .readings(env, "readings")
        .key_by(|reading: &Reading| reading.key)
        .aggregate(counts::Count)
        .max_parallelism(drawn)
        .map(|counted: counts::Counted| counted.line())
        .sink("files", files);
}
