//! The figures of a job at one moment, and their text.

use crate::client::Client;
use crate::error::CliError;
use crate::table::{bytes, duration_ms, millis, printable, table};
use reflow_schema::metrics::Aggregate;
use reflow_schema::{JobOverview, TimelineEvent, VertexSummary};
use reflow_view::{ExecutionState, JobStatus};
use serde::Serialize;
use std::collections::BTreeMap;

/// The metrics of each vertex that are shown.
const METRICS: [&str; 8] = [
    "numRecordsInPerSecond",
    "numRecordsOutPerSecond",
    "busyTimeMsPerSecond",
    "backPressuredTimeMsPerSecond",
    "currentInputWatermark",
    "pendingRecords",
    "stateSizeBytes",
    "watermarkAlignmentDrift",
];
/// Events of the time line are shown for this time.
const EVENTS_FOR_MS: i64 = 10 * 60_000;
/// The most events that are shown.
const MAX_EVENTS: usize = 8;
/// Event times that are so far from the clock are not of this clock: made up, or counted from elsewhere.
const CLOCK_TIME_MS: i64 = 366 * 86_400_000;

/// How a text marks what is busy or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    None,
    Ansi,
}

/// A job at one moment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct View {
    jid: String,
    name: String,
    state: JobStatus,
    now: i64,
    duration_ms: i64,
    slots_total: u32,
    slots_available: u32,
    taskmanagers: usize,
    rescales: Rescales,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Checkpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_checkpoints: Option<u64>,
    vertices: Vec<Vertex>,
    events: Vec<TimelineEvent>,
}

/// The rescales of the job since its JobManager leads.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Rescales {
    completed: u64,
    /// The phase, or the state of the scheduler, of one that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<String>,
}

/// The last completed checkpoint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Checkpoint {
    id: u64,
    took_ms: u64,
    size: u64,
    completed: i64,
}

/// A vertex. What is not known is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Vertex {
    id: String,
    name: String,
    running: usize,
    parallelism: u32,
    /// Records a second, of all subtasks.
    read: Option<f64>,
    written: Option<f64>,
    /// The shares of the busiest and of the most backpressured subtask.
    busy: Option<f64>,
    backpressured: Option<f64>,
    /// Records that its splits have and that it has not read.
    lag: Option<f64>,
    /// The lowest watermark, in milliseconds since the Unix epoch.
    watermark: Option<i64>,
    state_bytes: Option<f64>,
}

impl View {
    /// Asks the JobManager.
    pub(super) fn read(client: &Client, job: &JobOverview) -> Result<Self, CliError> {
        let details = client.job(&job.jid)?;
        let cluster = client.overview()?;
        let timeline = client.timeline(&job.jid, details.now - EVENTS_FOR_MS)?;
        // A job without checkpointing has none, which is refused.
        let checkpoints = client.checkpoints(&job.jid).ok();
        let metrics = METRICS.map(str::to_owned);
        let vertex = |vertex: &VertexSummary| -> Result<Vertex, CliError> {
            let path = format!("/jobs/{}/vertices/{}/subtasks/metrics", job.jid, vertex.id);
            // Between two answers a rescale may have removed it.
            let figures = match client.aggregates(&path, &metrics) {
                Err(CliError::Refused { .. }) => Vec::new(),
                answer => answer?,
            };
            Ok(Vertex::of(vertex, figures))
        };
        Ok(Self {
            jid: job.jid.clone(),
            name: job.name.clone(),
            state: details.state,
            now: details.now,
            duration_ms: details.duration,
            slots_total: cluster.slots_total,
            slots_available: cluster.slots_available,
            taskmanagers: cluster.taskmanagers,
            rescales: rescales(client, &job.jid)?,
            failed_checkpoints: checkpoints.as_ref().map(|checkpoints| checkpoints.counts.failed),
            checkpoint: checkpoints.and_then(|checkpoints| {
                checkpoints.latest.completed.map(|last| Checkpoint {
                    id: last.id,
                    took_ms: last.end_to_end_duration,
                    size: last.state_size,
                    completed: last.latest_ack_timestamp,
                })
            }),
            vertices: details.vertices.iter().map(vertex).collect::<Result<_, _>>()?,
            events: timeline.events,
        })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.is_terminal()
    }

