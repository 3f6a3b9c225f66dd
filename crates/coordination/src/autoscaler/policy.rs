//! When the parallelism changes, and to what.

use super::load::{Demand, Observation, demand};
use super::settings::Settings;
use reflow_types::{Instant, VertexId};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The part of a slot's memory that state may fill. The rest is for channels, snapshots and growth.
const STATE_SHARE: f64 = 0.7;
/// The most observations and demands that are kept.
const MAX_KEPT: usize = 4096;
/// The least part of the promised throughput that a scale-up must have brought for another one to follow at the same load.
const LEAST_EFFECT: f64 = 0.1;

/// A change of the parallelism.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub at: Instant,
    /// Slots of all groups before and after.
    pub from: u32,
    pub to: u32,
    /// Why, for users.
    pub reason: String,
}

/// The present judgement, whether or not something changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// The parallelism that each vertex should have.
    pub parallelism: BTreeMap<VertexId, u32>,
    /// The TaskManagers that are needed for it. `None` as long as that is not known, as behind the start of a JobManager.
    pub task_managers: Option<u32>,
    /// How busy the slots of the target parallelism would be, where they are busiest; 0 to 1, or above.
    pub utilization: f64,
    /// Records that sources have not read yet.
    pub lag_records: u64,
    /// The time that these take to arrive.
    pub lag_seconds: f64,
    /// Records per second that arrive at sources.
    pub arriving_per_second: f64,
    /// What is done and why, for users.
    pub status: String,
}

/// Why nothing changes.
enum Unchanged {
    /// It is too early for a judgement.
    Measuring(String),
    /// The parallelism is right, or stays for now.
    Fits(String),
}

/// A scale-up, until it has shown its effect.
struct ScaleUp {
    at: Instant,
    from: u32,
    to: u32,
    /// Records per second that were read before.
    read: f64,
}

/// Decides how many slots a job should have.
///
/// # Invariants
/// - Between two decisions pass at least `stabilization.interval`, and between a scale-up and a scale-down
///   `scale-up.grace-period`.
/// - The parallelism stays within the bounds of the user, of the options, and of what the state fits in; the user's win over
///   the options', and both over the need for memory.
/// - No slots are added beyond those of `task-managers.max`, unless one of these bounds asks for them.
pub struct Policy {
    settings: Settings,
    /// Of the subtasks that run now, oldest first, no older than the window.
    observations: VecDeque<(Instant, Observation)>,
    /// Oldest first, no older than the interval of scale-downs.
    demands: VecDeque<Demand>,
    /// Since when demands are known without a gap.
    known_since: Option<Instant>,
    /// Slots by group that the job should have; empty until the job was observed.
    target: Vec<u32>,
    /// Slots by group that it had at the last observation.
    actual: Vec<u32>,
    changed_at: Option<Instant>,
    /// Until then the target is what the job has, because a user has changed it.
    follows_until: Option<Instant>,
    /// Nothing is given up before.
    keeps_until: Option<Instant>,
    last_up: Option<ScaleUp>,
    /// What was advised last, if decisions are not carried out.
    advised: Option<Vec<u32>>,
    assessment: Assessment,
}

impl Policy {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            observations: VecDeque::new(),
            demands: VecDeque::new(),
            known_since: None,
            target: Vec::new(),
            actual: Vec::new(),
            changed_at: None,
            follows_until: None,
            keeps_until: None,
            last_up: None,
            advised: None,
            assessment: Assessment {
                status: "waiting for the job to run".to_owned(),
                ..Assessment::default()
            },
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The present judgement.
    pub fn assessment(&self) -> &Assessment {
        &self.assessment
    }

    /// The job does not run steadily: it starts, restarts or rescales. What was measured of its subtasks is void.
    pub fn pause(&mut self, now: Instant, why: &str) {
        self.observations.clear();
        self.known_since = None;
        self.changed_at = Some(now);
        if self.follows(now) {
            // What a user has asked for takes longer.
            self.follows_until = Some(now + self.settings.stabilization);
        }
        self.assessment.status = why.to_owned();
    }

    /// The job has never run under this policy and waits for slots, of which so many TaskManagers have enough.
    pub fn wait_for(&mut self, task_managers: u32) {
        if self.target.is_empty() {
            let Settings { min_task_managers, max_task_managers, .. } = self.settings;
            let most = max_task_managers.max(min_task_managers);
            self.assessment.task_managers = Some(task_managers.clamp(min_task_managers, most));
        }
    }

    /// Whether a user has just changed what the job may have.
    fn follows(&self, now: Instant) -> bool {
        self.follows_until.is_some_and(|until| now < until)
    }

