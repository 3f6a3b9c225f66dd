//! The shape of a cluster: its options, which are drawn at random.

use super::bounds;
use crate::rng::Rng;
use crate::scenario::Scenario;
use reflow_config::Config;
use reflow_types::Bounds;
use std::collections::BTreeSet;
use std::fmt;

/// The configuration of a cluster.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The number of slots of each TaskManager.
    pub slots: u64,
    /// The most TaskManagers that run at once.
    pub most_task_managers: usize,
    /// The time between checkpoints in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// The number of complete checkpoints that are retained.
    pub retained: u64,
    /// The parallelism that the job requests; `None` in reactive mode.
    pub parallelism: Option<u64>,
    /// The restart strategy.
    pub restarts: Restarts,
    /// How long tasks process on without a JobManager, in milliseconds.
    pub adoption_timeout_ms: u64,
    /// How long a leader's lease lasts, in milliseconds. `None` if the JobManager that starts last leads.
    pub lease_ms: Option<u64>,
    /// Whether it is kept in Kubernetes, and not in the checkpoint storage.
    pub lease_in_kubernetes: bool,
    /// Bytes a second that an executor reads to prepare a live rescale; `None`: without a bound.
    pub prefetch_bandwidth: Option<u64>,
    /// How long regions wait before they restart, in milliseconds: after a failure, and for more slots. `None`: as long as the
    /// restart strategy says, and not for slots.
    pub region_wait_ms: Option<u64>,
    /// Bounds on the work, memory and messages of executors.
    pub bounds: Bounds,
}

/// A restart strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// No limit.
    Always,
    /// This many restarts.
    FixedDelay(u64),
    /// This many restarts within an interval.
    FailureRate(u64),
    /// This many restarts, with growing delays.
    ExponentialDelay(u64),
    /// No restarts.
    Never,
}

impl Restarts {
    fn random(rng: &mut Rng) -> Self {
        let times = rng.within(1..=5);
        match rng.within(0..=6) {
            0..2 => Self::FixedDelay(times),
            2..4 => Self::FailureRate(times),
            4..6 => Self::ExponentialDelay(times),
            _ => Self::Never,
        }
    }

    fn options(self) -> Vec<(&'static str, String)> {
        let named = |name: &str| ("restart-strategy.type", name.to_owned());
        match self {
            Self::Always => vec![
                named("fixed-delay"),
                ("restart-strategy.fixed-delay.attempts", "1000000".to_owned()),
                ("restart-strategy.fixed-delay.delay", "100 ms".to_owned()),
            ],
            Self::FixedDelay(times) => vec![
                named("fixed-delay"),
                ("restart-strategy.fixed-delay.attempts", times.to_string()),
                ("restart-strategy.fixed-delay.delay", "100 ms".to_owned()),
            ],
            Self::FailureRate(times) => vec![
                named("failure-rate"),
                ("restart-strategy.failure-rate.max-failures-per-interval", times.to_string()),
                ("restart-strategy.failure-rate.failure-rate-interval", "10 s".to_owned()),
                ("restart-strategy.failure-rate.delay", "100 ms".to_owned()),
            ],
            Self::ExponentialDelay(times) => vec![
                named("exponential-delay"),
                ("restart-strategy.exponential-delay.initial-backoff", "100 ms".to_owned()),
                ("restart-strategy.exponential-delay.max-backoff", "5 s".to_owned()),
                ("restart-strategy.exponential-delay.attempts-before-reset-backoff", times.to_string()),
            ],
            Self::Never => vec![named("none")],
        }
    }
}

const HOUR_MS: u64 = 3_600_000;

/// The default of `jobmanager.adoption.timeout`, which is longer than JobManagers are away.
pub const ADOPTION_TIMEOUT_MS: u64 = 120_000;

