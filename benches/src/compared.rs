//! Comparisons of a job's output on real processes, line by line, with that of another program for the same input: at
//! parallelism 1, at parallelism 3, and while TaskManagers are started, stopped and killed.
//!
//! [`CHANGES`] lists the changes of the cluster. A change is made only when the whole job runs at the parallelism
//! of the previous one and has committed further lines since. It is complete when the whole job runs at the new
//! parallelism. A job that ends before the last change fails the check, so no change can have come too late.

use crate::chaos::plan::{Fault, Plan};
use crate::chaos::processes::{Cluster, REACTIVE};
use crate::rest::Rest;
use crate::{clock, cluster};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};
use std::{fs, io};

/// How often processes, REST and output are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// No wait may last longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long changes strike, and for one round of them at least. At the rate of the input it lasts longer.
const STRIKE_FOR: Duration = Duration::from_secs(15);
/// The changes while the job runs, in order, with the parallelism after each. A round begins and ends at
/// parallelism 1.
const CHANGES: [(Fault, u32); 8] = [
    (Fault::Start, 2),
    (Fault::Start, 3),
    (Fault::KillExecutor, 3),
    (Fault::KillTaskManager, 2),
    (Fault::Stop, 1),
    (Fault::Start, 2),
    (Fault::KillJobManager, 2),
    (Fault::Stop, 1),
];
/// The outcome of a check.
type Checked = Result<(), Box<dyn Error>>;
/// A way to run the job to its end.
type Check = fn(&mut Run<'_>) -> Checked;

/// A job whose output is compared.
pub struct Compared<'a> {
    /// The job's executable.
    pub job: &'a str,
    /// Its arguments, without those for output and rate.
    pub arguments: Vec<String>,
    /// The names of its outputs: of the files with expected lines, and of the directories that the job writes.
    pub outputs: &'a [&'a str],
    /// The directory of the files with expected lines.
    pub expected: PathBuf,
    /// Records a second while the cluster changes.
    pub rate: u32,
    /// Makes of all lines those that are compared.
    pub canonical: fn(Vec<String>) -> Vec<String>,
}

impl Compared<'_> {
    /// Runs the job in each way and compares its output.
    ///
    /// # Errors
    /// The program's exit code, if a run fails. What was wrong is printed.
    pub fn check(&self) -> Result<(), ExitCode> {
        let runs: [(&str, Check); 3] = [
            ("parallelism 1", |run| run.undisturbed(1)),
            ("parallelism 3", |run| run.undisturbed(3)),
            ("a changing cluster", |run| run.disturbed()),
        ];
        for (name, check) in runs {
            let name = format!("{} at {name}", self.job);
            if let Err(error) = Run::checked(self, &name, check) {
                eprintln!("{name}: {error}");
                return Err(ExitCode::FAILURE);
            }
        }
        Ok(())
    }
}

/// A run of the job under way.
struct Run<'a> {
    of: &'a Compared<'a>,
    scratch: PathBuf,
    began: Instant,
}

impl<'a> Run<'a> {
    /// Runs the job as `check` does it, and compares its output. What a failed run leaves is kept.
    fn checked(of: &'a Compared<'a>, name: &str, check: Check) -> Checked {
        let mut run = Run { of, scratch: cluster::scratch()?, began: clock::now() };
        let checked = check(&mut run).and_then(|()| run.compare());
        checked.map_err(|error| format!("{error}\nlogs and output are in {}", run.scratch.display()))?;
        fs::remove_dir_all(&run.scratch)?;
        run.log(&format!("{name}: as expected, line for line"));
        Ok(())
    }

    /// At a parallelism that stays, as fast as it goes.
    fn undisturbed(&mut self, parallelism: u32) -> Checked {
        let mut options = cluster::options(&self.scratch);
        options.push("-Djobmanager.scheduler=adaptive".to_owned());
        options.push(format!("-Dparallelism.default={parallelism}"));
        let mut cluster = Cluster::start(self.of.job, &options, self.arguments(), &self.scratch)?;
        let mut plan = Plan::new(1, PATIENCE);
        for _ in 0..parallelism {
            cluster.strike(Fault::Start, &mut plan)?;
        }
        finish(cluster)
    }

