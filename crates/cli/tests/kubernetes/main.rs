//! JobManagers with a lease in Kubernetes, as real processes with a real API server. `cargo xtask kubernetes` builds that and
//! runs these tests.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../../../kubernetes/tests/api_server/control_plane.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod control_plane;
#[path = "../processes/distribution.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod distribution;
mod external_metrics;
mod scaled;

use control_plane::ControlPlane;
use distribution::{Distribution, JOB, free_port, lines, undisturbed, until};
use serde_json::{Value, json};
use std::fs;

const NAMESPACE: &str = "shop";
const LEASE: &str = "orders-leader";

/// Two JobManagers with two TaskManagers, and the API server that they ask.
struct Cluster {
    plane: ControlPlane,
    d: Distribution,
    job: String,
    rpc: [u16; 2],
    rest: [u16; 2],
    /// The files of the service account.
    _account: tempfile::TempDir,
}

impl Cluster {
    /// The first JobManager leads, and the second one stands by.
    fn start(events: u64) -> Option<Self> {
        let plane = ControlPlane::start()?;
        let account = tempfile::tempdir().unwrap();
        let (config, token) = (account.path().join("kubeconfig"), account.path().join("token"));
        fs::write(&token, plane.create_service_account(NAMESPACE)).unwrap();
        plane.write_kubeconfig(&config, &token, NAMESPACE);
        let rpc = [free_port(), free_port()];
        let d = Distribution::lay_out(&format!(
            "scheduler-mode: reactive\nhigh-availability.type: kubernetes\nkubernetes.cluster-id: orders\n\
             kubernetes.config.file: {}\nhigh-availability.kubernetes.leader-election.lease-duration: 4 s\n\
             high-availability.jobmanager.addresses: ['localhost:{}', 'localhost:{}']\n",
            config.display(),
            rpc[0],
            rpc[1]
        ));
        let job = format!("-j {JOB} --events {events} --rate 400 --output out");
        let rest = [d.rest, free_port()];
        let cluster = Self { plane, d, job, rpc, rest, _account: account };
        // Without rights nobody leads, and it says what is missing.
        cluster.start_job_manager(0);
        cluster.wait_for_log("no right to get leases.coordination.k8s.io in the namespace shop", 1);
        cluster.grant();
        cluster.d.run("./bin/taskmanager.sh start");
        cluster.d.run("./bin/taskmanager.sh start");
        cluster.d.wait_for_parallelism(2);
        cluster.start_job_manager(1);
        cluster.wait_for_log("another JobManager leads the job: standing by", 1);
        cluster.d.wait_for_checkpoints(2);
        Some(cluster)
    }

    fn grant(&self) {
        self.plane.grant(NAMESPACE, LEASE, &["get", "update"]);
        self.plane.grant_creation(NAMESPACE);
    }

    fn start_job_manager(&self, index: usize) {
        self.d.run(&format!(
            "./bin/standalone-job.sh start -Djobmanager.rpc.port={} -Drest.port={} {}",
            self.rpc[index], self.rest[index], self.job
        ));
    }

    fn count(&self, text: &str) -> usize {
        self.d.log("standalonejob").matches(text).count()
    }

    fn wait_for_log(&self, text: &str, count: usize) {
        until(&format!("{count} times '{text}'"), || (self.count(text) >= count).then_some(()));
    }

    fn adoptions(&self) -> usize {
        self.count("the attempt of the former JobManager goes on")
    }

    fn wait_for_adoptions(&self, count: usize) {
        until(&format!("adoption {count}"), || (self.adoptions() == count).then_some(()));
    }

    fn spec(&self) -> Value {
        self.plane.lease(NAMESPACE, LEASE)["spec"].clone()
    }

    fn holder(&self) -> String {
        self.spec()["holderIdentity"].as_str().unwrap().to_owned()
    }

    fn stands_by(&self, index: usize) -> Option<()> {
        let shown = self.d.try_run(&format!("./bin/reflow leader -m localhost:{}", self.rest[index]));
        String::from_utf8_lossy(&shown.stdout).contains("stands by").then_some(())
    }
}

#[test]
fn a_standby_takes_over_when_the_leader_is_killed_or_hands_over() {
    const EVENTS: u64 = 24_000;
    let Some(mut c) = Cluster::start(EVENTS) else { return };
    let first = c.holder();
    assert_eq!(c.spec()["leaseTransitions"], 0);

    c.d.run(&format!("kill -9 {}", c.d.pids("standalonejob")[0]));
    c.d.rest = c.rest[1];
    c.wait_for_adoptions(1);
    c.d.wait_for_checkpoints(1);
    assert!(c.holder() != first && c.spec()["leaseTransitions"] == 1, "{}", c.spec());

    c.start_job_manager(0);
    until("the first one to stand by", || c.stands_by(0));
    c.d.run(&format!("./bin/reflow leader transfer -m localhost:{}", c.rest[1]));
    c.d.rest = c.rest[0];
    c.wait_for_adoptions(2);
    until("the second one to stand by", || c.stands_by(1));
    let causes = c.d.run("./bin/reflow leader");
    assert!(causes.contains("HANDED_OVER") && causes.contains("LEASE_EXPIRED"), "{causes}");

    c.d.run(&format!("kill {}", c.d.pids("standalonejob").last().unwrap()));
    c.d.rest = c.rest[1];
    c.wait_for_adoptions(3);
    assert!(!c.d.log("standalonejob").contains("suspending the job"), "it is handed over");
    let d = &c.d;
    d.wait_for_parallelism(2);
    assert_eq!(d.checkpoints().unwrap().restored, 0, "nothing was restored");
    d.expect_no_failure();
    d.wait_for_log("standalonejob", "the job has ended");
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&d.home.path().join("out")), undisturbed(EVENTS, &d.home.path().join("undisturbed")));
}

#[test]
fn a_leader_leads_on_when_the_api_fails_it() {
    let Some(mut c) = Cluster::start(10_000_000) else { return };
    let leader = c.holder();

    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}");
    let (status, _) = c.plane.request("PATCH", &path, &json!({"spec": {"holderIdentity": "thief"}}));
    assert_eq!(status, 200);
    until("the lease to be taken back", || (c.holder() == leader).then_some(()));
    c.wait_for_log("the lease is renewed again", 1);

    c.plane.revoke(NAMESPACE);
    c.wait_for_log("no right to update leases.coordination.k8s.io in the namespace shop", 1);
    c.d.wait_for_checkpoints(2);
    c.grant();
    c.wait_for_log("the lease is renewed again", 2);

    c.plane.stop_api_server();
    c.wait_for_log("cannot be reached", 1);
    c.d.wait_for_checkpoints(3);
    c.plane.start_api_server();
    c.wait_for_log("the lease is renewed again", 3);
    assert_eq!((c.holder(), c.adoptions()), (leader, 0));
    c.d.expect_no_failure();
}
