//! Simulations of users' jobs, as tests.
//!
//! A user gives input, a job and what its output must be. [`Simulation`] runs the job on simulated clusters, one from
//! each seed, kills and rescales them, and compares what was committed. A run that fails is shrunk to fewer faults and
//! fewer records, and reported with what it shows and how to repeat it.
//!
//! Users get it as `reflow::testing`. Reading order: this file (the test), [`ends`] (its input and output), [`fault`]
//! (what may strike), `plan` (a run), `shrink`, `report`.

pub mod ends;
pub mod fault;
pub mod plan;
mod report;
pub mod shrink;

use crate::faults::Probe;
use crate::trace::{Detail, Trace};
use crate::world::Storage;
use bytes::Bytes;
pub use ends::{Inputs, Outputs};
pub use fault::Fault;
use plan::Plan;
use reflow_api::UserError;
use reflow_stream::StreamEnv;
use report::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The variable with the only seed to run.
const SEED: &str = "REFLOW_SIM_SEED";

/// A job function whose sources and sinks are parameters.
type JobFunction<F, O> = dyn Fn(&mut StreamEnv, F, O) -> Result<(), UserError> + Send + Sync;

/// A test that runs a job on simulated clusters, with a JobManager and TaskManagers that are killed, rescaled and
/// slowed down while records are in flight, and checks what the job has committed.
///
/// The input is a vector of records, or a tuple of vectors; the job function gets a [`Feed`](reflow_testkit::Feed) for
/// each. Its outputs are a [`Collect`](reflow_testkit::Collect), or a tuple of them. The records of an input are spread
/// over the time of the run, and those of one input arrive in order. A seed determines the cluster, the times and the
/// faults, so a failing run can be repeated.
///
/// ```
/// use reflow_sim::Simulation;
/// use reflow_testkit::{Collect, Feed};
/// use std::collections::BTreeMap;
///
/// let words: Vec<String> = "to be or not to be".split(' ').map(str::to_owned).collect();
/// Simulation::new(words, |env, words: Feed<String>, counts: Collect<(String, u64)>| {
///     env.source("words", words)
///         .map(|word| (word, 1))
///         .key_by(|(word, _): &(String, u64)| word.clone())
///         .reduce(|(word, a), (_, b)| (word, a + b))
///         .sink("counts", counts);
///     Ok(())
/// })
/// .seeds(3)
/// .assert_output(|words| {
///     let mut counts = BTreeMap::new();
///     let mut count = |word: &String| {
///         let count = counts.entry(word.clone()).or_insert(0);
///         *count += 1;
///         (word.clone(), *count)
///     };
///     words.iter().map(|word| count(word)).collect()
/// });
/// ```
///
/// A simulation can have another size, and only some of the faults:
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*; pub use reflow_api::*;
/// #     pub mod testing { pub use reflow_testkit::*; pub use reflow_sim::simulation::*; }
/// # }
/// use reflow::testing::{Fault, Inputs, Outputs, Simulation};
/// use std::time::Duration;
///
/// /// Many small rescales.
/// fn rescales<I: Inputs, O: Outputs>(simulation: Simulation<I, O>) -> Simulation<I, O> {
///     simulation
///         .faults([Fault::Rescale])
///         .lasting(Duration::from_secs(60))
///         .cluster_of(5, 1)
///         .splits(5)
///         .checkpoint_interval(Duration::from_millis(500))
///         .shrink_runs(50)
/// }
/// ```
pub struct Simulation<I: Inputs, O: Outputs> {
    input: I,
    job: Arc<JobFunction<I::Feeds, O>>,
    bounds: Bounds,
    faults: Vec<Fault>,
    files: Vec<(String, Bytes)>,
}

/// The bounds of a simulation.
#[derive(Clone, Debug)]
pub struct Bounds {
    seeds: u64,
    splits: usize,
    lasts: Duration,
    task_managers: u64,
    slots: u64,
    checkpoint_interval: Option<Duration>,
    shrink_runs: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            seeds: 20,
            splits: 1,
            lasts: Duration::from_secs(10),
            task_managers: 3,
            slots: 2,
            checkpoint_interval: None,
            shrink_runs: 300,
        }
    }
}

