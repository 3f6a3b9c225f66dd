//! The report of a simulation that failed.

use super::plan::Plan;
use super::{Inputs, SEED};
use crate::chaos::Trouble;
use crate::cluster::COMPLETE;
use crate::faults::Faults;
use crate::trace::Lines;
use std::cell::RefCell;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

/// The most records and lines of the log that are shown.
const SHOWN: usize = 20;

/// A run that failed, as small as it was found.
pub(super) struct Failure {
    pub(super) plan: Plan,
    pub(super) wrong: Vec<String>,
    /// How many faults the run had before it was shrunk.
    pub(super) faults: usize,
    /// How many runs were tried to shrink it.
    pub(super) tried: usize,
    /// Whether the run had the same outcome when it was repeated.
    pub(super) repeatable: bool,
    /// What happened in the run.
    pub(super) log: Vec<String>,
    /// Whether the job came to its end.
    pub(super) ended: bool,
}

/// What a failure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    NotRepeatable,
    Always,
    WithSeveralSubtasks,
    WithRescale,
    WithFailure,
}

impl Finding {
    fn text(self) -> &'static str {
        match self {
            Self::NotRepeatable => {
                "The same run had another outcome when it was repeated. A simulation gives a job the same records, times \
                 and faults each time. So a function of the job depends on something else: the machine's clock (use \
                 `processing_time` of its context), random numbers, the order of a HashMap, a static or shared variable."
            }
            Self::Always => {
                "It fails without any fault and with one subtask for each operator. So the job or the expectation is \
                 wrong by itself. An OperatorHarness with these records shows it step by step."
            }
            Self::WithSeveralSubtasks => {
                "It fails without any fault, but only with several subtasks. Look for a field of a function or a captured \
                 variable that is used as state: each subtask has its own. Look for an operator that needs all records but \
                 has no key, and for an expectation that depends on the order in which records of different splits or keys \
                 arrive."
            }
            Self::WithRescale => {
                "It fails only if the job is rescaled. Keys then move to other subtasks, with their declared state and \
                 their timers, and nothing else. Look for a field of a function or a captured variable that is used as \
                 state, and for what is derived from the subtask's index or the parallelism (`rescaled` announces others)."
            }
            Self::WithFailure => {
                "It fails only if a process is lost. The job then continues from its last checkpoint: sources read again \
                 from there, and declared state and timers are those of the checkpoint. Look for a field of a function or \
                 a captured variable that is used as state: it is lost. Look for a sink or function that writes to the \
                 outside before the transaction is committed: it writes again."
            }
        }
    }
}

impl Failure {
    fn finding(&self) -> Finding {
        let is_rescale = |trouble: &Trouble| {
            matches!(
                trouble,
                Trouble::StartTaskManager
                    | Trouble::StopTaskManager
                    | Trouble::DrainTaskManager { .. }
                    | Trouble::Require { .. }
            )
        };
        match &*self.plan.schedule {
            _ if !self.repeatable => Finding::NotRepeatable,
            [] if self.plan.parallelism() == 1 => Finding::Always,
            [] => Finding::WithSeveralSubtasks,
            faults if faults.iter().all(|(_, trouble)| is_rescale(trouble)) => Finding::WithRescale,
            _ => Finding::WithFailure,
        }
    }