    /// A user has changed what the job may have. The parallelism that it gets is the new target, of which nothing is given up
    /// within `scale-up.grace-period`.
    pub fn begin_anew(&mut self, now: Instant) {
        self.follows_until = Some(now + self.settings.stabilization);
        self.keeps_until = Some(now + self.settings.scale_up_grace);
        self.demands.clear();
        self.last_up = None;
        self.pause(now, "a user has changed the job's requirements");
    }

    /// Takes the counters of a job that runs, about once a second. Returns a change that is due.
    pub fn observe(&mut self, now: Instant, observation: Observation) -> Option<Decision> {
        let actual = slots(&observation);
        if actual != self.actual {
            if !self.actual.is_empty() {
                self.pause(now, "the parallelism has changed");
            }
            self.actual = actual;
        }
        if self.target.len() != self.actual.len() || self.follows(now) || !self.settings.scaling {
            self.target.clone_from(&self.actual);
        }
        let (range, capacity) = (self.range(&observation), self.capacity(&observation));
        self.observations.push_back((now, observation.clone()));
        self.forget(now);
        let first = self.observations.front().filter(|(at, _)| *at + self.settings.window / 2 <= now);
        let Some((at, from)) = first else {
            self.assess(&observation);
            return None;
        };
        let catch_up_s = self.settings.catch_up.as_secs_f64();
        let Some(demand) = demand((from, *at), &observation, catch_up_s) else {
            self.assess(&observation);
            return None;
        };
        let demand = Demand { at: now, ..demand };
        self.known_since.get_or_insert(now);
        self.demands.push_back(demand.clone());
        let wanted = self.decide(now, &demand, &range, capacity);
        self.show(&demand);
        let decision = match wanted {
            Ok((wanted, reason)) => self.adopt(now, wanted, reason, &demand),
            Err(Unchanged::Measuring(status)) => {
                self.assessment.status = status;
                None
            }
            Err(Unchanged::Fits(status)) => {
                self.advised = None;
                self.assessment.status = status;
                None
            }
        };
        self.assess(&observation);
        decision
    }

    /// Makes what is wanted the target, or what is advised. The same advice is given once.
    fn adopt(&mut self, now: Instant, wanted: Vec<u32>, reason: String, demand: &Demand) -> Option<Decision> {
        let (from, to) = (self.target.iter().sum(), wanted.iter().sum());
        self.assessment.status.clone_from(&reason);
        if !self.settings.scaling {
            let news = self.advised.as_ref() != Some(&wanted);
            self.advised = Some(wanted);
            self.changed_at = Some(now);
            return news.then_some(Decision { at: now, from, to, reason });
        }
        if to > from {
            self.last_up = Some(ScaleUp { at: now, from, to, read: demand.read });
            self.keeps_until = Some(now + self.settings.scale_up_grace);
        }
        self.target = wanted;
        self.changed_at = Some(now);
        Some(Decision { at: now, from, to, reason })
    }

    /// The slots that each group should have and why, or why nothing changes.
    fn decide(
        &self,
        now: Instant,
        demand: &Demand,
        range: &[(u32, u32)],
        capacity: u32,
    ) -> Result<(Vec<u32>, String), Unchanged> {
        if let Some(left) = left(now, self.changed_at, self.settings.stabilization) {
            let text = format!("measuring for {left} s more after the last change");
            return Err(Unchanged::Measuring(text));
        }
        let fitted: Vec<u32> = self
            .target
            .iter()
            .zip(range)
            .map(|(target, (lower, upper))| (*target).clamp(*lower, *upper))
            .collect();
        if fitted != self.target {
            let (from, to): (u32, u32) = (self.target.iter().sum(), fitted.iter().sum());
            let why = "what the bounds allow and the state fits in";
            return Ok((fitted, format!("{} from {from} to {to} slots: {why}", self.verb())));
        }
        let (now_busy, peak) = (self.recent(now), self.peak());
        let settings = &self.settings;
        let piled_up = match settings.catch_up.as_secs_f64() {
            0.0 => 1.0,
            catch_up_s => 1.0 + settings.restart.as_secs_f64() / catch_up_s,
        };
        let mut wanted = self.target.clone();
        let mut capped = false;
        for (group, &target) in self.target.iter().enumerate() {
            let (lower, upper) = range[group];
            let busy = now_busy[group] * piled_up;
            if now_busy[group] > f64::from(target) * settings.max_utilization {
                let most = f64::from(target) * (1.0 + settings.scale_up_factor);
                wanted[group] = to_slots((busy / settings.target).min(most)).clamp(lower, upper);
                capped |= wanted[group] == upper;
            } else if peak[group] < f64::from(target) * settings.min_utilization {
                let least = (f64::from(target) * (1.0 - settings.scale_down_factor)).ceil();
                wanted[group] =
                    to_slots((peak[group] / settings.target).max(least)).clamp(lower, target.max(lower));
            }
        }
        let from: u32 = self.target.iter().sum();
        if wanted.iter().zip(&self.target).any(|(wanted, target)| wanted > target) {
            // A change of the whole: what is given up in one group at the same time waits, unless no slots can be added.
            let raised = raised(&self.target, &wanted, &now_busy, capacity);
            if raised != self.target {
                self.check_effect(now, demand)?;
                return Ok((raised.clone(), self.explain(from, raised.iter().sum(), demand)));
            }
            wanted = wanted.iter().zip(&self.target).map(|(a, b)| *a.min(b)).collect();
            capped = true;
        }
        let to: u32 = wanted.iter().sum();
        if to == from {
            let text = if capped {
                "more slots would help, but the bounds do not allow them"
            } else {
                "enough slots"
            };
            return Err(Unchanged::Fits(text.to_owned()));
        }
        if let Some(left) = left(now, self.keeps_until, Duration::ZERO) {
            let text = format!("{to} slots would do, kept for {left} s more after the last increase");
            return Err(Unchanged::Fits(text));
        }
        if let Some(left) = left(now, self.known_since, settings.scale_down_interval) {
            let text = format!("{to} slots would do, given up if that holds for {left} s more");
            return Err(Unchanged::Fits(text));
        }
        Ok((wanted, self.explain(from, to, demand)))
    }

