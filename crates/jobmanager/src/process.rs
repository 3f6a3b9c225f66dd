//! The process of the JobManager: takes inputs and returns outputs, on one thread.

mod claiming;
mod termination;

use crate::autoscaler::Autoscaler;
use crate::commands::{CommandOutcome, Desk};
use crate::deletions::Deletions;
use crate::ending::{Ending, Records};
use crate::enumerators::Enumerators;
use crate::error::JobManagerError;
use crate::handle::{Asked, Handle};
use crate::ids::Ids;
use crate::layout::Layout;
use crate::leader::{Leader, LeaderParts};
use crate::leadership::Leadership;
use crate::lease::kubernetes::LeaseCalls;
use crate::lease::{self, Leases, renewals::Renewals};
use crate::members::{MemberSettings, Members};
use crate::requirements::Declarations;
use crate::schedule;
use crate::settings::{AfterJob, JobSpec, Role, Settings};
use crate::standby::Standby;
use crate::storage::{Storage, Tickets};
use crate::timeline::Timeline;
use crate::view::{self, Frame};
use claiming::Claiming;
use reflow_config::Config;
use reflow_coordination::checkpoint::retention;
use reflow_coordination::event::Event;
use reflow_coordination::scheduler::{Identity, Scheduler};
use reflow_env::{Answer, ConnId, Input, ListenerId, Output, Pauses, Process, Signal, Ticket};
use reflow_protocol::hello::Hello;
use reflow_types::{Bounds, Instant, JobId, LeaderEpoch, injected_fault};
use reflow_view::{Cluster, ClusterView, CommandError, LeaderChange, Readiness, Reply};
use std::collections::BTreeSet;
use std::time::Duration;
use termination::Leaving;

/// The exit code of a JobManager that does not lead any more and is to be started again as a standby.
pub(crate) const STANDS_BY: i32 = 75;
/// The exit code of a JobManager that was told to end, whose successor has claimed the job and may not lead yet: it is to be started
/// again as a standby that ends ([`Role::EndingStandby`]).
pub(crate) const HANDS_OVER: i32 = 76;
const LISTENER: ListenerId = ListenerId(0);
/// The number of former epochs' files that are kept. The last ones show which job is resumed.
const KEPT_EPOCHS: usize = 8;
/// The least time between two updates of the view.
const VIEW_EVERY: Duration = Duration::from_millis(200);
/// The longest time between two updates of the view, because durations in it grow.
const VIEW_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// A JobManager for one job, whose executable it is part of.
///
/// It listens first, so that if two are started on one machine by mistake, the second ends before it touches the
/// job. Then it becomes the leader of the job and runs it, until the job ends or the process is terminated.
pub struct JobManager {
    config: Config,
    settings: Settings,
    bounds: Bounds,
    layout: Layout,
    /// The job, until it is taken over.
    spec: Option<JobSpec>,
    ids: Ids,
    tickets: Tickets,
    leases: Leases,
    handle: Handle,
    frame: Frame,
    view_at: Instant,
    /// When this process was started. A job that has ended since is the one that it was started for.
    started_at: Instant,
    /// The clock of that time.
    clock: String,
    /// A hash of what it runs.
    program: u64,
    /// Whether another JobManager has led since this one was started.
    has_stood_by: bool,
    /// Connections to a standby that have not said who they are.
    newcomers: BTreeSet<ConnId>,
    /// The leadership from which it claims the job.
    watched: Option<LeaderEpoch>,
    /// Whether it ends as soon as another JobManager leads.
    told_to_end: bool,
    changed: bool,
    pauses: Pauses,
    phase: Phase,
}

enum Phase {
    /// The process does not listen yet.
    Opening,
    /// Another JobManager leads, or may lead.
    StandingBy(Box<Standby>),
    Claiming(Box<Claiming>),
    Leading(Box<Led>),
    Ending(Box<Led>, Box<Ending>),
    /// The job has ended, and users look at it.
    Shown(Box<Led>, Box<Ending>),
    Ended,
}

/// A job and its leader.
struct Led {
    job: JobId,
    name: String,
    leader: Leader,
    /// The last leaderships of the job; the last one is this.
    history: Vec<LeaderChange>,
    timeline: Timeline,
    leaving: Leaving,
    /// The request of a user to hand the job over.
    transfer: Option<Asked>,
}

