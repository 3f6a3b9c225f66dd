//! The programs of a cluster: Reflow's real processes, created with the world around them.

use super::job::SimulatedJob;
use super::options::Shape;
use super::{JOB_MANAGER_HOST, STANDBY_HOST};
use crate::frame_text::EXECUTOR;
use crate::regions::RegionWatch;
use crate::world::{Context, Program, Spawner, Storage, Work};
use bytes::Bytes;
use reflow_config::{Config, MemorySize, options};
use reflow_env::ChildCommand;
use reflow_executor::{Bandwidth, Executor, ExecutorOptions};
use reflow_graph::Regions;
use reflow_jobmanager::{Handle, JobManager, JobSpec, LeaseCalls, Role, StartMode};
use reflow_protocol::deployment::{Artifact, ArtifactTls, ExecutorStart};
use reflow_stream::{Job, StreamEnv};
use reflow_taskmanager::{Machine, Settings, TaskManager};
use reflow_types::inspection::InspectionError;
use reflow_types::{Bounds, TaskManagerId};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// The port of the HTTP server of a JobManager.
const HTTP_PORT: u16 = 8081;
/// The number of executables of the job, each with a different graph.
const EXECUTABLE_COUNT: u32 = 4;
/// The job's name.
const NAME: &str = "simulated";
const TARGET: &str = "simulated-machine";
const MEMORY_BYTES: u64 = 64 << 20;

/// Creates the processes of a cluster.
pub struct Programs {
    /// The cluster's shape.
    pub shape: Shape,
    config: Config,
    /// The job.
    pub job: Arc<dyn SimulatedJob>,
    started: u64,
    /// The REST handle of the newest JobManager.
    pub handle: Option<Handle>,
    /// How often the job was started again from a savepoint.
    pub restored: u32,
    /// The savepoint from which JobManagers start a job without a checkpoint.
    start_from: Option<String>,
    /// The end markers of jobs from whose savepoints other jobs were started.
    succeeded: BTreeSet<String>,
    /// Whether the next JobManager is started with `--allow-replay`.
    pub allow_replay: bool,
    /// What the next JobManager of a host is started as.
    pub roles: BTreeMap<String, Role>,
    /// The exit reason of the last JobManager.
    pub last_exit: Option<String>,
}

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All input is processed.
    Finished,
    /// A user has cancelled the job.
    Canceled,
    /// The job has failed, with the JobManager's message.
    Failed(String),
}

impl Programs {
    /// A watch over the job's regions.
    pub fn watch_regions(&self) -> RegionWatch {
        let graph = job(&*self.job, &Work::default(), 0).graph;
        RegionWatch::new(Regions::of(&graph), graph.vertices.len())
    }

    /// Programs that run this job.
    pub fn new(shape: Shape, job: Arc<dyn SimulatedJob>) -> Self {
        Self {
            config: shape.config(None),
            shape,
            job,
            started: 0,
            handle: None,
            restored: 0,
            start_from: None,
            succeeded: BTreeSet::new(),
            allow_replay: false,
            roles: BTreeMap::new(),
            last_exit: None,
        }
    }

    /// The spawner of executors.
    pub fn spawner(&self) -> impl Spawner + use<> {
        ExecutorSpawner {
            job: self.job.clone(),
            bounds: self.shape.bounds,
            adoption_timeout: options::ADOPTION_TIMEOUT.get(&self.config),
            prefetch_bandwidth: options::LIVE_RESCALE_BANDWIDTH.get(&self.config),
            started: 0,
        }
    }

    /// Stores the job's executables where TaskManagers fetch them. The simulated world has no HTTP: what a JobManager
    /// serves is an object of the storage, whose requests are slow and fail.
    pub fn install(&self, storage: &mut Storage) {
        for number in 0..EXECUTABLE_COUNT {
            for host in [JOB_MANAGER_HOST, STANDBY_HOST] {
                storage.put(&at(host, number), executable(number));
            }
        }
    }

