//! A cluster of real processes: one JobManager, and TaskManagers that come and go.

use super::plan::{Fault, Plan};
use crate::cluster::{binary, free_port, start};
use crate::measure::Error;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

/// What lets a job use all slots that are there.
pub const REACTIVE: [&str; 2] = ["-Djobmanager.scheduler=adaptive", "-Dscheduler-mode=reactive"];

/// The processes. Those that are left are killed when it is dropped.
pub struct Cluster {
    scratch: PathBuf,
    job: String,
    options: Vec<String>,
    arguments: Vec<String>,
    job_manager: Child,
    members: Vec<Member>,
    /// How many processes were started: numbers their logs.
    started: u32,
    /// Processes that ended though nobody had asked them to.
    pub surprises: Vec<String>,
}

struct Member {
    name: String,
    process: Child,
    /// It has got SIGTERM.
    leaving: bool,
}

impl Cluster {
    /// Starts the JobManager of `job`, with `options` (`-D…`, such as [`REACTIVE`]) for all processes and `arguments`
    /// for the job.
    pub fn start(
        job: &str,
        options: &[String],
        arguments: Vec<String>,
        scratch: &Path,
    ) -> Result<Self, Error> {
        let mut options = options.to_vec();
        options.extend([
            format!("-Djobmanager.rpc.port={}", free_port()),
            "-Djobmanager.rpc.address=127.0.0.1".to_owned(),
            format!("-Dio.tmp.dirs={}", scratch.display()),
        ]);
        let mut command = job_manager(job, &options, &arguments);
        let job_manager = start(&mut command, scratch, "00-jobmanager")?;
        Ok(Self {
            scratch: scratch.to_owned(),
            job: job.to_owned(),
            options,
            arguments,
            job_manager,
            members: Vec::new(),
            started: 1,
            surprises: Vec::new(),
        })
    }

    /// How many TaskManagers run that have not been told to end.
    pub fn task_managers(&self) -> usize {
        self.members.iter().filter(|member| !member.leaving).count()
    }

    /// Lets `fault` strike a process that `plan` chooses; `None` if there is none that it could strike.
    /// Otherwise the name of the process.
    pub fn strike(&mut self, fault: Fault, plan: &mut Plan) -> Result<Option<String>, Error> {
        match fault {
            Fault::Start => self.add().map(Some),
            Fault::KillJobManager => {
                end(&mut self.job_manager, Signal::SIGKILL);
                let _ = self.job_manager.wait();
                Ok(Some("jobmanager".to_owned()))
            }
            Fault::Stop | Fault::KillTaskManager | Fault::KillExecutor => Ok(self.strike_member(fault, plan)),
        }
    }

    /// Starts the JobManager again after it was killed.
    pub fn restart_job_manager(&mut self) -> Result<(), Error> {
        let log = self.next_log("jobmanager");
        let mut command = job_manager(&self.job, &self.options, &self.arguments);
        self.job_manager = start(&mut command, &self.scratch, &log)?;
        Ok(())
    }

    fn strike_member(&mut self, fault: Fault, plan: &mut Plan) -> Option<String> {
        let candidates: Vec<usize> = (0..self.members.len()).filter(|&i| !self.members[i].leaving).collect();
        let chosen = candidates.get(plan.draw(candidates.len().max(1) as u64) as usize)?;
        let member = &mut self.members[*chosen];
        let name = member.name.clone();
        match fault {
            Fault::Stop => {
                end(&mut member.process, Signal::SIGTERM);
                member.leaving = true;
            }
            Fault::KillExecutor => {
                let executors = children(member.process.id());
                if executors.is_empty() {
                    return None;
                }
                for executor in executors {
                    // It may have ended just now.
                    let _ = kill(Pid::from_raw(executor), Signal::SIGKILL);
                }
            }
            _ => {
                end(&mut member.process, Signal::SIGKILL);
                let _ = member.process.wait();
                self.members.remove(*chosen);
            }
        }
        Some(name)
    }

    fn add(&mut self) -> Result<String, Error> {
        let name = self.next_log("taskmanager");
        let mut command = Command::new(binary("reflow"));
        command.arg("taskmanager").args(&self.options);
        let process = start(&mut command, &self.scratch, &name)?;
        self.members.push(Member { name: name.clone(), process, leaving: false });
        Ok(name)
    }

    fn next_log(&mut self, service: &str) -> String {
        let name = format!("{:02}-{service}", self.started);
        self.started += 1;
        name
    }

    /// Takes note of processes that have ended, and returns how the JobManager did, if it did.
    pub fn look(&mut self) -> Option<ExitStatus> {
        let surprises = &mut self.surprises;
        self.members.retain_mut(|member| {
            let Ok(Some(status)) = member.process.try_wait() else { return true };
            if !(member.leaving && status.success()) {
                surprises.push(format!("{} ended: {status}", member.name));
            }
            false
        });
        self.job_manager.try_wait().ok().flatten()
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
        for process in
            self.members.iter_mut().map(|member| &mut member.process).chain([&mut self.job_manager])
        {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn job_manager(job: &str, options: &[String], arguments: &[String]) -> Command {
    let mut command = Command::new(binary(job));
    command.arg("jobmanager").args(options).args(arguments);
    command
}

/// Sends a signal, unless the process has been waited for.
fn end(process: &mut Child, signal: Signal) {
    if matches!(process.try_wait(), Ok(None)) {
        let _ = kill(Pid::from_raw(process.id() as i32), signal);
    }
}

/// The processes whose parent is `parent`.
pub fn children(parent: u32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // `pid (name) state parent …`, where the name may hold anything.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        after_name.split(' ').nth(1).and_then(|text| text.parse().ok()) == Some(parent)
    };
    pids.filter(is_child).collect()
}