    /// Refuses another scale-up if the last one has brought next to nothing: then slots are not what is missing.
    fn check_effect(&self, now: Instant, demand: &Demand) -> Result<(), Unchanged> {
        let Some(ScaleUp { at, from, to, read }) = &self.last_up else { return Ok(()) };
        let reached = self.actual.iter().sum::<u32>() >= *to;
        if now >= *at + self.settings.scale_up_grace
            || !reached
            || *read <= 0.0
            || demand.read >= demand.arriving
        {
            return Ok(());
        }
        let promised = f64::from(*to) / f64::from(*from).max(1.0) - 1.0;
        let gained = demand.read / read - 1.0;
        if gained >= promised * LEAST_EFFECT {
            return Ok(());
        }
        Err(Unchanged::Fits(format!(
            "the change from {from} to {to} slots has not raised the throughput: a hot key, an outside system or the \
             machine is the limit, so no slots are added for now"
        )))
    }

    /// The demand of the last observations, by group.
    fn recent(&self, now: Instant) -> Vec<f64> {
        let recent: Vec<&Demand> =
            self.demands.iter().rev().take_while(|demand| demand.at + self.settings.window >= now).collect();
        // The lowest of the last ones: one report that came late must not start machines.
        let newest = recent.iter().take(2);
        let groups = self.target.len();
        (0..groups)
            .map(|group| newest.clone().map(|demand| demand.least[group]).fold(f64::MAX, f64::min))
            .collect()
    }

    /// The highest demand of the interval of scale-downs, by group.
    fn peak(&self) -> Vec<f64> {
        let groups = self.target.len();
        (0..groups)
            .map(|group| self.demands.iter().map(|demand| demand.most[group]).fold(0.0, f64::max))
            .collect()
    }

    fn forget(&mut self, now: Instant) {
        while self.observations.len() > MAX_KEPT
            || self.observations.front().is_some_and(|(at, _)| *at + self.settings.window < now)
        {
            self.observations.pop_front();
        }
        let interval = self.settings.scale_down_interval.max(self.settings.window);
        let groups = self.target.len();
        while self.demands.len() > MAX_KEPT
            || self.demands.front().is_some_and(|d| d.at + interval < now || d.least.len() != groups)
        {
            self.demands.pop_front();
        }
    }

    /// The least and the largest number of slots of each group.
    fn range(&self, observation: &Observation) -> Vec<(u32, u32)> {
        let Settings { min_parallelism, max_parallelism, .. } = self.settings;
        let mut range = vec![(1, 1); self.actual.len()];
        for vertex in &observation.vertices {
            let bounds = vertex.bounds;
            let upper = max_parallelism.clamp(bounds.lower, bounds.upper);
            let (least, most) = &mut range[vertex.group];
            *least = (*least).max(bounds.lower).max(min_parallelism.min(upper));
            *most = (*most).max(upper);
        }
        let state: Vec<u64> = (0..range.len())
            .map(|group| {
                let of_group = observation.vertices.iter().filter(|vertex| vertex.group == group);
                of_group.map(|vertex| vertex.state_bytes).sum()
            })
            .collect();
        for ((least, most), state) in range.iter_mut().zip(state) {
            let for_state = observation
                .memory_per_slot
                .filter(|memory| *memory > 0)
                .map_or(1, |memory| to_slots(state as f64 / (memory as f64 * STATE_SHARE)));
            *least = (*least).max(for_state).min(*most);
        }
        range
    }

