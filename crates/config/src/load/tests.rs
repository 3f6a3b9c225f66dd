//! Tests of the loader: accepted and refused configurations, and the error texts.

use std::time::Duration;

use super::*;
use crate::choice::RestartStrategy;
use crate::options::*;

/// A file, an environment variable and arguments.
#[derive(Default, Clone, Copy)]
struct Given<'a> {
    yaml: &'a str,
    environment: &'a str,
    arguments: &'a [&'a str],
}

fn load(given: Given<'_>) -> Result<Loaded, ConfigError> {
    let loader = Loader::new().yaml("conf/config.yaml", given.yaml)?.properties(given.environment)?;
    given.arguments.iter().try_fold(loader, |loader, argument| loader.define(argument))?.load()
}

/// Checks the effective value of `key` and where it was set.
#[track_caller]
fn check(given: Given<'_>, key: &str, expected: &str) {
    let config = load(given).unwrap().config;
    let option = config.effective().find(|option| option.key == key).expect("a known key");
    assert_eq!(format!("{} ({})", option.value.unwrap_or_default(), option.source), expected);
}

#[track_caller]
fn check_error(given: Given<'_>, expected: &str) {
    assert_eq!(load(given).map(|loaded| loaded.config).unwrap_err().to_string(), expected);
}

#[track_caller]
fn check_warning(yaml: &str, expected: &str) {
    let loaded = load(Given { yaml, ..Given::default() }).unwrap();
    let warnings: Vec<_> = loaded.warnings.iter().map(Warning::to_string).collect();
    assert_eq!(warnings.join("\n"), expected);
}

fn yaml(yaml: &str) -> Given<'_> {
    Given { yaml, ..Given::default() }
}

#[test]
fn later_sources_win() {
    let environment = "\n# a comment\nrest.port: 2\n";
    check(yaml(""), "rest.port", "8081 (default)");
    check(yaml("rest:\n  port: 1\n"), "rest.port", "1 (conf/config.yaml:2)");
    check(
        Given { yaml: "rest.port: 1", environment, arguments: &[] },
        "rest.port",
        "2 (environment variable REFLOW_PROPERTIES, line 3)",
    );
    check(Given { yaml: "rest.port: 1", environment, arguments: &["rest.port=3"] }, "rest.port", "3 (-D)");
    check(
        Given { arguments: &["-Drest.port=3", "-Drest.port=4"], ..Given::default() },
        "rest.port",
        "4 (-D)",
    );
}

#[test]
fn aliases_are_the_option() {
    let key = "restart-strategy.type";
    check(yaml("restart-strategy: fixeddelay"), key, "fixeddelay (conf/config.yaml:1)");
    let given =
        Given { yaml: "restart-strategy.type: none", arguments: &["restart-strategy=off"], environment: "" };
    check(given, key, "off (-D)");
    check_error(
        yaml("restart-strategy: off\nrestart-strategy.type: none\n"),
        "`restart-strategy` (conf/config.yaml:1) and `restart-strategy.type` (conf/config.yaml:2) set the same \
         option; keep one",
    );
    check_error(
        yaml("rest:\n  port: 1\nrest.port: 2\n"),
        "`rest.port` (conf/config.yaml:2) and `rest.port` (conf/config.yaml:3) set the same option; keep one",
    );
}

#[test]
fn a_process_has_defaults_of_its_own() {
    let directory = |yaml: &str, definition: Option<&str>| {
        let loader = Loader::new().yaml("conf/config.yaml", yaml).unwrap();
        let loader = definition.into_iter().try_fold(loader, Loader::define).unwrap();
        let defaults = [("execution.checkpointing.dir", "memory://c".to_owned())];
        CHECKPOINT_DIRECTORY.get(&loader.defaults(&defaults).load().unwrap().config)
    };
    assert_eq!(directory("", None), "memory://c");
    assert_eq!(directory("state.checkpoints.dir: /file", None), "/file");
    assert_eq!(
        directory("state.checkpoints.dir: /file", Some("-Dexecution.checkpointing.dir=/given")),
        "/given"
    );
}

#[test]
fn the_quick_start_is_understood() {
    let given = Given {
        arguments: &[
            "-Drestart-strategy=fixeddelay",
            "-Drestart-strategy.fixed-delay.attempts=100000",
            "-Djobmanager.scheduler=adaptive",
            "-Dscheduler-mode=reactive",
        ],
        ..Given::default()
    };
    let config = load(given).unwrap().config;
    assert!(config.is_reactive());
    assert_eq!(config.restart_strategy(), RestartStrategy::FixedDelay);
    assert_eq!(FIXED_DELAY_ATTEMPTS.get(&config), 100_000);
}

