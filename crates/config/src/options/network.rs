//! Options of addresses, ports and failure detection.

use std::path::PathBuf;
use std::time::Duration;

use super::section::{Section, section};
use crate::choice::{HighAvailability, Termination};
use crate::option::{ConfigOption, option};

section! { "Network and failure detection" {
    /// The host at which TaskManagers reach the JobManager.
    JOB_MANAGER_ADDRESS: String = option("jobmanager.rpc.address").default("localhost");

    /// The port at which TaskManagers reach the JobManager.
    JOB_MANAGER_PORT: u16 = option("jobmanager.rpc.port").default("6123");

    /// The interface that the JobManager listens on. By default only this machine can connect; with `0.0.0.0` all
    /// machines can.
    JOB_MANAGER_BIND_HOST: String = option("jobmanager.bind-host").default("localhost");

    /// The host at which others reach this TaskManager. Unset: the interface that it listens on. If it listens on
    /// all interfaces, the address from which it connects to the JobManager, or the machine's name if that is a
    /// loopback address.
    TASK_MANAGER_HOST: Option<String> = option("taskmanager.host");

    /// The interface that a TaskManager listens on. By default only this machine can connect; with `0.0.0.0` all
    /// machines can.
    TASK_MANAGER_BIND_HOST: String = option("taskmanager.bind-host").default("localhost");

    /// The port for records between TaskManagers. 0: any free one.
    TASK_MANAGER_DATA_PORT: u16 = option("taskmanager.data.port").default("0");

    /// How long a connection between two processes may bring nothing, not even a sign of life, before it counts as
    /// closed. This notices frozen machines and cut cables. The I/O threads give signs of life, five in this time, so
    /// busy slots do not delay them. Set the same value for all processes. `0`: connections bring no signs of life, and
    /// only `heartbeat.timeout` counts.
    HEARTBEAT_SILENCE_TIMEOUT: Duration = option("heartbeat.silence-timeout").default("2 s");

    /// Whether connections between processes are encrypted, and each side shows a certificate that `security.ssl.internal.ca`
    /// has signed. All processes of a cluster need the same value.
    SECURITY_SSL_INTERNAL_ENABLED: bool = option("security.ssl.internal.enabled").default("false");

    /// The PEM file of this machine's certificate. A new content counts for new connections.
    SECURITY_SSL_INTERNAL_CERTIFICATE: Option<PathBuf> = option("security.ssl.internal.certificate");

    /// The PEM file of the certificate's private key, without a password.
    SECURITY_SSL_INTERNAL_KEY: Option<PathBuf> = option("security.ssl.internal.key");

    /// The PEM file of the cluster's own certificate authority. Everyone with a certificate of it can join the cluster.
    SECURITY_SSL_INTERNAL_CA: Option<PathBuf> = option("security.ssl.internal.ca");

    /// The time between two heartbeats of a JobManager and a TaskManager.
    HEARTBEAT_INTERVAL: Duration = option("heartbeat.interval").default("1 s");

    /// How long a process may send no heartbeat before it counts as lost. A closed connection counts at once, and a
    /// silent one after `heartbeat.silence-timeout`, so this is for processes that run and do not answer.
    HEARTBEAT_TIMEOUT: Duration = option("heartbeat.timeout").default("50 s");

    /// How long tasks process on without a JobManager. They commit no output meanwhile, and a JobManager that is started
    /// takes them over. After that time they end, and the job resumes from its last checkpoint. `0`: they end with their
    /// JobManager.
    ADOPTION_TIMEOUT: Duration = option("jobmanager.adoption.timeout").default("2 min");

    /// What SIGTERM means to a JobManager. `suspend`: it takes a checkpoint, ends the tasks, and its next start resumes the
    /// job. `hand-over`: it ends at once, the tasks process on, and the next JobManager takes them over; so a pod that is
    /// evicted or replaced does not interrupt the job. `hand-over` needs `jobmanager.adoption.timeout`.
    JOB_MANAGER_TERMINATION: Termination = option("jobmanager.termination").default("suspend");

    /// Which of several JobManagers of a job leads. `none`: the one that was started last, so start only one. `storage`: one
    /// leads and renews a lease in `execution.checkpointing.dir`; each other one stands by, and takes the job over when the
    /// lease is not renewed any more. `kubernetes`: the same, with the lease in an object of the Kubernetes API, the Lease
    /// `<kubernetes.cluster-id>-leader`.
    HIGH_AVAILABILITY: HighAvailability =
        option("high-availability.type").aliases(&["high-availability"]).default("none");

    /// How long a lease may not be renewed before a standby takes the job over; half as long if TaskManagers have lost the leader
    /// as well. The leader renews it three times in this time. Too short a time changes the leader when storage is slow, which delays checkpoints.
    LEASE_DURATION: Duration = option("high-availability.storage.lease-duration").default("3 s");

    /// As `high-availability.storage.lease-duration`, for a Lease of Kubernetes. Whole seconds, because a Lease has no others.
    KUBERNETES_LEASE_DURATION: Duration =
        option("high-availability.kubernetes.leader-election.lease-duration").default("3 s");

    /// How often a standby reads the Lease.
    KUBERNETES_RETRY_PERIOD: Duration =
        option("high-availability.kubernetes.leader-election.retry-period").default("500 ms");

    /// The job's name in Kubernetes, with which the name of its Lease begins. At most 45 lower-case letters, digits and `-`.
    KUBERNETES_CLUSTER_ID: Option<String> = option("kubernetes.cluster-id");

    /// The namespace of the Lease, of the workload that the autoscaler scales, and of external metrics. Unset: that of this pod,
    /// or of the context of the kubeconfig, or `default`; external metrics are then served in all namespaces.
    KUBERNETES_NAMESPACE: Option<String> = option("kubernetes.namespace");

    /// The kubeconfig by which this process reaches the API server. Unset: in a pod, its service account; otherwise
    /// `$KUBECONFIG` or `~/.kube/config`.
    KUBERNETES_CONFIG_FILE: Option<PathBuf> = option("kubernetes.config.file");

    /// The context of the kubeconfig. Unset: its current one.
    KUBERNETES_CONTEXT: Option<String> = option("kubernetes.context");

    /// Whether the JobManager serves `external.metrics.k8s.io` to the API server of Kubernetes, so that an HPA scales by the
    /// metrics of the job without Prometheus and its adapter. It has a port of its own, always with TLS.
    KUBERNETES_EXTERNAL_METRICS_ENABLED: bool = option("kubernetes.external-metrics.enabled").default("false");

    /// The port of external metrics, on the interface of `rest.bind-address`.
    KUBERNETES_EXTERNAL_METRICS_PORT: u16 = option("kubernetes.external-metrics.port").default("8443");

    /// The PEM file of the certificate of external metrics, for the name `SERVICE.NAMESPACE.svc` of the Service in the
    /// APIService. A new content counts for new connections.
    KUBERNETES_EXTERNAL_METRICS_CERTIFICATE: Option<PathBuf> = option("kubernetes.external-metrics.certificate");

    /// The PEM file of that certificate's private key.
    KUBERNETES_EXTERNAL_METRICS_KEY: Option<PathBuf> = option("kubernetes.external-metrics.key");

    /// The PEM file of the authorities that sign the certificate which the API server shows to servers of its aggregation layer.
    /// Only who has such a certificate can then read external metrics. Unset: everyone who reaches the port.
    KUBERNETES_EXTERNAL_METRICS_CLIENT_CA: Option<PathBuf> = option("kubernetes.external-metrics.client-ca");

    /// The JobManagers of which one leads, such as `[jm-1, jm-2]`, or with ports of their own, `jm-1:6124`. TaskManagers and
    /// executors try them in turn. Empty: the one at `jobmanager.rpc.address`.
    JOB_MANAGERS: Vec<String> = option("high-availability.jobmanager.addresses").default("");

    /// The name by which a JobManager finds its job in the checkpoint storage.
    CLUSTER_ID: String = option("high-availability.cluster-id").default("default");
}}
