//! A cluster of real processes: a JobManager, at times two, and a changing set of TaskManagers.

use super::hosts::{Disk, Hosts};
use super::plan::{Fault, Plan};
use super::system::System;
use crate::clock;
use crate::cluster::{children, free_port, start};
use crate::measure::Error;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The options with which a job uses all available slots.
pub const REACTIVE: [&str; 2] = ["-Djobmanager.scheduler=adaptive", "-Dscheduler-mode=reactive"];

/// How long a process is stopped or a host is cut off.
const STALL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(12));
/// How long the disk is full.
const FULL: Duration = Duration::from_secs(60);
/// A deposed JobManager has ended after this time, counted from when it last stood still, or the disk was full: until then
/// no other one can take over.
const DEPOSED_ENDS_WITHIN: Duration = Duration::from_secs(60);
/// A supervisor starts a JobManager again that cannot start while the disk is full, with this pause.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Where the cluster runs, and what it is started with.
pub struct Setting {
    /// What runs the job.
    pub system: System,
    /// `-D…` for all processes, such as [`REACTIVE`].
    pub options: Vec<String>,
    /// For the job.
    pub arguments: Vec<String>,
    /// Where logs and temporary files go.
    pub scratch: PathBuf,
    /// Hosts for the TaskManagers; without them all processes are on this one.
    pub hosts: Option<Hosts>,
    /// The disk of the checkpoints, if it can be filled.
    pub disk: Option<Disk>,
    /// Where two JobManagers listen of which one leads and the other stands by; without them there is one at a time.
    pub pair: Option<[Ports; 2]>,
}

/// Where a JobManager listens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    rpc: u16,
    rest: u16,
}

impl Ports {
    /// Ports that were free a moment ago.
    pub fn free() -> Self {
        Self { rpc: free_port(), rest: free_port() }
    }
}

/// The processes. Those that are left are killed when it is dropped.
pub struct Cluster {
    setting: Setting,
    job_manager: JobManager,
    /// The other one of a pair.
    standby: Option<JobManager>,
    /// JobManagers that another has replaced and that have not ended yet.
    deposed: Vec<Deposed>,
    members: Vec<Member>,
    /// What is to be undone, and when.
    stalls: Vec<(Instant, Stall)>,
    /// How many processes were started: numbers their logs.
    started: u32,
    /// A JobManager that failed while the disk was full is started again then.
    restart_at: Option<Instant>,
    /// Processes that exited without a request, and processes that did not exit when they should have.
    pub surprises: Vec<String>,
}

struct JobManager {
    process: Child,
    ports: Ports,
}

struct Deposed {
    process: Child,
    rpc_port: u16,
    must_end_by: Instant,
}

struct Member {
    name: String,
    process: Child,
    /// Whose TaskManager it is.
    rpc_port: u16,
    /// It has got SIGTERM.
    leaving: bool,
}

enum Stall {
    /// These processes stand still.
    Frozen(Vec<i32>),
    /// This host is cut off.
    Cut(usize),
    FullDisk,
}

impl Cluster {
    /// Starts the JobManager of `job` on this host, with `options` (`-D…`, such as [`REACTIVE`]) for all processes and
    /// `arguments` for the job.
    pub fn start(
        job: &str,
        options: &[String],
        arguments: Vec<String>,
        scratch: &Path,
    ) -> Result<Self, Error> {
        let (options, scratch) = (options.to_vec(), scratch.to_owned());
        let system = System::Reflow { job: job.to_owned() };
        Self::start_in(Setting { system, options, arguments, scratch, hosts: None, disk: None, pair: None })
    }

    /// Starts the JobManager.
    pub fn start_in(setting: Setting) -> Result<Self, Error> {
        let ports = setting.pair.map_or_else(Ports::free, |[first, _]| first);
        let job_manager = setting.job_manager("00-jobmanager", ports)?;
        Ok(Self {
            setting,
            job_manager,
            standby: None,
            deposed: Vec::new(),
            members: Vec::new(),
            stalls: Vec::new(),
            started: 1,
            restart_at: None,
            surprises: Vec::new(),
        })
    }

    /// How many TaskManagers of the present JobManager run that have not been told to end.
    pub fn task_managers(&self) -> usize {
        self.members.iter().filter(|member| self.stays(member)).count()
    }

    fn stays(&self, member: &Member) -> bool {
        !member.leaving && member.rpc_port == self.job_manager.ports.rpc
    }