#[test]
fn reactive_mode_changes_defaults_only() {
    let plain = Config::default();
    assert_eq!(RESOURCE_WAIT_TIMEOUT.get(&plain), Some(Duration::from_secs(300)));
    assert_eq!(MAX_PARALLELISM.get(&plain), 4096);

    let reactive = Config::from_pairs([("scheduler-mode", "REACTIVE")]).unwrap();
    assert_eq!(RESOURCE_WAIT_TIMEOUT.get(&reactive), None);
    assert_eq!(RESOURCE_STABILIZATION_TIMEOUT.get(&reactive), Duration::ZERO);
    assert_eq!(EXECUTING_COOLDOWN_AFTER_RESCALING.get(&reactive), Duration::ZERO);
    assert_eq!(EXECUTING_RESOURCE_STABILIZATION_TIMEOUT.get(&reactive), Duration::ZERO);
    assert_eq!(MAX_PARALLELISM.get(&reactive), 32768);

    let none = Config::from_pairs([("scheduler-mode", "none")]).unwrap();
    assert!(!none.is_reactive());
    assert_eq!(RESOURCE_WAIT_TIMEOUT.get(&none), Some(Duration::from_secs(300)));

    let pairs = [("scheduler-mode", "reactive"), ("pipeline.max-parallelism", "128")];
    assert_eq!(MAX_PARALLELISM.get(&Config::from_pairs(pairs).unwrap()), 128);
}

#[test]
fn derived_values() {
    let delay = |pairs: &[(&str, &str)]| {
        Config::from_pairs(pairs.iter().copied()).unwrap().rescale_trigger_max_delay()
    };
    assert_eq!(delay(&[]), Duration::from_secs(3));
    assert_eq!(delay(&[("execution.checkpointing.interval", "0")]), Duration::ZERO);
    assert_eq!(
        delay(&[("jobmanager.adaptive-scheduler.max-delay-for-scale-trigger", "7 s")]),
        Duration::from_secs(7),
    );
    let strategy = |interval| {
        Config::from_pairs([("execution.checkpointing.interval", interval)]).unwrap().restart_strategy()
    };
    assert_eq!(strategy("10 s"), RestartStrategy::ExponentialDelay);
    assert_eq!(strategy("none"), RestartStrategy::None);
    let given = yaml("jobmanager.rpc.address: jm");
    check(given, "rest.address", "jm (default)");
}

#[test]
fn absence() {
    let config = load(yaml("taskmanager.memory.process.size:\ns3.region: none\n")).unwrap().config;
    assert_eq!(TASK_MANAGER_MEMORY.get(&config), None);
    assert_eq!(S3_REGION.get(&config), None);
    let forever = load(yaml("jobmanager.adaptive-scheduler.resource-wait-timeout: -1 s")).unwrap().config;
    assert_eq!(RESOURCE_WAIT_TIMEOUT.get(&forever), None);
    assert_eq!(
        config.effective().find(|option| option.key == "s3.region").unwrap().value.as_deref(),
        Some("none")
    );
}

#[test]
fn unknown_keys() {
    check_error(
        yaml("\nexecution.checkpointing:\n  intervall: 1 s\n"),
        "unknown option `execution.checkpointing.intervall` (conf/config.yaml:3); did you mean \
         `execution.checkpointing.interval`?",
    );
    check_error(
        Given { arguments: &["taskmanager.memory.proces.size=1g"], ..Given::default() },
        "unknown option `taskmanager.memory.proces.size` (-D); did you mean `taskmanager.memory.process.size`?",
    );
    check_error(
        Given { environment: "zebra: 1", ..Given::default() },
        "unknown option `zebra` (environment variable REFLOW_PROPERTIES, line 1)",
    );
}

#[test]
fn bad_values() {
    check_error(
        yaml("heartbeat.timeout: 8 sheep"),
        "invalid value `8 sheep` for `heartbeat.timeout` (conf/config.yaml:1); expected a duration such as \
         `500 ms`, `1 s`, `10 min`, `PT1M30S`, or a plain number of milliseconds",
    );
    check_error(
        yaml("pipeline.max-parallelism: 0"),
        "invalid value `0` for `pipeline.max-parallelism` (conf/config.yaml:1); expected a whole number from 1 to \
         32768",
    );
    check_error(
        yaml("restart-strategy: sometimes"),
        "invalid value `sometimes` for `restart-strategy` (conf/config.yaml:1); expected one of `none`, `off`, \
         `disable`, `fixed-delay`, `fixeddelay`, `exponential-delay`, `exponentialdelay`, `failure-rate`, \
         `failurerate`",
    );
    check_error(
        yaml("rest.port:"),
        "invalid value `` for `rest.port` (conf/config.yaml:1); expected a whole number from 0 to 65535",
    );
}

