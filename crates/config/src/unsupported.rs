//! Keys that Flink has and Reflow does not. Each one is ignored with a warning, accepted or refused.
//!
//! A key that only tunes the JVM or Flink's internals is ignored with a warning. A key that would change the
//! meaning, the guarantees or the safety of a job is refused. If Reflow always works as one of the key's values
//! says, that value is accepted silently.

/// What happens to a key of Flink that is no option of Reflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// Ignored, with a warning.
    Ignored,
    /// Refused unless it has one of these values, which describe how Reflow always works.
    BuiltIn(&'static [&'static str]),
    /// Refused.
    Refused,
}

/// One key, or all keys below one, and what happens to it.
#[derive(Debug)]
pub struct Unsupported {
    /// The key; if it ends with `.`, every key that begins with it.
    pub key: &'static str,
    /// What happens to it.
    pub stance: Stance,
    /// The reason, and what to use instead.
    pub reason: &'static str,
}

/// The entry for `key`: an exact one, or else that of the longest prefix. `None` if Flink is not known to have the
/// key.
pub fn find(key: &str) -> Option<&'static Unsupported> {
    let fits =
        |entry: &&Unsupported| entry.key == key || (entry.key.ends_with('.') && key.starts_with(entry.key));
    TABLE.iter().filter(fits).max_by_key(|entry| entry.key.len())
}

const JVM: &str = "there is no JVM to tune";
const SCHEDULER: &str = "Reflow's scheduler has no such setting";
const BATCHES: &str = "a batch is sent when it is full or its source pauses, without settings";
const MEMORY: &str = "the only memory limit is taskmanager.memory.process.size";
const ALIGNED: &str = "checkpoints are always aligned";
const INCREMENTAL: &str = "checkpoints are always incremental, and the size of objects needs no settings";
const LOCAL: &str = "state is retained in memory; see execution.state-recovery.from-local";
const LEADER: &str = "high-availability.type: storage uses the checkpoint storage, and kubernetes a Lease besides; both need nothing else";
const SECURITY: &str = "connections are encrypted by security.ssl.internal.enabled and security.ssl.rest.enabled, with PEM files; REST asks for tokens by rest.authentication.file";
const CLUSTERS: &str = "only standalone clusters are supported; see docs/kubernetes.md";
const RENEWAL: &str =
    "a leader that cannot renew its lease leads on, because epochs in the checkpoint storage say who leads";

/// A row whose key is ignored with a warning.
const fn ignored(key: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { key, stance: Stance::Ignored, reason }
}

/// A row whose key is refused.
const fn refused(key: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { key, stance: Stance::Refused, reason }
}