    /// Lets `fault` strike a process that `plan` chooses; `None` if there is none that it could strike.
    /// Otherwise the name of the process.
    pub fn strike(&mut self, fault: Fault, plan: &mut Plan) -> Result<Option<String>, Error> {
        let stall = plan.draw_between(STALL.0, STALL.1);
        self.strike_for(fault, stall, plan)
    }

    /// The same, with the time for which a process stands still or a host is cut off. [`Cluster::recover`] ends it earlier.
    pub fn strike_for(
        &mut self,
        fault: Fault,
        stall: Duration,
        plan: &mut Plan,
    ) -> Result<Option<String>, Error> {
        match fault {
            Fault::Start => self.add(plan).map(Some),
            Fault::KillJobManager => {
                end(&mut self.job_manager.process, Signal::SIGKILL);
                let _ = self.job_manager.process.wait();
                Ok(Some("jobmanager".to_owned()))
            }
            Fault::FreezeJobManager => {
                self.freeze(vec![self.job_manager.process.id() as i32], stall);
                Ok(Some(format!("for {} ms", stall.as_millis())))
            }
            // Of two that start at the same time either may lead: there must be one that is known to be replaced.
            Fault::SecondJobManager if !self.deposed.is_empty() => Ok(None),
            Fault::SecondJobManager => self.replace_job_manager(stall, plan).map(Some),
            Fault::CutHost => self.cut_host(stall, plan),
            Fault::FillDisk => self.fill_disk(),
            Fault::Stop | Fault::KillTaskManager | Fault::KillExecutor | Fault::FreezeTaskManager => {
                Ok(self.strike_member(fault, stall, plan))
            }
        }
    }

    /// Starts the JobManager again after it was killed.
    pub fn restart_job_manager(&mut self) -> Result<(), Error> {
        let log = self.next_log("jobmanager");
        self.job_manager = self.setting.job_manager(&log, self.job_manager.ports)?;
        Ok(())
    }

    /// Starts the other JobManager of the pair, which stands by.
    pub fn start_standby(&mut self) -> Result<(), Error> {
        let mut pair = self.setting.pair.into_iter().flatten();
        let Some(ports) = pair.find(|ports| *ports != self.job_manager.ports) else { return Ok(()) };
        let log = self.next_log("jobmanager");
        self.standby = Some(self.setting.job_manager(&log, ports)?);
        Ok(())
    }

    /// The standby leads. The former leader stands by if it still runs; otherwise there is no standby.
    pub fn standby_leads(&mut self) {
        let Some(leader) = self.standby.take() else { return };
        let mut former = std::mem::replace(&mut self.job_manager, leader);
        for member in self.members.iter_mut().filter(|member| member.rpc_port == former.ports.rpc) {
            member.rpc_port = self.job_manager.ports.rpc;
        }
        self.standby = matches!(former.process.try_wait(), Ok(None)).then_some(former);
    }

    /// Where the JobManager that leads serves REST, unless the options name another port.
    pub fn rest_port(&self) -> u16 {
        self.job_manager.ports.rest
    }

    /// Starts another JobManager with TaskManagers of its own, as if the first one's host were considered lost.
    /// In half of the cases the first one is stopped for a while, and is deposed when it continues.
    fn replace_job_manager(&mut self, stall: Duration, plan: &mut Plan) -> Result<String, Error> {
        let task_managers = self.task_managers().clamp(1, 2);
        let first = self.job_manager.process.id() as i32;
        let frozen = plan.draw(2) == 0;
        if frozen {
            self.freeze(vec![first], stall);
        }
        let log = self.next_log("jobmanager");
        let second = self.setting.job_manager(&log, Ports::free())?;
        let JobManager { process, ports } = std::mem::replace(&mut self.job_manager, second);
        let awake_at = clock::now() + if frozen { stall } else { Duration::ZERO };
        self.deposed.push(Deposed {
            process,
            rpc_port: ports.rpc,
            must_end_by: awake_at + DEPOSED_ENDS_WITHIN,
        });
        for _ in 0..task_managers {
            self.add(plan)?;
        }
        let first = if frozen { format!("frozen for {} ms", stall.as_millis()) } else { "living".to_owned() };
        Ok(format!("{log}, the first one {first}"))
    }