    /// The view as a text of several lines.
    pub(super) fn text(&self, colours: Colours) -> String {
        let age = duration_ms(self.duration_ms);
        let used = self.slots_total.saturating_sub(self.slots_available);
        let mut lines = vec![
            format!("{} ({})  {} for {age}", printable(&self.name), self.jid, self.state),
            format!(
                "{} of {} slots used, {}; {}",
                used,
                self.slots_total,
                plural(self.taskmanagers, "TaskManager"),
                self.rescales.text()
            ),
        ];
        lines.extend(self.failed_checkpoints.map(|failed| {
            let last = self.checkpoint.as_ref().map(|checkpoint| checkpoint.text(self.now));
            format!("{}; {failed} failed", last.as_deref().unwrap_or("no checkpoint completed"))
        }));
        lines.push(String::new());
        let header =
            ["VERTEX", "RUNNING", "IN/S", "OUT/S", "BUSY", "BACKPRESSURED", "LAG", "WATERMARK", "STATE"];
        let figures = table(header, self.vertices.iter().map(|vertex| vertex.row(self.now)));
        let marks = std::iter::once(Mark::None).chain(self.vertices.iter().map(Vertex::mark));
        lines.extend(figures.lines().zip(marks).map(|(line, mark)| mark.paint(line, colours)));
        if !self.events.is_empty() {
            lines.push(String::new());
        }
        let newest = self.events.iter().rev().take(MAX_EVENTS);
        lines.extend(newest.map(|event| {
            let kind = event.kind.to_string().to_lowercase().replace('_', " ");
            let text = printable(&event.text);
            format!("{} ago  {kind}: {text}", duration_ms(self.now - event.t))
        }));
        lines.join("\n") + "\n"
    }
}

fn rescales(client: &Client, job: &str) -> Result<Rescales, CliError> {
    let completed = client.rescales_completed(job)?;
    let newest = client.rescale_history(job)?.into_iter().next();
    let under_way = newest.filter(|rescale| rescale.terminal_state.is_none()).map(|rescale| {
        let phase = rescale.live_rescale.as_ref().and_then(|live| live.phases.last());
        let state = rescale.scheduler_states.last();
        let name = phase.map(|phase| phase.phase.clone()).or(state.map(|state| state.state.clone()));
        name.unwrap_or_default().to_lowercase().replace('_', " ")
    });
    Ok(Rescales { completed, under_way })
}

impl Rescales {
    fn text(&self) -> String {
        let count = plural(usize::try_from(self.completed).unwrap_or(usize::MAX), "rescale");
        match self.under_way.as_deref() {
            None => count,
            Some("") => format!("{count}, one under way"),
            Some(phase) => format!("{count}, one under way: {phase}"),
        }
    }
}

impl Checkpoint {
    fn text(&self, now_ms: i64) -> String {
        let took = millis(i64::try_from(self.took_ms).unwrap_or(i64::MAX));
        let (size, ago) = (bytes(self.size), duration_ms(now_ms - self.completed));
        format!("checkpoint {} took {took}, {size}, {ago} ago", self.id)
    }
}