/// Usually the default, sometimes shorter than JobManagers are away. In one run of eight tasks end with their JobManager.
fn adoption_timeout_ms(rng: &mut Rng, scenarios: &BTreeSet<Scenario>) -> u64 {
    match rng.within(0..=7) {
        0 if !scenarios.contains(&Scenario::Adoption) => 0,
        1 => rng.skewed(100..=10_000),
        _ => ADOPTION_TIMEOUT_MS,
    }
}

/// In one run of four, so low that prefetches take up to some seconds.
fn prefetch_bandwidth(rng: &mut Rng) -> Option<u64> {
    rng.chance(0.25).then(|| rng.skewed(2_000..=200_000))
}

impl Shape {
    /// A random shape.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            slots: rng.within(1..=4),
            most_task_managers: rng.within(2..=5) as usize,
            checkpoint_interval_ms: rng.skewed(50..=4_000),
            retained: rng.within(1..=4),
            parallelism: None,
            restarts: Restarts::Always,
            adoption_timeout_ms: ADOPTION_TIMEOUT_MS,
            lease_ms: None,
            lease_in_kubernetes: false,
            prefetch_bandwidth: None,
            region_wait_ms: None,
            bounds: bounds::random(rng),
        }
    }

    /// The shape with the options that scenarios need.
    pub fn for_scenarios(self, rng: &mut Rng, scenarios: &BTreeSet<Scenario>) -> Self {
        let (parallelism, restarts) = (rng.within(1..=8), Restarts::random(rng));
        let adoption_timeout_ms = adoption_timeout_ms(&mut rng.fork("adoption timeout"), scenarios);
        let lease_ms = rng.fork("lease").skewed(300..=5_000);
        let lease_in_kubernetes = rng.fork("place of the lease").chance(0.4);
        // A Lease has whole seconds.
        let lease_ms = if lease_in_kubernetes { lease_ms.next_multiple_of(1_000) } else { lease_ms };
        let prefetch_bandwidth = prefetch_bandwidth(&mut rng.fork("prefetch bandwidth"));
        let rare = scenarios.contains(&Scenario::RareCheckpoints);
        Self {
            checkpoint_interval_ms: if rare { HOUR_MS } else { self.checkpoint_interval_ms },
            parallelism: scenarios.contains(&Scenario::FixedParallelism).then_some(parallelism),
            bounds: if scenarios.contains(&Scenario::LargeState) { Bounds::default() } else { self.bounds },
            adoption_timeout_ms,
            lease_ms: scenarios.contains(&Scenario::Standby).then_some(lease_ms),
            lease_in_kubernetes,
            prefetch_bandwidth,
            restarts: if scenarios.contains(&Scenario::FewRestarts) { restarts } else { Restarts::Always },
            ..self
        }
    }

    /// The shape for a job of several regions. In half of the runs these wait for up to a minute, often longer than the
    /// interval of checkpoints.
    pub fn for_regions(self, rng: &mut Rng) -> Self {
        let region_wait_ms = rng.chance(0.5).then(|| rng.skewed(100..=60_000));
        Self { region_wait_ms, ..self }
    }

    fn region_wait(&self) -> Vec<(&'static str, String)> {
        let Some(wait_ms) = self.region_wait_ms else { return Vec::new() };
        let mut pairs = Vec::new();
        if self.restarts == Restarts::Always {
            pairs.push(("restart-strategy.fixed-delay.delay", format!("{wait_ms} ms")));
        }
        if self.parallelism.is_none() {
            let key = "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout";
            pairs.push((key, format!("{wait_ms} ms")));
        }
        pairs
    }

    /// The configuration of all processes, with the savepoint from which the job starts.
    pub fn config(&self, start_from: Option<&str>) -> Config {
        let mut pairs = vec![
            ("jobmanager.rpc.address", super::JOB_MANAGER_HOST.to_owned()),
            ("jobmanager.bind-host", "0.0.0.0".to_owned()),
            ("taskmanager.bind-host", "0.0.0.0".to_owned()),
            ("taskmanager.numberOfTaskSlots", self.slots.to_string()),
            ("execution.checkpointing.interval", format!("{} ms", self.checkpoint_interval_ms)),
            ("execution.checkpointing.timeout", "20 s".to_owned()),
            ("execution.checkpointing.num-retained", self.retained.to_string()),
            ("execution.checkpointing.dir", "/checkpoints".to_owned()),
            ("jobmanager.adoption.timeout", format!("{} ms", self.adoption_timeout_ms)),
            // The simulated driver gives no signs of life between the JobManager and others.
            ("heartbeat.timeout", "5 s".to_owned()),
            ("task.cancellation.timeout", "10 s".to_owned()),
            ("taskmanager.drain.timeout", "10 s".to_owned()),
            ("io.tmp.dirs", "/tmp".to_owned()),
        ];
        if let Some(lease_ms) = self.lease_ms {
            let addresses = format!("{};{}", super::JOB_MANAGER_HOST, super::STANDBY_HOST);
            pairs.push(("high-availability.jobmanager.addresses", addresses));
            let duration = format!("{lease_ms} ms");
            if self.lease_in_kubernetes {
                let (lease, retries) = (
                    "high-availability.kubernetes.leader-election.lease-duration",
                    "high-availability.kubernetes.leader-election.retry-period",
                );
                pairs.extend([
                    ("high-availability.type", "kubernetes".to_owned()),
                    ("kubernetes.cluster-id", "simulated".to_owned()),
                    (lease, duration),
                    (retries, format!("{} ms", lease_ms / 6)),
                ]);
            } else {
                pairs.extend([
                    ("high-availability.type", "storage".to_owned()),
                    ("high-availability.storage.lease-duration", duration),
                ]);
            }
        }
        pairs.extend(self.restarts.options());
        for (key, wait) in self.region_wait() {
            pairs.retain(|(other, _)| *other != key);
            pairs.push((key, wait));
        }
        let bandwidth =
            |bytes: u64| ("jobmanager.adaptive-scheduler.live-rescale.bandwidth", bytes.to_string());
        pairs.extend(self.prefetch_bandwidth.map(bandwidth));
        pairs.extend(start_from.map(|savepoint| ("execution.state-recovery.path", savepoint.to_owned())));
        let adaptive = |key: &'static str, value: &str| (key, value.to_owned());
        match self.parallelism {
            None => pairs.push(("scheduler-mode", "reactive".to_owned())),
            Some(parallelism) => pairs.extend([
                ("parallelism.default", parallelism.to_string()),
                adaptive("jobmanager.adaptive-scheduler.submission.resource-wait-timeout", "2 min"),
                adaptive("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", "1 s"),
                adaptive("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "1 s"),
                adaptive("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "2 s"),
            ]),
        }
        let pairs = pairs.iter().map(|(key, value)| (*key, value.as_str()));
        Config::from_pairs(pairs).expect("the options are known and their values fit")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slots, most_task_managers, checkpoint_interval_ms, retained, .. } = self;
        let Self { parallelism, restarts, bounds, adoption_timeout_ms, .. } = self;
        let Self { prefetch_bandwidth, region_wait_ms, .. } = self;
        write!(
            f,
            "{slots} slots, up to {most_task_managers} TaskManagers, a checkpoint each {checkpoint_interval_ms} ms, {retained} kept, adoption \
             within {adoption_timeout_ms} ms"
        )?;
        if let Some(parallelism) = parallelism {
            write!(f, ", parallelism {parallelism}")?;
        }
        if let Some(lease_ms) = self.lease_ms {
            let place = if self.lease_in_kubernetes { "Kubernetes" } else { "storage" };
            write!(f, ", a lease of {lease_ms} ms in {place}")?;
        }
        if let Some(bytes) = prefetch_bandwidth {
            write!(f, ", rescales read {bytes} bytes a second")?;
        }
        if let Some(wait_ms) = region_wait_ms {
            write!(f, ", regions wait {wait_ms} ms")?;
        }
        if *restarts != Restarts::Always {
            write!(f, ", restarts {restarts:?}")?;
        }
        write!(f, "; {}", bounds::describe(bounds))
    }
}