    fn strike_member(&mut self, fault: Fault, stall: Duration, plan: &mut Plan) -> Option<String> {
        let candidates: Vec<usize> =
            (0..self.members.len()).filter(|&i| self.stays(&self.members[i])).collect();
        let chosen = *candidates.get(plan.draw(candidates.len().max(1) as u64) as usize)?;
        let member = &mut self.members[chosen];
        let name = member.name.clone();
        let executors = children(member.process.id());
        match fault {
            Fault::Stop => {
                end(&mut member.process, Signal::SIGTERM);
                member.leaving = true;
            }
            Fault::KillExecutor => {
                if executors.is_empty() {
                    return None;
                }
                executors.into_iter().for_each(|executor| send(executor, Signal::SIGKILL));
            }
            Fault::FreezeTaskManager => {
                let own = member.process.id() as i32;
                self.freeze(executors.into_iter().chain([own]).collect(), stall);
                return Some(format!("{name} for {} ms", stall.as_millis()));
            }
            _ => {
                end(&mut member.process, Signal::SIGKILL);
                let _ = member.process.wait();
                self.members.remove(chosen);
            }
        }
        Some(name)
    }

    fn freeze(&mut self, processes: Vec<i32>, stall: Duration) {
        processes.iter().for_each(|process| send(*process, Signal::SIGSTOP));
        self.stalls.push((clock::now() + stall, Stall::Frozen(processes)));
    }

    fn cut_host(&mut self, stall: Duration, plan: &mut Plan) -> Result<Option<String>, Error> {
        let Some(hosts) = &self.setting.hosts else { return Ok(None) };
        let host = plan.draw(hosts.count() as u64) as usize;
        if self.stalls.iter().any(|(_, stall)| matches!(stall, Stall::Cut(cut) if *cut == host)) {
            return Ok(None);
        }
        hosts.set_connected(host, false)?;
        self.stalls.push((clock::now() + stall, Stall::Cut(host)));
        Ok(Some(format!("{host} for {} ms", stall.as_millis())))
    }

    fn fill_disk(&mut self) -> Result<Option<String>, Error> {
        let Some(disk) = self.setting.disk.as_ref().filter(|_| !self.is_disk_full()) else { return Ok(None) };
        disk.fill()?;
        self.stalls.push((clock::now() + FULL, Stall::FullDisk));
        Ok(Some(format!("for {} s", FULL.as_secs())))
    }

    fn is_disk_full(&self) -> bool {
        self.stalls.iter().any(|(_, stall)| matches!(stall, Stall::FullDisk))
    }