impl Vertex {
    fn of(vertex: &VertexSummary, figures: Vec<Aggregate>) -> Self {
        let figures: BTreeMap<String, Aggregate> =
            figures.into_iter().map(|figure| (figure.id.clone(), figure)).collect();
        let sum = |name: &str| figures.get(name)?.sum;
        let highest_share = |name: &str| Some(figures.get(name)?.max? / 1_000.0);
        Self {
            id: vertex.id.clone(),
            name: vertex.name.clone(),
            running: vertex.tasks.get(&ExecutionState::Running).copied().unwrap_or(0),
            parallelism: vertex.parallelism,
            read: sum("numRecordsInPerSecond"),
            written: sum("numRecordsOutPerSecond"),
            busy: highest_share("busyTimeMsPerSecond"),
            backpressured: highest_share("backPressuredTimeMsPerSecond"),
            lag: sum("pendingRecords"),
            watermark: figures.get("currentInputWatermark").and_then(|figure| figure.min).map(|ms| ms as i64),
            state_bytes: sum("stateSizeBytes"),
        }
    }

    fn row(&self, now_ms: i64) -> [String; 9] {
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            self.name.clone(),
            format!("{}/{}", self.running, self.parallelism),
            or_unknown(self.read.map(count)),
            or_unknown(self.written.map(count)),
            or_unknown(self.busy.map(percent)),
            or_unknown(self.backpressured.map(percent)),
            or_unknown(self.lag.map(count)),
            or_unknown(self.watermark.map(|watermark_ms| behind(watermark_ms, now_ms))),
            or_unknown(self.state_bytes.map(|size| bytes(size as u64))),
        ]
    }

    fn mark(&self) -> Mark {
        let (busy, backpressured) = (self.busy.unwrap_or(0.0), self.backpressured.unwrap_or(0.0));
        if self.running < self.parallelism as usize {
            Mark::Missing
        } else if busy >= 0.9 || backpressured >= 0.5 {
            Mark::High
        } else if busy >= 0.7 || backpressured >= 0.1 {
            Mark::Raised
        } else {
            Mark::None
        }
    }
}

/// How a row is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    Raised,
    High,
    /// Some subtasks do not run.
    Missing,
}

impl Mark {
    fn paint(self, line: &str, colours: Colours) -> String {
        let colour = match (colours, self) {
            (Colours::None, _) | (_, Self::None) => return line.to_owned(),
            (Colours::Ansi, Self::Raised) => 33,
            (Colours::Ansi, Self::High) => 31,
            (Colours::Ansi, Self::Missing) => 35,
        };
        format!("\x1b[{colour}m{line}\x1b[0m")
    }
}