#[test]
fn malformed_sources() {
    check_error(
        Given { arguments: &["rest.port"], ..Given::default() },
        "`rest.port` (-D) is not an option; write `-Dkey=value`",
    );
    check_error(
        Given { environment: "rest.port 8081", ..Given::default() },
        "`rest.port 8081` (environment variable REFLOW_PROPERTIES, line 1) is not an option; write `key: value`",
    );
    let missing = Loader::new().file(Path::new("no/such/config.yaml")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the configuration file no/such/config.yaml: "), "{missing}");
}

#[test]
fn flink_keys_without_a_meaning() {
    check_warning(
        "env.java.opts.all: -Xss1m",
        "ignored `env.java.opts.all` (conf/config.yaml:1): there is no JVM to tune",
    );
    check_warning("state.backend.type: HashMap", "");
    check_warning("execution.state-recovery.claim-mode: NO_CLAIM", "");
    check_error(
        yaml("state.backend.type: rocksdb"),
        "`state.backend.type: rocksdb` (conf/config.yaml:1) is an option of Flink that Reflow does not have: \
         state is kept in memory",
    );
    check_error(
        yaml("security.ssl.enabled: true"),
        "`security.ssl.enabled: true` (conf/config.yaml:1) is an option of Flink that Reflow does not have: \
         connections are encrypted by security.ssl.internal.enabled and security.ssl.rest.enabled, with PEM \
         files; REST asks for tokens by rest.authentication.file",
    );
}

#[test]
fn contradictions() {
    check_error(
        yaml("security.ssl.rest.authentication-enabled: true"),
        "`security.ssl.rest.authentication-enabled` is true, but `security.ssl.rest.enabled` is false: clients show \
         certificates only with TLS",
    );
    check_error(
        yaml("heartbeat.timeout: 500 ms"),
        "`heartbeat.timeout` is 500 ms, but `heartbeat.interval` is 1 s: the timeout must be longer than the interval",
    );
    check_error(
        yaml("s3.secret-key: hunter2"),
        "`s3.access-key` is not set, but `s3.secret-key` is set: set both or neither",
    );
    check_error(
        yaml("jobmanager.termination: hand-over\njobmanager.adoption.timeout: 0 s\n"),
        "`jobmanager.termination` is hand-over, but `jobmanager.adoption.timeout` is 0 s: \
         tasks must process on without a JobManager, or there is nothing to hand over",
    );
    check_error(
        yaml("high-availability.type: storage\nhigh-availability.storage.lease-duration: 0 s\n"),
        "`high-availability.storage.lease-duration` is 0 s, but `high-availability.type` is storage: \
         a lease in storage must last for 300 ms at least, or it cannot be renewed in time",
    );
    check_error(
        yaml(
            "high-availability.type: kubernetes\nkubernetes.cluster-id: orders\n\
             high-availability.kubernetes.leader-election.lease-duration: 1500 ms\n",
        ),
        "`high-availability.kubernetes.leader-election.lease-duration` is 1500 ms, but `high-availability.type` is \
         kubernetes: a Lease of Kubernetes lasts for whole seconds",
    );
    check_error(
        yaml(
            "high-availability.type: kubernetes\nkubernetes.cluster-id: orders\n\
             high-availability.kubernetes.leader-election.retry-period: 2 s\n",
        ),
        "`high-availability.kubernetes.leader-election.retry-period` is 2 s, but \
         `high-availability.kubernetes.leader-election.lease-duration` is 3 s: the Lease must be read twice at least while \
         it lasts",
    );
    check_error(
        yaml("high-availability.type: kubernetes\nkubernetes.cluster-id: Orders\n"),
        "`kubernetes.cluster-id` is Orders, but `high-availability.type` is kubernetes: the Lease needs a name: at most 45 \
         lower-case letters, digits and `-`, which begin with a letter and do not end with `-`",
    );
    check_error(
        yaml(
            "job.autoscaler.enabled: true\njob.autoscaler.task-managers.provider: kubernetes\n\
             job.autoscaler.task-managers.scale-target: job/x\n",
        ),
        "`job.autoscaler.task-managers.scale-target` is job/x, but `job.autoscaler.task-managers.provider` is kubernetes: \
         name the TaskManagers' workload, `deployment/NAME` or `statefulset/NAME`",
    );
}

#[test]
fn all_problems_are_reported() {
    check_error(
        yaml("rest.prt: 1\nparallelism.default: many\n"),
        "2 problems in the configuration:\
         \n  - unknown option `rest.prt` (conf/config.yaml:1); did you mean `rest.port`?\
         \n  - invalid value `many` for `parallelism.default` (conf/config.yaml:2); expected a whole number from 1 to \
         32768",
    );
}

#[test]
fn secrets_are_not_taken_from_arguments() {
    let arguments = &["-Ds3.access-key=id", "-Ds3.secret.key=hunter2"];
    check_error(
        Given { arguments, ..Given::default() },
        "`s3.secret.key` is a secret, and arguments are visible to every user of the machine: set it in config.yaml, \
         or as a line `s3.secret.key: …` of the environment variable REFLOW_PROPERTIES",
    );
}

#[test]
fn secrets_are_not_shown_but_handed_on() {
    let config = load(yaml("s3.access-key: id\ns3.secret-key: hunter2\n")).unwrap().config;
    let shown: Vec<_> = config.effective().filter_map(|option| option.value).collect();
    assert!(!shown.iter().any(|value| value.contains("hunter2")));
    assert!(!format!("{config:?}").contains("hunter2"));
    let again = Loader::new().properties(&config.to_properties()).unwrap().load().unwrap().config;
    assert_eq!(S3_SECRET_KEY.get(&again).as_deref(), Some("hunter2"));
}