    /// Ends stops, network partitions and full disks whose time has come, or all of them if `all` is set.
    pub fn recover(&mut self, all: bool) -> Result<(), Error> {
        let now = clock::now();
        let (due, later) =
            std::mem::take(&mut self.stalls).into_iter().partition(|(at, _)| all || *at <= now);
        self.stalls = later;
        for (_, stall) in Vec::<(Instant, Stall)>::into_iter(due) {
            match stall {
                Stall::Frozen(processes) => {
                    processes.into_iter().for_each(|process| send(process, Signal::SIGCONT))
                }
                Stall::Cut(host) => {
                    self.setting.hosts.as_ref().map_or(Ok(()), |hosts| hosts.set_connected(host, true))?;
                }
                Stall::FullDisk => self.setting.disk.as_ref().map_or(Ok(()), Disk::clear)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, plan: &mut Plan) -> Result<String, Error> {
        let hosts = self.setting.hosts.as_ref().map_or(1, Hosts::count);
        let host = if hosts > 1 { plan.draw(hosts as u64) as usize } else { 0 };
        self.add_on(host)
    }

    /// Starts a TaskManager on a host.
    pub fn add_on(&mut self, host: usize) -> Result<String, Error> {
        let name = self.next_log("taskmanager");
        let rpc_port = self.job_manager.ports.rpc;
        let launch = self.setting.system.task_manager();
        let (mut command, address) = match &self.setting.hosts {
            Some(hosts) => (hosts.command(host, &launch.program), hosts.address(host)),
            None => (Command::new(launch.program), "127.0.0.1".to_owned()),
        };
        command.args(launch.arguments).args(self.setting.options(rpc_port));
        command.args(["host", "bind-host"].map(|key| format!("-Dtaskmanager.{key}={address}")));
        let process = start(&mut command, &self.setting.scratch, &name)?;
        self.members.push(Member { name: name.clone(), process, rpc_port, leaving: false });
        Ok(name)
    }

    fn next_log(&mut self, service: &str) -> String {
        let name = format!("{:02}-{service}", self.started);
        self.started += 1;
        name
    }

    /// Takes note of processes that have ended, and returns how the JobManager did, if it did.
    pub fn look(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.recover(false)?;
        let (surprises, system) = (&mut self.surprises, &self.setting.system);
        self.members.retain_mut(|member| {
            let Ok(Some(status)) = member.process.try_wait() else { return true };
            if !(member.leaving && system.has_left(status)) && member.rpc_port == self.job_manager.ports.rpc {
                surprises.push(format!("{} ended: {status}", member.name));
            }
            false
        });
        self.look_at_deposed();
        if let Some(Ok(Some(status))) = self.standby.as_mut().map(|standby| standby.process.try_wait()) {
            self.surprises.push(format!("the standby ended: {status}"));
            self.standby = None;
        }
        let now = clock::now();
        if let Some(at) = self.restart_at {
            if at <= now {
                self.restart_at = None;
                self.restart_job_manager()?;
            }
            return Ok(None);
        }
        let ended = self.job_manager.process.try_wait().ok().flatten();
        if ended.is_some_and(|status| !status.success()) && self.is_disk_full() {
            self.restart_at = Some(now + RESTART_PAUSE);
            return Ok(None);
        }
        Ok(ended)
    }

    /// A deposed JobManager ends by itself; its TaskManagers are of no use then.
    fn look_at_deposed(&mut self) {
        let is_disk_full = self.is_disk_full();
        let (members, surprises) = (&mut self.members, &mut self.surprises);
        self.deposed.retain_mut(|deposed| {
            if is_disk_full {
                deposed.must_end_by = deposed.must_end_by.max(clock::now() + DEPOSED_ENDS_WITHIN);
            }
            let ended = matches!(deposed.process.try_wait(), Ok(Some(_)));
            if !ended && clock::now() < deposed.must_end_by {
                return true;
            }
            if !ended {
                surprises.push(format!("a deposed JobManager still runs (port {})", deposed.rpc_port));
                end(&mut deposed.process, Signal::SIGKILL);
                let _ = deposed.process.wait();
            }
            for member in members.iter_mut().filter(|member| member.rpc_port == deposed.rpc_port) {
                member.leaving = true;
                end(&mut member.process, Signal::SIGKILL);
            }
            false
        });
    }

    /// Tells all TaskManagers to end.
    pub fn stop_members(&mut self) {
        for member in &mut self.members {
            end(&mut member.process, Signal::SIGTERM);
            member.leaving = true;
        }
    }

    /// Whether TaskManagers are left.
    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let members = self.members.iter_mut().map(|member| &mut member.process);
        let deposed = self.deposed.iter_mut().map(|deposed| &mut deposed.process);
        let job_managers = std::iter::once(&mut self.job_manager).chain(&mut self.standby);
        let job_managers = job_managers.map(|job_manager| &mut job_manager.process);
        for process in members.chain(deposed).chain(job_managers) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Setting {
    fn options(&self, rpc_port: u16) -> Vec<String> {
        let address = self.hosts.as_ref().map_or_else(|| "127.0.0.1".to_owned(), Hosts::job_manager);
        let own = [
            format!("-Djobmanager.rpc.port={rpc_port}"),
            format!("-Djobmanager.rpc.address={address}"),
            format!("-Dio.tmp.dirs={}", self.scratch.display()),
        ];
        let pair = self.pair.map(|pair| {
            let addresses = pair.map(|ports| format!("{address}:{}", ports.rpc)).join(";");
            ["type=storage".to_owned(), format!("jobmanager.addresses={addresses}")]
        });
        let pair = pair.into_iter().flatten().map(|option| format!("-Dhigh-availability.{option}"));
        self.options.iter().cloned().chain(own).chain(pair).collect()
    }

    fn job_manager(&self, log: &str, ports: Ports) -> Result<JobManager, Error> {
        let launch = self.system.job_manager();
        let mut command = Command::new(launch.program);
        command.args(launch.arguments).args(self.options(ports.rpc));
        // Two that live at once need different ports.
        if !self.options.iter().any(|option| option.starts_with("-Drest.port=")) {
            command.arg(format!("-Drest.port={}", ports.rest));
        }
        if let Some(hosts) = &self.hosts {
            command.arg(format!("-Djobmanager.bind-host={}", hosts.job_manager()));
        }
        let process = start(command.args(&self.arguments), &self.scratch, log)?;
        Ok(JobManager { process, ports })
    }
}

/// Sends a signal, unless the process has been waited for.
fn end(process: &mut Child, signal: Signal) {
    if matches!(process.try_wait(), Ok(None)) {
        send(process.id() as i32, signal);
    }
}

/// Sends a signal to a process that may have ended just now.
fn send(process: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(process), signal);
}

/// Whether hosts and disks of one's own can be made here.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