/// What a job has committed at its end, for [`Simulation::assert_that`].
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*; pub use reflow_api::*;
/// #     pub mod testing { pub use reflow_testkit::*; pub use reflow_sim::simulation::*; }
/// # }
/// use reflow::testing::{Committed, Simulation};
/// use reflow::{StreamEnv, UserError};
///
/// /// Runs a job that reads `/data/words.txt`, and writes each word to a line of a file below `/out`.
/// fn test(job: fn(&mut StreamEnv, (), ()) -> Result<(), UserError>) {
///     Simulation::new((), job).file("/data/words.txt", "to be or not to be").assert_that(|committed| {
///         assert_eq!(lines(committed), ["be", "be", "not", "or", "to", "to"]);
///     });
/// }
///
/// fn lines(committed: &Committed<'_, (), ()>) -> Vec<String> {
///     let files = committed.files("/out");
///     let text: String = files.iter().map(|(_, body)| String::from_utf8_lossy(body)).collect();
///     let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
///     lines.sort();
///     lines
/// }
/// ```
pub struct Committed<'a, I, O: Outputs> {
    /// The input of the run. It has fewer records while a failing run is shrunk.
    pub input: &'a I,
    /// The records of each output. Their order is that of the committed objects, which is not defined.
    pub output: O::Records,
    storage: &'a Storage,
}

impl<I, O: Outputs> Committed<'_, I, O> {
    /// The objects in a directory of the simulated storage and below, by name.
    pub fn files(&self, directory: &str) -> Vec<(String, Bytes)> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        self.storage.below(&prefix).map(|(name, body)| (name.to_owned(), body.clone())).collect()
    }
}

impl<I: Inputs, O: Outputs> Simulation<I, O> {
    /// A test of a job. The function is called in each process of each simulated cluster.
    pub fn new(
        input: I,
        job: impl Fn(&mut StreamEnv, I::Feeds, O) -> Result<(), UserError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            input,
            job: Arc::new(job),
            bounds: Bounds::default(),
            faults: Fault::ALL.to_vec(),
            files: Vec::new(),
        }
    }

    /// How many seeds are run. The default is 20. The variable `REFLOW_SIM_SEED` has the number of the only one to run.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.bounds.seeds = seeds;
        self
    }

    /// The faults that may strike. The default is all of them; with none, the clusters differ only in their sizes.
    #[must_use]
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults = faults.into_iter().collect();
        self
    }

    /// Deals the records of each input to this many splits in turn, which several subtasks read. Only records of one
    /// split then have an order. The default is 1.
    #[must_use]
    pub fn splits(mut self, splits: usize) -> Self {
        self.bounds.splits = splits.max(1);
        self
    }

    /// The simulated time over which the records arrive and faults strike. The default is 10 s.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.bounds.lasts = time;
        self
    }

    /// The most TaskManagers of a cluster, and the most slots of each. The default is 3 and 2, so that the parallelism
    /// is up to 6.
    #[must_use]
    pub fn cluster_of(mut self, task_managers: u64, slots: u64) -> Self {
        (self.bounds.task_managers, self.bounds.slots) = (task_managers.max(1), slots.max(1));
        self
    }

    /// The time between two checkpoints. The default differs from seed to seed, from a fifth of a second to two.
    #[must_use]
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.bounds.checkpoint_interval = Some(interval);
        self
    }

    /// How many runs may be spent on shrinking a failing one. The default is 300.
    #[must_use]
    pub fn shrink_runs(mut self, runs: usize) -> Self {
        self.bounds.shrink_runs = runs;
        self
    }

    /// Adds a file to the simulated storage, for sources that read files. Each run begins with these files alone.
    #[must_use]
    pub fn file(mut self, path: &str, body: impl Into<Bytes>) -> Self {
        self.files.push((path.to_owned(), body.into()));
        self
    }

    /// Runs all seeds, and compares the committed records with those that `expected` computes from the input. Their
    /// order does not matter; each must be there as often as expected.
    ///
    /// # Panics
    /// If a run fails, with a report.
    #[track_caller]
    pub fn assert_output(self, expected: impl Fn(&I) -> O::Records) {
        let check =
            |committed: &Committed<'_, I, O>| O::difference(&expected(committed.input), &committed.output);
        self.check_all(&check);
    }

    /// Runs all seeds, and calls `check` with what each has committed. It panics if that is wrong.
    ///
    /// # Panics
    /// If a run fails, with a report.
    #[track_caller]
    pub fn assert_that(self, check: impl Fn(&Committed<'_, I, O>)) {
        let check = |committed: &Committed<'_, I, O>| {
            let checked = catch_unwind(AssertUnwindSafe(|| check(committed)));
            checked.err().map(|panic| message(panic.as_ref())).into_iter().collect()
        };
        self.check_all(&check);
    }

    #[track_caller]
    fn check_all(&self, check: &dyn Fn(&Committed<'_, I, O>) -> Vec<String>) {
        self.assert_built();
        let only = std::env::var(SEED).ok().map(|seed| {
            seed.parse::<u64>().unwrap_or_else(|_| panic!("{SEED} is a number of a seed, not '{seed}'"))
        });
        let seeds = only.map_or(1..=self.bounds.seeds, |seed| seed..=seed);
        let mut in_flight = false;
        for seed in seeds.clone() {
            let plan = Plan::random(seed, &self.bounds, &self.faults, &self.input.lengths());
            let ran = self.run(&plan, check, Trace::new(None));
            in_flight |= ran.struck_in_flight;
            if !ran.wrong.is_empty() {
                let failure = self.shrink(plan, ran, check);
                panic!("{}", failure.report(&self.input, &seeds));
            }
        }
        let has_input = self.input.lengths().iter().any(|records| *records > 0);
        assert!(
            in_flight || only.is_some() || !has_input || self.faults.is_empty(),
            "no fault struck while records were in flight, so the simulation shows nothing: give it more records, \
             more seeds, or checkpoints that are further apart"
        );
    }

    /// Checks what needs no cluster: that the job function builds a job, and the same one each time.
    #[track_caller]
    fn assert_built(&self) {
        let feeds = self.input.feeds(&Plan::calm(&self.input.lengths()).pace(&Probe::default(), 1));
        let build = || StreamEnv::build("simulated", |env| (self.job)(env, feeds.clone(), O::create()));
        let fingerprint = || build().unwrap_or_else(|error| panic!("{error}")).fingerprint();
        assert!(
            fingerprint() == fingerprint(),
            "the job function builds another job graph each time it is called, and each process of a job calls it: it \
             must depend on its arguments alone, and not on the clock, random numbers, files or variables"
        );
    }
}