/// `1 rescale`, `2 rescales`.
fn plural(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// 12 345 678 as `12.3 M`.
fn count(value: f64) -> String {
    let units = ["", " k", " M", " G", " T"];
    let power = units.len().min(1 + (value.abs().max(1.0).log10() / 3.0) as usize) - 1;
    let scaled = value / 1_000f64.powi(power as i32);
    let digits = if scaled >= 100.0 || (power == 0 && scaled.fract() == 0.0) { 0 } else { 1 };
    format!("{scaled:.digits$}{}", units[power])
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// How far a watermark is behind the clock, where that says something.
fn behind(watermark_ms: i64, now_ms: i64) -> String {
    let behind_ms = now_ms.saturating_sub(watermark_ms);
    match watermark_ms {
        i64::MIN => "none yet".to_owned(),
        i64::MAX => "at its end".to_owned(),
        _ if behind_ms.abs() > CLOCK_TIME_MS => "own event time".to_owned(),
        _ if behind_ms < 0 => format!("{} ahead", duration_ms(-behind_ms)),
        _ => format!("{} behind", duration_ms(behind_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_view::TimelineEventKind;

    fn view() -> View {
        let vertex = |name: &str, busy, running| Vertex {
            name: name.to_owned(),
            running,
            parallelism: 2,
            read: Some(12_345.6),
            written: Some(7.0),
            busy: Some(busy),
            backpressured: Some(0.0),
            state_bytes: Some(2_048.0),
            ..Vertex::default()
        };
        let source = Vertex {
            lag: Some(1_500_000.0),
            watermark: Some(1_795_330_412_000),
            ..vertex("Source: a\u{1b}[2J", 0.95, 2)
        };
        let event = |kind, ago_ms: i64, text: &str| TimelineEvent {
            t: 1_795_330_416_000 - ago_ms,
            kind,
            id: "1".to_owned(),
            text: text.to_owned(),
        };
        View {
            jid: "9cb9".to_owned(),
            name: "orders".to_owned(),
            state: JobStatus::Running,
            now: 1_795_330_416_000,
            duration_ms: 61_000,
            slots_total: 4,
            slots_available: 1,
            taskmanagers: 2,
            rescales: Rescales { completed: 1, under_way: Some("prefetch".to_owned()) },
            checkpoint: Some(Checkpoint { id: 28, took_ms: 52, size: 3 << 20, completed: 1_795_330_413_000 }),
            failed_checkpoints: Some(0),
            vertices: vec![source, vertex("count", 0.75, 2), vertex("sink", 0.1, 1), vertex("idle", 0.0, 2)],
            events: vec![
                event(TimelineEventKind::CheckpointFailed, 61_000, "checkpoint 7: expired"),
                event(TimelineEventKind::Rescale, 3_000, "1 → 2, live, 137 ms"),
            ],
        }
    }

    #[test]
    fn a_view_is_a_table_with_the_newest_event_first() {
        let expected = "\
orders (9cb9)  RUNNING for 1 min 1 s
3 of 4 slots used, 2 TaskManagers; 1 rescale, one under way: prefetch
checkpoint 28 took 52 ms, 3.0 MiB, 3 s ago; 0 failed

VERTEX         RUNNING  IN/S    OUT/S  BUSY  BACKPRESSURED  LAG    WATERMARK   STATE
Source: a\u{fffd}[2J  2/2      12.3 k  7      95 %  0 %            1.5 M  4 s behind  2.0 KiB
count          2/2      12.3 k  7      75 %  0 %            -      -           2.0 KiB
sink           1/2      12.3 k  7      10 %  0 %            -      -           2.0 KiB
idle           2/2      12.3 k  7      0 %   0 %            -      -           2.0 KiB

3 s ago  rescale: 1 → 2, live, 137 ms
1 min 1 s ago  checkpoint failed: checkpoint 7: expired
";
        assert_eq!(view().text(Colours::None), expected);
    }

    #[test]
    fn failed_checkpoints_are_shown_before_one_has_completed() {
        let text = View { checkpoint: None, failed_checkpoints: Some(3), ..view() }.text(Colours::None);
        assert!(text.contains("\nno checkpoint completed; 3 failed\n"), "{text}");
    }

    #[test]
    fn colours_mark_what_is_busy_or_missing() {
        let text = view().text(Colours::Ansi);
        let colour =
            |name: &str| text.lines().find(|line| line.contains(name)).unwrap().get(..5).unwrap().to_owned();
        assert_eq!(["Source", "count", "sink"].map(colour), ["\x1b[31m", "\x1b[33m", "\x1b[35m"]);
        assert!(!colour("idle").contains('\x1b'));
    }

    #[test]
    fn counts_are_short() {
        let check = |value, expected| assert_eq!(count(value), expected);
        check(0.0, "0");
        check(0.5, "0.5");
        check(999.0, "999");
        check(1_000.0, "1.0 k");
        check(123_456.0, "123 k");
        check(12_345_678.0, "12.3 M");
        check(5e18, "5000000 T");
    }

    #[test]
    fn a_watermark_is_behind_the_clock_or_says_why_not() {
        let now_ms = 1_795_330_416_000;
        assert_eq!(behind(now_ms - 2_000, now_ms), "2 s behind");
        assert_eq!(behind(now_ms + 2_000, now_ms), "2 s ahead");
        assert_eq!(behind(0, now_ms), "own event time");
        assert_eq!(behind(i64::MIN, now_ms), "none yet");
        assert_eq!(behind(i64::MAX, now_ms), "at its end");
    }
}
