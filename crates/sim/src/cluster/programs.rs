//! How the processes of a cluster are made: the real ones, with the world around them.

use super::options::Shape;
use crate::watch::EXECUTOR;
use crate::workload::Workload;
use crate::world::{Context, Program, Spawner, Storage};
use bytes::Bytes;
use reflow_config::Config;
use reflow_env::{ChildCommand, Location};
use reflow_jobmanager::{Artifact, Handle, JobManager, JobSpec, StartMode};
use reflow_protocol::deployment::ExecutorStart;
use reflow_stream::{Job, StreamEnv};
use reflow_taskmanager::executor::{Executor, ExecutorOptions};
use reflow_taskmanager::manager::{Machine, Settings, TaskManager};
use reflow_types::TaskManagerId;
use sha2::{Digest, Sha256};

/// Where the job's executable lies, and what it holds: nobody runs it.
const EXECUTABLE: &str = "/lib/simulated";
const EXECUTABLE_BYTES: &[u8] = b"the job";
/// The job's name.
const NAME: &str = "simulated";
const TARGET: &str = "simulated-machine";
const MEMORY_BYTES: u64 = 64 << 20;

/// Makes the processes of one cluster.
pub struct Programs {
    /// The cluster's shape.
    pub shape: Shape,
    config: Config,
    workload: Workload,
    started: u64,
    /// The newest JobManager, as REST sees it.
    pub handle: Option<Handle>,
}

impl Programs {
    /// Programs that run this workload.
    pub fn new(shape: Shape, workload: Workload) -> Self {
        Self { config: shape.config(), shape, workload, started: 0, handle: None }
    }

    /// Makes executors.
    pub fn spawner(&self) -> impl Spawner + use<> {
        ExecutorSpawner { workload: self.workload.clone(), started: 0 }
    }

    /// Puts the job's executable in its place.
    pub fn install(&self, storage: &mut Storage) {
        storage.put(EXECUTABLE, Bytes::from_static(EXECUTABLE_BYTES));
    }

    /// How the job has ended, if it has, so that no JobManager is to be started again.
    pub fn end_state(&self, storage: &Storage) -> Option<String> {
        let (_, record) = storage.below("/checkpoints/").find(|(name, _)| name.contains("/ended/"))?;
        Some(String::from_utf8_lossy(record).into_owned())
    }

    /// A TaskManager.
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
        };
        let id = TaskManagerId(u128::from(context.seed));
        let process = TaskManager::new(id, Settings::new(&self.config, machine));
        Program { name: context.host.clone(), process: Box::new(process) }
    }

    /// A JobManager.
    pub fn job_manager(&mut self, context: &Context) -> Program {
        self.started += 1;
        let job = job(&self.workload);
        let spec = JobSpec {
            fingerprint: job.fingerprint(),
            graph: job.graph,
            name: NAME.to_owned(),
            args: Vec::new(),
            enumerators: job.enumerators.into_iter().map(|(uid, make)| (uid, make())).collect(),
            artifact: Artifact {
                sha256: sha256(),
                at: Location(EXECUTABLE.to_owned()),
                len: EXECUTABLE_BYTES.len() as u64,
            },
            target: TARGET.to_owned(),
            start: StartMode::default(),
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&context.seed.to_le_bytes());
        let (process, handle) = JobManager::new(&self.config, spec, seed, context.signal.clone());
        self.handle = Some(handle);
        Program { name: format!("{}-{}", context.host, self.started), process: Box::new(process) }
    }
}

fn job(workload: &Workload) -> Job {
    StreamEnv::build(NAME, |env| workload.build(env)).expect("workloads are valid jobs")
}

fn sha256() -> String {
    Sha256::digest(EXECUTABLE_BYTES).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct ExecutorSpawner {
    workload: Workload,
    started: u64,
}

impl Spawner for ExecutorSpawner {
    fn spawn(&mut self, context: &Context, command: &ChildCommand) -> Result<Program, String> {
        let message = command.stdin.get(4..).ok_or("nothing on standard input")?;
        let start = ExecutorStart::decode(message).map_err(|error| error.to_string())?;
        self.started += 1;
        let executor = Executor::new(ExecutorOptions {
            start,
            job: job(&self.workload),
            clock: context.clock.clone(),
            signal: context.signal.clone(),
            memory: Box::new(|| MEMORY_BYTES / 4),
            pid: self.started as u32,
            from_local: true,
        });
        Ok(Program {
            name: format!("{EXECUTOR}{}@{}", self.started, context.host),
            process: Box::new(executor),
        })
    }
}