    /// The end of the job and its marker, if the job has ended, so that no JobManager is started again.
    pub fn find_end(&self, storage: &Storage) -> Option<(String, End)> {
        let markers = storage.below("/checkpoints/").filter(|(name, _)| name.contains("/ended/"));
        let of_this_job = markers.filter(|(name, _)| !self.succeeded.contains(*name));
        let mut records = of_this_job.map(|(name, record)| (name, String::from_utf8_lossy(record)));
        // If the JobManager is lost before it leaves, it is started again.
        let (name, record) = records.find(|(_, record)| !record.contains(r#""left":false"#))?;
        let end = match &record {
            record if record.contains("FINISHED") => End::Finished,
            record if record.contains("CANCELED") => End::Canceled,
            _ => End::Failed(self.last_exit.clone().unwrap_or_default()),
        };
        Some((name.to_owned(), end))
    }

    /// Lets JobManagers run another build of the job from now on, which starts from a savepoint.
    pub fn restore(&mut self, ended: String, savepoint: String) {
        self.succeeded.insert(ended);
        self.restored += 1;
        self.config = self.shape.config(Some(&savepoint));
        self.start_from = Some(savepoint);
    }

    /// Creates a TaskManager.
    pub fn task_manager(&mut self, context: &Context) -> Program {
        self.started += 1;
        let machine = Machine {
            target: TARGET.to_owned(),
            host: context.host.clone(),
            user: context.host.clone(),
            pid: self.started as u32,
            cpu_cores: 1,
            physical_memory: MEMORY_BYTES,
            lib: None,
            memory_in_use: || MEMORY_BYTES / 2,
            inspect: |_| Err(InspectionError::NoSuchLog),
        };
        let id = TaskManagerId(u128::from(context.seed));
        let process = TaskManager::new(id, Settings::new(&self.config, machine));
        Program { name: context.host.clone(), process: Box::new(process) }
    }

    /// The number of processes that were started.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Creates a JobManager, which keeps its lease in Kubernetes if there are calls for that.
    pub fn job_manager(&mut self, context: &Context, lease: Option<LeaseCalls>) -> Program {
        self.started += 1;
        let build = self.restored.min(EXECUTABLE_COUNT - 1);
        let job = job(self.job.as_ref(), &Work::default(), build);
        let spec = JobSpec {
            fingerprint: job.fingerprint(),
            graph: job.graph,
            args: Vec::new(),
            enumerators: job.enumerators.into_iter().map(|(uid, make)| (uid, make())).collect(),
            artifact: Artifact {
                name: NAME.to_owned(),
                sha256: sha256(build),
                len: executable(build).len() as u64,
                http_port: HTTP_PORT,
                tls: ArtifactTls::None,
            },
            target: TARGET.to_owned(),
            clock: context.host.clone(),
            inspect: |_| Err(InspectionError::NoSuchLog),
            start: StartMode { allow_replay: self.allow_replay, ..StartMode::default() },
            role: self.roles.remove(&context.host).unwrap_or_default(),
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&context.seed.to_le_bytes());
        let (mut process, handle) =
            JobManager::new(&self.config, spec, seed, context.signal.clone(), self.shape.bounds);
        if let Some(calls) = lease {
            process.keep_lease_in_kubernetes(calls);
        }
        self.handle = Some(handle);
        Program { name: format!("{}-{}", context.host, self.started), process: Box::new(process) }
    }
}

/// The job in a build. Each build adds something to the graph of the previous one.
fn job(job: &dyn SimulatedJob, work: &Work, build: u32) -> Job {
    let built = StreamEnv::build(NAME, |env| {
        job.build(env, work)?;
        (0..build).for_each(|_| job.extend(env));
        Ok(())
    });
    let mut built = built.unwrap_or_else(|error| panic!("{error}"));
    // As if each had been given its uid, because other builds of a job without uids cannot read its savepoints.
    let vertices = Arc::make_mut(&mut built.graph).vertices.iter_mut();
    vertices.flat_map(|vertex| &mut vertex.operators).for_each(|operator| operator.has_derived_uid = false);
    built
}

fn at(host: &str, build: u32) -> String {
    format!("http://{host}:{HTTP_PORT}/artifacts/{}", sha256(build))
}

fn executable(build: u32) -> Bytes {
    Bytes::from(format!("the job, build {build}"))
}

fn sha256(build: u32) -> String {
    Sha256::digest(executable(build)).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct ExecutorSpawner {
    job: Arc<dyn SimulatedJob>,
    bounds: Bounds,
    adoption_timeout: Duration,
    prefetch_bandwidth: Option<MemorySize>,
    started: u64,
}

impl Spawner for ExecutorSpawner {
    fn spawn(&mut self, context: &Context, command: &ChildCommand) -> Result<Program, String> {
        let message = command.stdin.get(4..).ok_or("nothing on standard input")?;
        let start = ExecutorStart::decode(message).map_err(|error| error.to_string())?;
        self.started += 1;
        let program = command.program.to_string_lossy();
        let mut builds = 0..EXECUTABLE_COUNT;
        let build = builds.find(|build| program.ends_with(&sha256(*build))).ok_or("no such file")?;
        let executor = Executor::new(ExecutorOptions {
            start,
            job: job(self.job.as_ref(), &context.work, build),
            clock: context.clock.clone(),
            signal: context.signal.clone(),
            memory: Box::new(|| MEMORY_BYTES / 4),
            give_back: || (),
            pid: self.started as u32,
            from_local: true,
            adoption_timeout: self.adoption_timeout,
            // Markers are everywhere: among barriers, in front of every cut and behind every end.
            latency_interval: Some(Duration::from_millis(5)),
            prefetch_bandwidth: self
                .prefetch_bandwidth
                .and_then(|size| NonZeroU64::new(size.as_bytes()))
                .map(Bandwidth::new),
            bounds: self.bounds,
        });
        Ok(Program {
            name: format!("{EXECUTOR}{}@{}", self.started, context.host),
            process: Box::new(executor),
        })
    }
}
