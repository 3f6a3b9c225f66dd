//! Runs of many seeds on all cores. Runs share nothing, so the seed alone determines a run.

use crate::cluster::{Outcome, Selection};
use crate::report::{Report, how_to_repeat, run_seed};
use crate::watchdog;
use reflow_env::real::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The interval at which progress is printed.
const PROGRESS: Duration = Duration::from_secs(30);

/// The seeds to run, and how to run them.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// The first seed.
    pub from: u64,
    /// The number of seeds.
    pub count: u64,
    /// The time after which no run starts.
    pub at_most: Option<Duration>,
    /// Whether no run starts after a violation.
    pub fail_fast: bool,
    /// Whether progress is printed to standard error.
    pub progress: bool,
    /// The number of concurrent runs.
    pub threads: usize,
}

/// The state that the threads share.
struct Shared {
    report: Report,
    /// The number of runs that have begun.
    begun: u64,
    /// When progress was last printed.
    printed: Duration,
}

impl Seeds {
    /// Runs the seeds.
    pub fn run(&self, selection: &Selection) -> Report {
        let clock = Clock::start();
        let begin = clock.now();
        let elapsed = || clock.now().since(begin);
        let report = Report { selection: selection.clone(), ..Report::default() };
        let shared = Mutex::new(Shared { report, begun: 0, printed: Duration::ZERO });
        let run = || {
            let watchdog = watchdog::start();
            let next = || self.next(&mut lock(&shared), elapsed());
            while let Some(seed) = next() {
                let repeat = how_to_repeat(seed, selection);
                watchdog.begin(repeat.clone());
                let outcome = run_seed(seed, selection, None);
                for violation in &outcome.violations {
                    eprintln!("{repeat} ({}): {violation}", outcome.about);
                }
                self.add(outcome, &mut lock(&shared), elapsed());
            }
            watchdog.end();
        };
        std::thread::scope(|threads| {
            for _ in 0..self.threads {
                threads.spawn(run);
            }
        });
        let mut report = shared.into_inner().unwrap_or_else(PoisonError::into_inner).report;
        // Runs end in a different order each time.
        report.violations.sort();
        report.vacuous.sort_unstable();
        report
    }

    fn next(&self, shared: &mut Shared, elapsed: Duration) -> Option<u64> {
        let over = shared.begun == self.count
            || self.at_most.is_some_and(|most| elapsed > most)
            || (self.fail_fast && !shared.report.violations.is_empty());
        if over {
            return None;
        }
        shared.begun += 1;
        Some(self.from + shared.begun - 1)
    }

    fn add(&self, outcome: Outcome, shared: &mut Shared, elapsed: Duration) {
        shared.report.add(outcome);
        if self.progress && elapsed > shared.printed + PROGRESS {
            shared.printed = elapsed;
            let (runs, violated) = (shared.report.runs, shared.report.violations.len());
            let left = elapsed.mul_f64((self.count - runs) as f64 / runs as f64);
            let left = self.at_most.map_or(left, |most| left.min(most.saturating_sub(elapsed)));
            let (count, minutes) = (self.count, left.as_secs().div_ceil(60));
            eprintln!("{runs} of {count} runs, {violated} with violations; about {minutes} min left");
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