/// The outcome of a run.
struct Ran {
    /// What is wrong with the output, or with the cluster.
    wrong: Vec<String>,
    /// Whether the job came to its end, so that its output is wrong and nothing else.
    ended: bool,
    /// The committed records, in a form to compare.
    committed: Vec<Vec<u8>>,
    struck_in_flight: bool,
}

impl<I: Inputs, O: Outputs> Simulation<I, O> {
    fn run(&self, plan: &Plan, check: &dyn Fn(&Committed<'_, I, O>) -> Vec<String>, trace: Trace) -> Ran {
        let probe = Probe::default();
        let outputs = O::create();
        let feeds = self.input.feeds(&plan.pace(&probe, self.bounds.splits));
        let job = plan::UserJob { function: self.job.clone(), feeds, outputs: outputs.clone() };
        let mut cluster = plan.cluster(Arc::new(job), probe, self.files.clone(), trace);
        let ran = catch_unwind(AssertUnwindSafe(|| cluster.run()));
        let mut wrong = cluster.violations().to_vec();
        wrong.extend(ran.err().map(|panic| format!("a process panicked: {}", message(panic.as_ref()))));
        let struck_in_flight = cluster.strikes().any_in_flight();
        let ended = wrong.is_empty();
        if !ended {
            return Ran { wrong, ended, committed: Vec::new(), struck_in_flight };
        }
        let storage = cluster.storage();
        let (input, output) = (self.input.keep(&plan.kept), outputs.committed(storage));
        let encoded = O::encoded(&output);
        let wrong = check(&Committed { input: &input, output, storage });
        Ran { wrong, ended, committed: encoded, struck_in_flight }
    }

    fn shrink(&self, plan: Plan, ran: Ran, check: &dyn Fn(&Committed<'_, I, O>) -> Vec<String>) -> Failure {
        let again = self.run(&plan, check, Trace::new(None));
        let repeatable = (&again.wrong, &again.committed) == (&ran.wrong, &ran.committed);
        let faults = plan.schedule.len();
        // An output that is wrong and a job that does not end are different failures.
        let fails = |candidate: &Plan| {
            let candidate = self.run(candidate, check, Trace::new(None));
            !candidate.wrong.is_empty() && candidate.ended == ran.ended
        };
        let (plan, tried) = shrink::shrink(plan, self.bounds.shrink_runs, fails);
        let (lines, log) = report::log();
        let last = self.run(&plan, check, Trace::with_detail(Some(lines), Detail::Notes));
        // A job that is not repeatable may not fail this time.
        let wrong = if last.wrong.is_empty() { ran.wrong } else { last.wrong };
        Failure { plan, wrong, faults, tried, repeatable, log: log.take(), ended: ran.ended }
    }
}

/// The text of a panic.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