    /// The slots of the most TaskManagers that there may be.
    fn capacity(&self, observation: &Observation) -> u32 {
        let Settings { min_task_managers, max_task_managers, .. } = self.settings;
        max_task_managers.max(min_task_managers).saturating_mul(observation.slots_per_task_manager.max(1))
    }

    /// Shows what the target, or the advice, means for vertices and TaskManagers.
    fn assess(&mut self, observation: &Observation) {
        let wanted =
            self.advised.as_ref().filter(|wanted| wanted.len() == self.target.len()).unwrap_or(&self.target);
        let of_vertex = |vertex: &super::VertexLoad| {
            let bounds = vertex.bounds;
            (vertex.vertex, wanted[vertex.group].clamp(bounds.lower, bounds.upper))
        };
        self.assessment.parallelism = observation.vertices.iter().map(of_vertex).collect();
        let slots: u32 = wanted.iter().sum();
        let Settings { min_task_managers, max_task_managers, .. } = self.settings;
        let needed = slots.div_ceil(observation.slots_per_task_manager.max(1));
        self.assessment.task_managers =
            Some(needed.clamp(min_task_managers, max_task_managers.max(min_task_managers)));
    }

    fn show(&mut self, demand: &Demand) {
        let busiest = demand.least.iter().zip(&self.target);
        self.assessment.utilization =
            busiest.map(|(busy, target)| busy / f64::from((*target).max(1))).fold(0.0, f64::max);
        self.assessment.lag_records = demand.pending;
        self.assessment.lag_seconds =
            if demand.arriving > 0.0 { demand.pending as f64 / demand.arriving } else { 0.0 };
        self.assessment.arriving_per_second = demand.arriving;
    }

    fn verb(&self) -> &'static str {
        if self.settings.scaling { "scaled" } else { "would scale" }
    }

    fn explain(&self, from: u32, to: u32, demand: &Demand) -> String {
        let verb = self.verb();
        let share = |(busy, target): (&f64, &u32)| busy / f64::from((*target).max(1));
        let shares: Vec<f64> = demand.least.iter().zip(&self.target).map(share).collect();
        let group = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0);
        let name = self
            .observations
            .back()
            .and_then(|(_, observation)| Some(observation.vertices.get(demand.busiest[group])?.name.clone()))
            .unwrap_or_default();
        let percent = (shares.get(group).copied().unwrap_or(0.0) * 100.0).round();
        let lag = match (demand.pending, demand.arriving) {
            (0, _) => String::new(),
            (pending, arriving) if arriving > 0.0 => {
                let trend = if demand.read < arriving { "growing" } else { "shrinking" };
                format!(", lag {pending} records ({:.0} s) and {trend}", pending as f64 / arriving)
            }
            (pending, _) => format!(", lag {pending} records"),
        };
        format!("{verb} from {from} to {to} slots: {name} would be {percent} % busy with {from}{lag}")
    }
}

/// The slots of each group: the largest parallelism of its vertices.
fn slots(observation: &Observation) -> Vec<u32> {
    let groups = observation.vertices.iter().map(|vertex| vertex.group + 1).max().unwrap_or(0);
    let mut slots = vec![0; groups];
    for vertex in &observation.vertices {
        slots[vertex.group] = slots[vertex.group].max(vertex.parallelism);
    }
    slots
}

/// The slots by group after those of `wanted` are added to `target` one by one, each to the group that is busiest then, until
/// there are `capacity` of them. None is taken away.
pub(super) fn raised(target: &[u32], wanted: &[u32], busy: &[f64], capacity: u32) -> Vec<u32> {
    let mut raised = target.to_vec();
    let room = capacity.saturating_sub(target.iter().sum());
    for _ in 0..room {
        let share = |group: &usize| busy[*group] / f64::from(raised[*group].max(1));
        let short = (0..raised.len()).filter(|group| raised[*group] < wanted[*group]);
        let Some(group) = short.max_by(|a, b| share(a).total_cmp(&share(b))) else { break };
        raised[group] += 1;
    }
    raised
}

/// A number of slots that suffices.
fn to_slots(busy: f64) -> u32 {
    // The smallest excess is an error of arithmetic.
    ((busy - 1e-6).ceil().clamp(1.0, f64::from(u32::MAX))) as u32
}

/// The whole seconds that are left of `time` after `since`, if any.
fn left(now: Instant, since: Option<Instant>, time: Duration) -> Option<u64> {
    let end = since? + time;
    (now < end).then(|| end.since(now).as_secs_f64().ceil() as u64)
}