impl JobManager {
    /// A JobManager, and the handle for other threads. `seed` is random, and ids and tokens are derived from it.
    /// The driver wakes the process when `signal` is raised. Production uses the default `bounds`.
    pub fn new(
        config: &Config,
        spec: JobSpec,
        seed: [u8; 32],
        signal: Signal,
        bounds: Bounds,
    ) -> (Self, Handle) {
        let settings = Settings::new(config);
        let frame = Frame::new(config);
        let handle = Handle::new(signal, frame.starting(Instant(0)), spec.inspect);
        let job_manager = Self {
            layout: Layout::new(&settings.checkpoint_dir, &settings.cluster_id, &spec.graph.name),
            config: config.clone(),
            settings,
            bounds,
            clock: spec.clock.clone(),
            newcomers: BTreeSet::new(),
            watched: None,
            told_to_end: spec.role == Role::EndingStandby,
            program: lease::program(&spec.artifact.sha256, &spec.args),
            ids: Ids::new(seed),
            tickets: Tickets::default(),
            leases: Leases::Storage,
            handle: handle.clone(),
            frame,
            view_at: Instant(0),
            started_at: Instant(0),
            has_stood_by: spec.role != Role::First,
            spec: Some(spec),
            changed: true,
            pauses: Pauses::default(),
            phase: Phase::Opening,
        };
        (job_manager, handle)
    }

    /// Keeps its lease in Kubernetes.
    pub fn keep_lease_in_kubernetes(&mut self, calls: LeaseCalls) {
        self.leases = Leases::Kubernetes(calls);
    }

    fn start(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.started_at = now;
        match self.settings.relative_directory() {
            Some((key, value)) => {
                let value = value.to_owned();
                self.fail(&JobManagerError::RelativeDirectory { key, value }, out);
            }
            None => out.push(Output::Listen { listener: LISTENER, address: self.settings.listen.clone() }),
        }
    }

    fn lead(
        &mut self,
        now: Instant,
        (leadership, lease): (Leadership, Option<Renewals>),
        out: &mut Vec<Output>,
    ) {
        log_start(&leadership);
        let Leadership { authority, job, resumed, recovered, record, .. } = leadership;
        let Leadership { requirements, declarations, earlier, history, .. } = leadership;
        let epoch = authority.epoch;
        let spec = self.spec.take().expect("the job is taken over once");
        let name = spec.graph.name.clone();
        let scheduler_settings = schedule::settings(&self.config, &self.layout, job, epoch, spec.start);
        let data_dir = retention::data_dir(&scheduler_settings.checkpoints.job_dir);
        let identity = Identity { job, epoch, build: spec.artifact.sha256.clone() };
        let members = MemberSettings {
            job,
            artifact: spec.artifact,
            job_args: spec.args,
            fingerprint: spec.fingerprint,
            target: spec.target,
            epoch,
            written: self.layout.epoch(epoch).0,
            record,
            data_dir,
            token: self.ids.next(),
            heartbeat_interval: self.settings.heartbeat_interval,
            heartbeat_timeout: self.settings.heartbeat_timeout,
            executor_start_timeout: self.settings.executor_start_timeout,
        };
        let enumerators = Enumerators::new(&spec.graph, spec.enumerators, &self.bounds);
        let recovered = (resumed || recovered.latest().is_some()).then_some(recovered);
        let directory = self.layout.requirements(job);
        let declarations =
            Declarations::new(directory, epoch, declarations, Storage::new(self.tickets.clone()));
        let mut leader = Leader::new(LeaderParts {
            scheduler: Scheduler::new(scheduler_settings, spec.graph, identity, recovered, now),
            declarations,
            autoscaler: Autoscaler::new(&self.config, now),
            authority,
            members: Members::new(members, self.ids.split()),
            enumerators,
            deletions: Deletions::new(self.bounds.deletions),
            completed: self.layout.completed(job),
            lease,
            tickets: self.tickets.clone(),
            now,
        });
        let outdated = earlier.iter().rev().skip(KEPT_EPOCHS).map(|epoch| self.layout.epoch(*epoch).0);
        leader.schedule_deletion(outdated.collect());
        if self.settings.lease_duration.is_some() {
            let leases = earlier.iter().rev().take(KEPT_EPOCHS).map(|epoch| self.layout.lease(*epoch).0);
            leader.schedule_deletion(leases.collect());
        }
        if let Some(requirements) = requirements {
            leader.adopt_requirements(&requirements, out);
        }
        let timeline = Timeline::default();
        let led = Led { job, name, leader, history, timeline, leaving: Leaving::No, transfer: None };
        self.phase = Phase::Leading(Box::new(led));
        self.handle_event(now, Event::Tick, out);
        if self.told_to_end {
            // It has handed the job over before, and its successor was lost before it led. There may be another standby.
            self.on_terminate(now, out);
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event, out: &mut Vec<Output>) {
        if let Phase::Leading(led) = &mut self.phase {
            led.leader.handle_event(now, event, out);
        }
    }

    fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        let waits_too_long = self.waits_too_long(now);
        match &mut self.phase {
            Phase::Opening | Phase::Shown(..) | Phase::Ended => {}
            Phase::StandingBy(_) if waits_too_long => {
                let reason = "the JobManager that has taken the job over does not lead yet".to_owned();
                self.exit(0, reason, out);
            }
            Phase::StandingBy(standby) => standby.on_time(now, out),
            Phase::Claiming(claiming) => claiming.on_time(now, out),
            Phase::Leading(led) if led.hand_over_until().is_some_and(|until| until <= now) => {
                self.stop_waiting(now, out);
            }
            Phase::Leading(led) => led.leader.on_time(now, out),
            Phase::Ending(led, ending) => {
                led.leader.renew_lease(now, out);
                ending.on_time(now, out);
            }
        }
    }