/// A row whose key may have only the values that describe how Reflow works.
const fn built_in(key: &'static str, values: &'static [&'static str], reason: &'static str) -> Unsupported {
    Unsupported { key, stance: Stance::BuiltIn(values), reason }
}

static TABLE: &[Unsupported] = &[
    // What tunes the JVM, the RPC library or the class loader.
    ignored("akka.", JVM),
    ignored("classloader.", JVM),
    ignored("env.hadoop.conf.dir", JVM),
    ignored("env.hbase.conf.dir", JVM),
    ignored("env.java.", JVM),
    ignored("env.log.level", "set RUST_LOG instead"),
    ignored("env.ssh.opts", "the scripts use no ssh"),
    ignored("env.stdout-err.redirect-to-file", "the .out file is always written"),
    ignored("jobmanager.memory.", "the JobManager's memory has no limit"),
    ignored("jobmanager.future-pool.size", JVM),
    ignored("jobmanager.io-pool.size", JVM),
    ignored("pekko.", JVM),
    ignored("taskmanager.jvm-exit-on-oom", "a task executor that runs out of memory always ends"),
    ignored("taskmanager.memory.", MEMORY),
    // What tunes inner workings that are different here.
    ignored("blob.", "executables are fetched from the port of REST"),
    ignored("cluster.", SCHEDULER),
    ignored("execution.attached", "use start-foreground of the scripts"),
    ignored("execution.buffer-timeout", BATCHES),
    ignored("execution.buffer-timeout.", BATCHES),
    ignored("execution.checkpointing.aligned-checkpoint-timeout", ALIGNED),
    ignored("execution.checkpointing.cleaner.parallel-mode", INCREMENTAL),
    ignored(
        "execution.checkpointing.create-subdir",
        "directories contain the job's name, so jobs can share a directory",
    ),
    ignored("execution.checkpointing.data-inline-threshold", INCREMENTAL),
    ignored("execution.checkpointing.file-merging.", INCREMENTAL),
    ignored("execution.checkpointing.incremental", INCREMENTAL),
    ignored("execution.checkpointing.snapshot-compression", INCREMENTAL),
    ignored("execution.checkpointing.write-buffer-size", INCREMENTAL),
    ignored("execution.checkpointing.local-backup.", LOCAL),
    ignored("high-availability.kubernetes.leader-election.renew-deadline", RENEWAL),
    ignored("heartbeat.rpc-failure-threshold", "a closed connection counts at once"),
    ignored("jobmanager.adaptive-scheduler.min-parallelism-increase", "Flink no longer uses it either"),
    ignored(
        "jobmanager.adaptive-scheduler.prefer-minimal-taskmanagers",
        "slots are chosen so that the fewest key groups move",
    ),
    ignored("jobmanager.adaptive-scheduler.scaling-interval.max", "Flink no longer uses it either"),
    ignored("jobmanager.execution.attempts-history-size", SCHEDULER),
    ignored(
        "metrics.",
        "the JobManager serves metrics for Prometheus at /metrics of rest.port, without an option",
    ),
    ignored("pipeline.auto-watermark-interval", "watermarks are generated with the records"),
    ignored("pipeline.generic-types", "the compiler knows all types"),
    ignored("pipeline.name", "the job function names the job: env.name(…)"),
    ignored("pipeline.object-reuse", "records are moved, never copied"),
    ignored("process.", "the directories are io.tmp.dirs and execution.checkpointing.dir"),
    ignored("resourcemanager.", SCHEDULER),
    ignored("slot.idle.timeout", "a TaskManager's slots stay with its job"),
    ignored("slot.request.", SCHEDULER),
    ignored("slotmanager.", SCHEDULER),
    ignored("state.backend.incremental", INCREMENTAL),
    ignored("state.storage.", INCREMENTAL),
    ignored("task.cancellation.interval", "subtasks stop at the end of their step"),
    ignored("task.cancellation.timers.timeout", "subtasks stop at the end of their step"),
    ignored("taskmanager.log.path", "see env.log.dir"),
    ignored("taskmanager.network.", BATCHES),
    ignored("taskmanager.runtime.", BATCHES),
    ignored("taskmanager.slot.timeout", SCHEDULER),
    ignored("web.log.path", "see env.log.dir"),
    ignored("web.refresh-interval", "the web interface sends requests each second"),
    ignored("web.submit.enable", "the job is the JobManager's own executable"),
    ignored("web.timeout", SCHEDULER),
    ignored("web.tmpdir", "the web interface is in the executable"),
    ignored("web.upload.dir", "the job is the JobManager's own executable"),
    // What has one of Flink's values built in.
    built_in(
        "execution.checkpointing.checkpoints-after-tasks-finish",
        &["true"],
        "checkpoints always continue after tasks have finished",
    ),
    built_in(
        "execution.checkpointing.externalized-checkpoint-retention",
        &["retain_on_cancellation"],
        "checkpoints are kept by number, see execution.checkpointing.num-retained",
    ),
    built_in(
        "execution.checkpointing.max-concurrent-checkpoints",
        &["1"],
        "one checkpoint is taken at a time",
    ),
    built_in(
        "execution.checkpointing.storage",
        &["filesystem"],
        "checkpoints go to execution.checkpointing.dir",
    ),
    built_in("execution.checkpointing.unaligned", &["false"], ALIGNED),
    built_in("execution.checkpointing.unaligned.enabled", &["false"], ALIGNED),
    built_in("execution.checkpointing.unaligned.forced", &["false"], ALIGNED),
    built_in("execution.runtime-mode", &["streaming"], "bounded jobs run in streaming mode"),
    built_in(
        "execution.savepoint-restore-mode",
        &["no_claim"],
        "the savepoint from which a job starts is never deleted",
    ),
    built_in(
        "execution.state-recovery.claim-mode",
        &["no_claim"],
        "the savepoint from which a job starts is never deleted",
    ),
    built_in("pipeline.operator-chaining", &["true"], "operators are always chained where possible"),
    built_in("pipeline.operator-chaining.enabled", &["true"], "operators are always chained where possible"),
    built_in("rest.bind-port", &["8081"], "set rest.port"),
    built_in("state.backend", &["hashmap"], "state is kept in memory"),
    built_in("state.backend.type", &["hashmap"], "state is kept in memory"),
    built_in("state.checkpoint-storage", &["filesystem"], "checkpoints go to execution.checkpointing.dir"),
    built_in("taskmanager.load-balance.mode", &["none"], SCHEDULER),
    // What would change what a job means, or how safe it is.
    refused("execution.batch.", "bounded jobs run in streaming mode"),
    refused("execution.checkpointing.interval-during-backlog", "the interval is always the same"),
    refused("fs.", "object stores are set by s3.*"),
    refused("high-availability.", LEADER),
    refused("job.autoscaler.", "Reflow's autoscaler, enabled by job.autoscaler.enabled, has no such setting"),
    refused("jobmanager.rpc.bind-port", "set jobmanager.rpc.port"),
    refused("kubernetes.", CLUSTERS),
    refused("pipeline.jobvertex-parallelism-overrides", "set the parallelism of a running job by REST"),
    refused("security.", SECURITY),
    refused("state.backend.changelog.", "state is kept in memory"),
    refused("state.backend.forst.", "state is kept in memory"),
    refused("state.backend.rocksdb.", "state is kept in memory"),
    refused("state.changelog.", "state is kept in memory"),
    refused("table.", "Reflow has no Table API"),
    refused("taskmanager.resource-id", "TaskManagers choose their own ids, which are new with each start"),
    refused(
        "taskmanager.rpc.port",
        "TaskManagers connect to the JobManager and need no port of their own for it",
    ),
    refused("yarn.", CLUSTERS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expected: Option<Stance>) {
        assert_eq!(find(key).map(|entry| entry.stance), expected, "{key}");
    }

    #[test]
    fn stances() {
        check("env.java.opts.taskmanager", Some(Stance::Ignored));
        check("taskmanager.memory.managed.fraction", Some(Stance::Ignored));
        check("security.ssl.rest.keystore", Some(Stance::Refused));
        check("state.backend.type", Some(Stance::BuiltIn(&["hashmap"])));
        check("state.backend.rocksdb.block.cache-size", Some(Stance::Refused));
        check("no.such.thing", None);
    }
}