    /// Slowly, while the cluster changes.
    fn disturbed(&mut self) -> Checked {
        let (mut options, rest_port) = (cluster::options(&self.scratch), cluster::free_port());
        options.retain(|option| !option.starts_with("-Drest.port") && !option.contains(".interval"));
        options.push(format!("-Drest.port={rest_port}"));
        options.push("-Dexecution.checkpointing.interval=300ms".to_owned());
        options.extend(REACTIVE.map(str::to_owned));
        options.push("-Drestart-strategy.type=fixed-delay".to_owned());
        options.push("-Drestart-strategy.fixed-delay.attempts=100".to_owned());
        options.push("-Drestart-strategy.fixed-delay.delay=0 s".to_owned());
        let mut arguments = self.arguments();
        arguments.extend(["--rate".to_owned(), self.of.rate.to_string()]);

        let rest = Rest::new(rest_port);
        let mut cluster = Cluster::start(self.of.job, &options, arguments, &self.scratch)?;
        let mut plan = Plan::new(1, PATIENCE);
        cluster.strike(Fault::Start, &mut plan)?;
        let (mut parallelism, mut committed, mut struck) = (1, 0, 0);
        for (change, next) in CHANGES.into_iter().cycle() {
            if struck >= CHANGES.len() && self.began.elapsed() > STRIKE_FOR {
                break;
            }
            committed = self.wait_for_progress(&mut cluster, &rest, parallelism, committed)?;
            let process = cluster.strike(change, &mut plan)?;
            let process = process.ok_or_else(|| format!("{} found no process to strike", change.name()))?;
            struck += 1;
            self.log(&format!("{} {process}, after {committed} lines", change.name()));
            if change == Fault::KillJobManager {
                cluster.restart_job_manager()?;
            }
            parallelism = next;
        }
        self.wait_for_progress(&mut cluster, &rest, parallelism, committed)?;
        let expected = self.expected()?.len();
        self.log(&format!("{struck} changes struck before the end of {expected} lines"));
        finish(cluster)
    }

    /// Waits until the whole job runs at this parallelism and has committed more than `committed` lines. Returns
    /// the number of lines, which are not all, because the job continues.
    fn wait_for_progress(
        &self,
        cluster: &mut Cluster,
        rest: &Rest,
        parallelism: u32,
        committed: usize,
    ) -> Result<usize, Box<dyn Error>> {
        let (begin, expected) = (clock::now(), self.expected()?.len());
        let mut since = None; // what was committed when the whole job ran again
        while begin.elapsed() < PATIENCE {
            if let Some(status) = cluster.look()? {
                return Err(format!("the job ended too early, after {committed} lines: {status}").into());
            }
            let runs = rest.runs_at(parallelism).is_ok_and(|runs| runs);
            let now = self.committed()?.len();
            if now >= expected {
                return Err("the input was over before all changes had struck: lower --rate".into());
            }
            match since {
                None if runs => since = Some(now.max(committed)),
                Some(before) if runs && now > before => return Ok(now),
                _ => {}
            }
            clock::sleep(LOOK);
        }
        let state = rest.details();
        Err(format!("no progress at parallelism {parallelism} in {PATIENCE:?}: {state:?}").into())
    }

    fn arguments(&self) -> Vec<String> {
        let output = ["--output".to_owned(), self.output().display().to_string()];
        self.of.arguments.iter().cloned().chain(output).collect()
    }

    fn output(&self) -> PathBuf {
        self.scratch.join("output")
    }

    fn expected(&self) -> io::Result<Vec<String>> {
        let file = |name: &str| self.of.expected.join(name).with_extension("csv");
        lines(self.of.outputs.iter().map(|name| (*name, vec![file(name)])))
    }

    fn committed(&self) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        for name in self.of.outputs {
            files.push((*name, parts(&self.output().join(name))?));
        }
        lines(files)
    }

    fn compare(&self) -> Checked {
        let (committed, expected) = ((self.of.canonical)(self.committed()?), self.expected()?);
        if committed == expected {
            return Ok(());
        }
        let differs = committed.iter().zip(&expected).find(|(is, should)| is != should);
        let (is, should) = (committed.len(), expected.len());
        Err(format!("{is} lines instead of {should}; the first that differ: {differs:?}").into())
    }

    fn log(&self, text: &str) {
        eprintln!("{:8.3} {text}", self.began.elapsed().as_secs_f64());
    }
}

/// Waits for the JobManager to end well, and for the TaskManagers after it.
fn finish(mut cluster: Cluster) -> Checked {
    let begin = clock::now();
    let mut ended: Option<ExitStatus> = None;
    while ended.is_none() || cluster.has_members() {
        if begin.elapsed() > PATIENCE {
            return Err(format!("the job did not finish in {PATIENCE:?}").into());
        }
        clock::sleep(LOOK);
        if let (None, Some(status)) = (ended, cluster.look()?) {
            ended = Some(status);
            cluster.stop_members();
        }
    }
    match ended {
        Some(status) if status.success() && cluster.surprises.is_empty() => Ok(()),
        _ => Err(format!("the JobManager ended with {ended:?}; {:?}", cluster.surprises).into()),
    }
}

/// The committed files in a directory, which may not be there yet.
fn parts(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

/// All lines of these files, each with the name of its output, sorted.
fn lines<'a>(files: impl IntoIterator<Item = (&'a str, Vec<PathBuf>)>) -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for (name, paths) in files {
        for path in paths {
            all.extend(fs::read_to_string(path)?.lines().map(|line| format!("{name}: {line}")));
        }
    }
    all.sort_unstable();
    Ok(all)
}