    fn on_answer(&mut self, now: Instant, ticket: Ticket, answer: Answer, out: &mut Vec<Output>) {
        match (&mut self.phase, answer) {
            (Phase::Opening | Phase::Ended, _) => {}
            (Phase::StandingBy(_), answer) => self.on_standby_answered(now, ticket, answer, out),
            (Phase::Claiming(_), answer) => self.on_claim_answered(now, ticket, answer, out),
            (Phase::Leading(led), answer) => led.leader.answered(now, ticket, answer, out),
            (Phase::Ending(led, ending) | Phase::Shown(led, ending), Answer::Store(result)) => {
                ending.stored(now, ticket, result, &mut led.leader, out);
            }
            (Phase::Ending(led, _) | Phase::Shown(led, _), answer) => {
                led.leader.lease_answered(now, ticket, answer);
            }
        }
    }

    fn after_pause(&mut self, pause: Duration) {
        tracing::warn!(
            "this process was paused for {} ms: nobody counts as silent for that",
            pause.as_millis()
        );
        match &mut self.phase {
            Phase::Leading(led) => led.leader.members.excuse(pause),
            Phase::StandingBy(standby) => standby.after_pause(),
            _ => {}
        }
    }

    /// Handles a connection. Messages of members are taken only while the job runs; before and after, members
    /// must connect again.
    fn on_connection(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let Phase::Leading(led) = &mut self.phase else {
            match (&mut self.phase, input) {
                // What connects says first who it is: a standby counts who asks for the leader.
                (Phase::StandingBy(_), Input::Accepted { conn, .. }) => drop(self.newcomers.insert(conn)),
                (Phase::StandingBy(standby), Input::Received { conn, frame })
                    if self.newcomers.remove(&conn) =>
                {
                    if Hello::decode(&frame).is_ok() {
                        standby.member_asks(now);
                    }
                    out.push(Output::Close { conn });
                }
                (_, Input::Accepted { conn, .. }) => out.push(Output::Close { conn }),
                (_, Input::Closed { conn, .. } | Input::Silent { conn }) if self.newcomers.remove(&conn) => {
                    out.push(Output::Close { conn });
                }
                (Phase::Shown(led, _), Input::Closed { conn, reason }) => {
                    led.leader.members.closed(now, conn, &reason, out);
                }
                _ => {}
            }
            return;
        };
        let members = &mut led.leader.members;
        match input {
            Input::Accepted { conn, .. } => members.accepted(now, conn, out),
            Input::Received { conn, frame } => members.received(now, conn, &frame, out),
            Input::Silent { conn } => members.silent(now, conn, out),
            Input::Closed { conn, reason } => members.closed(now, conn, &reason, out),
            _ => {}
        }
        led.leader.settle(now, out);
    }

    /// Handles the reports of the provider of TaskManagers since the last call.
    fn take_reports(&mut self, now: Instant) {
        for report in self.handle.take_reports() {
            if let Phase::Leading(led) = &mut self.phase
                && let Some(autoscaler) = &mut led.leader.autoscaler
            {
                autoscaler.provisioned(now, report);
                self.changed = true;
            }
        }
    }