    /// The message of the failed test.
    pub(super) fn report<I: Inputs>(&self, input: &I, seeds: &RangeInclusive<u64>) -> String {
        let Plan { seed, task_managers, slots, checkpoint_interval, schedule, .. } = &self.plan;
        let mut text =
            format!("the simulation fails with seed {seed} of {} to {}\n", seeds.start(), seeds.end());
        let wrong =
            if self.ended { "the committed output is wrong" } else { "the job does not come to its end" };
        section(&mut text, wrong, self.wrong.iter().map(String::as_str));
        section(&mut text, "what it shows", [self.finding().text()]);
        text.push_str(&format!("\nthe smallest failing run of {} that were tried\n", self.tried + 1));
        text.push_str(&format!(
            "  {task_managers} TaskManagers with {slots} slots, a checkpoint each {checkpoint_interval:?}\n"
        ));
        for ((number, kept), all) in self.plan.kept.iter().enumerate().zip(input.lengths()) {
            let of = if self.plan.kept.len() > 1 { format!(" of input {number}") } else { String::new() };
            text.push_str(&format!("  {} of {all} records{of}\n", kept.len()));
        }
        for (kept, texts) in self.plan.kept.iter().zip(input.texts()) {
            kept.iter().take(SHOWN).for_each(|at| text.push_str(&format!("    {}\n", texts[*at])));
            if kept.len() > SHOWN {
                text.push_str("    …\n");
            }
        }
        text.push_str(&format!("  {} of {} faults\n", schedule.len(), self.faults));
        for (at, trouble) in schedule {
            text.push_str(&format!("    {:6.3} s  {}\n", at.as_secs_f64(), describe(trouble)));
        }
        let log = without_repetitions(&self.log);
        let skipped = log.len().saturating_sub(SHOWN);
        let last = log.into_iter().skip(skipped);
        let skipped = (skipped > 0).then(|| format!("… {skipped} lines before"));
        section(&mut text, "what happened in it", skipped.as_deref().into_iter().chain(last));
        let test = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let test = test.map_or(String::new(), |name| format!(" {name}"));
        write!(text, "\nto repeat it\n  {SEED}={seed} cargo test{test}\n")
            .expect("writing to a string succeeds");
        text
    }
}

/// The lines, with only the first and the last of many checkpoints in a row.
fn without_repetitions(log: &[String]) -> Vec<&str> {
    let is_checkpoint =
        |at: Option<usize>| at.and_then(|at| log.get(at)).is_some_and(|line| line.contains(COMPLETE));
    let is_between = |at: usize| [at.checked_sub(1), Some(at), Some(at + 1)].into_iter().all(is_checkpoint);
    let mut lines = Vec::new();
    for (at, line) in log.iter().enumerate() {
        match (is_between(at), lines.last()) {
            (false, _) => lines.push(line.as_str()),
            (true, Some(&"…")) => {}
            (true, _) => lines.push("…"),
        }
    }
    lines
}

fn section<'a>(text: &mut String, title: &str, lines: impl IntoIterator<Item = &'a str>) {
    text.push_str(&format!("\n{title}\n"));
    lines.into_iter().for_each(|line| text.push_str(&format!("  {line}\n")));
}

fn describe(trouble: &Trouble) -> String {
    let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
    match trouble {
        Trouble::StartTaskManager => "a TaskManager starts".to_owned(),
        Trouble::StopTaskManager => "a TaskManager is stopped".to_owned(),
        Trouble::DrainTaskManager { .. } => "a TaskManager is drained".to_owned(),
        Trouble::Require { upper } => format!("a user limits the parallelism to {upper}"),
        Trouble::KillTaskManager => "a TaskManager is killed".to_owned(),
        Trouble::KillExecutor => "a task executor is killed".to_owned(),
        Trouble::KillJobManager { down } => {
            format!("the JobManager is killed, and started again after {}", seconds(down))
        }
        Trouble::StopJobManager { down } => {
            format!("the JobManager is stopped, and started again after {}", seconds(down))
        }
        Trouble::Partition { lasts } => {
            format!("two machines cannot reach each other for {}", seconds(lasts))
        }
        Trouble::Freeze { lasts } => format!("a process freezes for {}", seconds(lasts)),
        Trouble::Disturb { faults, lasts } => format!("{} for {}", disturbance(faults), seconds(lasts)),
        other => format!("{other:?}"),
    }
}

fn disturbance(faults: &Faults) -> &'static str {
    match faults {
        Faults { store_slow, .. } if *store_slow > 0.0 => "storage is slow",
        Faults { store_error, .. } if *store_error > 0.0 => "requests to storage fail",
        _ => "the network is slow",
    }
}

/// The lines of a run.
pub(super) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(super) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// A place for the lines of a run.
pub(super) fn log() -> (Lines, Log) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Log(lines.clone());
    (Box::new(move |line| lines.borrow_mut().push(line)), log)
}