    /// Handles the commands of users since the last call.
    fn take_commands(&mut self, now: Instant, out: &mut Vec<Output>) {
        for asked in self.handle.take_commands() {
            self.changed = true;
            let new_request = self.ids.next();
            let result = match &mut self.phase {
                Phase::Leading(led) if led.hand_over_until().is_some() => Err(CommandError::Unavailable(
                    "another JobManager is taking the job over: try again".to_owned(),
                )),
                Phase::Leading(led) | Phase::Ending(led, _) | Phase::Shown(led, _) => {
                    let savepoint_dir = self.settings.savepoint_dir.as_deref();
                    let mut desk = Desk { job: led.job, leader: &mut led.leader, savepoint_dir, new_request };
                    match desk.carry_out(now, asked.command.clone(), out) {
                        Ok(CommandOutcome::Answered(reply)) => Ok(reply),
                        Ok(CommandOutcome::ShutDown) => {
                            asked.answer(Ok(Reply::Accepted));
                            self.shut_down(now, out);
                            continue;
                        }
                        Ok(CommandOutcome::Transferring) => {
                            self.transfer(now, asked, out);
                            continue;
                        }
                        Ok(CommandOutcome::Inspecting(task_manager, inquiry)) => {
                            led.leader.members.inspect(task_manager, inquiry, asked, out);
                            continue;
                        }
                        Ok(CommandOutcome::Declared(bounds)) => {
                            led.leader.declarations.declare(bounds, asked, out);
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Phase::StandingBy(_) if self.settings.lease_duration.is_some() => {
                    Err(CommandError::Unavailable(
                        "this JobManager stands by: send the request to the one that leads".to_owned(),
                    ))
                }
                _ => Err(CommandError::Unavailable("the JobManager is starting: try again".to_owned())),
            };
            asked.answer(result);
        }
    }

    /// Ends the process. The tasks go on: the JobManager that leads now adopts or ends them.
    fn step_down(&mut self, out: &mut Vec<Output>) {
        let (Phase::Leading(led) | Phase::Ending(led, _)) = &mut self.phase else { return };
        let Some(epoch) = led.leader.deposed else { return };
        let name = led.name.clone();
        led.answer_transfer(Ok(Reply::Accepted));
        let code = led.code_of_successor();
        if code != STANDS_BY {
            if injected_fault::is_active("leader_stays_after_its_hand_over") {
                return;
            }
            let reason = format!("another JobManager has taken over job {name} (leadership {epoch})");
            return self.exit(code, reason, out);
        }
        let deposed = JobManagerError::Deposed { name, epoch };
        match self.settings.lease_duration {
            None => self.fail(&deposed, out),
            Some(_) => self.exit(STANDS_BY, deposed.to_string(), out),
        }
    }

    /// Enters the next phase if the current one has ended.
    fn follow(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.step_down(out);
        self.hand_over_after_cut(now, out);
        if let Phase::Leading(led) = &self.phase
            && let Some(end) = led.leader.end.clone()
        {
            let records = Records {
                job_name: led.name.clone(),
                authority: led.leader.authority.clone(),
                next_decision: led.leader.scheduler.next_decision(),
                job_dir: self.layout.job_dir(led.job),
                mark: self.layout.ended(led.job),
                clock: self.clock.clone(),
            };
            let is_final = end.state.is_final();
            let ending = Box::new(Ending::new(now, end, records, self.tickets.clone()));
            let Phase::Leading(mut led) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
            if !is_final {
                led.leader.end_lease(now);
            }
            led.answer_transfer(Err(CommandError::Conflict("the job has ended".to_owned())));
            self.phase = Phase::Ending(led, ending);
            self.changed = true;
            self.on_time(now, out);
        }
        if let Phase::Ending(led, ending) = &mut self.phase
            && (ending.leaves() || ending.is_settled(now, &led.leader))
        {
            let (mut code, reason) = ending.exit();
            if ending.is_deposed() && self.settings.lease_duration.is_some() {
                // Its successor runs the job on, or finds that it has ended.
                code = led.code_of_successor();
            }
            let stays = self.settings.after_job == AfterJob::Stay && ending.shows_job() && !ending.leaves();
            if stays {
                self.publish(now);
                self.show(&reason);
            } else if ending.leave(now, out) {
                self.publish(now);
                self.exit(code, reason, out);
            }
        }
    }

    /// Keeps the ended job in the view until the process is terminated.
    fn show(&mut self, reason: &str) {
        let Phase::Ending(led, ending) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
        let name = &led.name;
        tracing::info!(name, reason, "showing the job until this JobManager is terminated");
        self.phase = Phase::Shown(led, ending);
    }

    fn publish(&mut self, now: Instant) {
        let readiness = match &self.phase {
            Phase::Leading(led) if !led.leader.storage_answers(now) => Readiness::StorageSilent,
            _ => Readiness::Leading,
        };
        let view = match &mut self.phase {
            Phase::Leading(led) | Phase::Ending(led, _) | Phase::Shown(led, _) => {
                let mut view = self.frame.leading(now, led.job, &led.leader, &self.handle.view());
                view.leadership = view::leadership(&led.history, &led.leader);
                led.timeline.follow(&mut view);
                view.readiness = readiness;
                view
            }
            Phase::Ended => return,
            Phase::StandingBy(standby) if self.settings.lease_duration.is_some() => {
                let readiness =
                    if standby.differs() { Readiness::StandingByDifferent } else { Readiness::StandingBy };
                ClusterView { readiness, ..self.frame.starting(now) }
            }
            // Without leases it looks whether a leader that has one lives, and leads if not.
            Phase::Opening | Phase::StandingBy(_) | Phase::Claiming(_) => self.frame.starting(now),
        };
        self.handle.publish(view);
        self.view_at = now;
        self.changed = false;
    }

    fn next_view(&self) -> Instant {
        self.view_at + if self.changed { VIEW_EVERY } else { VIEW_AT_LEAST_EVERY }
    }

    fn fail(&mut self, error: &JobManagerError, out: &mut Vec<Output>) {
        self.exit(1, error.to_string(), out);
    }

    fn exit(&mut self, code: i32, reason: String, out: &mut Vec<Output>) {
        out.push(Output::Exit { code, reason });
        self.phase = Phase::Ended;
    }
}

impl Process for JobManager {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if let Some(pause) = self.pauses.on_input(now, VIEW_AT_LEAST_EVERY) {
            self.after_pause(pause);
        }
        self.changed |= !matches!(input, Input::Wakeup);
        match input {
            Input::Start => self.start(now, out),
            Input::Listening { address, .. } => self.listens(now, &address, out),
            Input::ListenFailed { error, .. } => {
                let address = self.settings.listen.clone();
                self.fail(&JobManagerError::Listen { address, error }, out);
            }
            Input::Wakeup => self.on_time(now, out),
            Input::Accepted { .. } | Input::Received { .. } | Input::Silent { .. } | Input::Closed { .. } => {
                self.on_connection(now, input, out);
            }
            Input::Stored { ticket, result } => self.on_answer(now, ticket, result.into(), out),
            Input::Called { ticket, result } => self.on_answer(now, ticket, result.into(), out),
            Input::Terminate => self.on_terminate(now, out),
            // A JobManager opens no connections and has no children.
            Input::Connected { .. } | Input::ChildExited { .. } => {}
        }
        self.take_reports(now);
        self.take_commands(now, out);
        self.follow(now, out);
        if now >= self.next_view() {
            self.publish(now);
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let of_phase = match &self.phase {
            Phase::Ended => return None,
            Phase::Opening | Phase::Shown(..) => None,
            Phase::StandingBy(standby) => standby.next_wakeup(),
            Phase::Claiming(claiming) => claiming.next_wakeup(),
            Phase::Leading(led) => led.leader.next_wakeup().into_iter().chain(led.hand_over_until()).min(),
            Phase::Ending(led, ending) => {
                ending.next_wakeup().into_iter().chain(led.leader.lease_due()).min()
            }
        };
        Some(of_phase.map_or(self.next_view(), |at| at.min(self.next_view())))
    }
}

/// Logs the state from which the job resumes.
fn log_start(leadership: &Leadership) {
    let Leadership { job, recovered, authority, .. } = leadership;
    let epoch = authority.epoch;
    match (leadership.resumed, recovered.latest()) {
        (true, Some(_)) if recovered.question().is_some() => {
            tracing::error!(%job, %epoch, "the job is not resumed: its newest checkpoint cannot be read");
        }
        (true, Some(latest)) => {
            tracing::info!(%job, %epoch, checkpoint = %latest.checkpoint, at = latest.at, "resuming the job");
        }
        (true, None) => {
            tracing::info!(%job, %epoch, "resuming the job, which has no checkpoint: it begins anew")
        }
        (false, Some(latest)) => tracing::info!(%job, %epoch, at = latest.at, "a new job, from a savepoint"),
        (false, None) => tracing::info!(%job, %epoch, "a new job"),
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
