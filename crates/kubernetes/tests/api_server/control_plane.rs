//! etcd and kube-apiserver, which `cargo xtask kubernetes` has built, with the rights and objects of a test.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reflow_kubernetes::{Access, Api};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The variable that names the directory of the servers.
const SERVERS: &str = "REFLOW_TEST_KUBERNETES";
const RIGHTS: &str = "/apis/rbac.authorization.k8s.io/v1";
/// A token that may do everything.
const ADMIN: &str = "admin-token";

pub(crate) struct ControlPlane {
    servers: PathBuf,
    directory: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
    etcd_port: u16,
    port: u16,
    etcd: Child,
    api_server: Option<Child>,
    runtime: tokio::runtime::Runtime,
}

impl ControlPlane {
    /// Starts it. `None` if it is not there, which this says.
    pub(crate) fn start() -> Option<Self> {
        let Some(servers) = std::env::var_os(SERVERS).map(PathBuf::from) else {
            eprintln!("left out: `cargo xtask kubernetes` runs this test");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let (etcd_port, peer_port, port) = (free_port(), free_port(), free_port());
        let authority = write_certificates(directory.path());
        fs::write(directory.path().join("tokens.csv"), format!("{ADMIN},admin,1,system:masters\n")).unwrap();
        let mut etcd = Command::new(servers.join("etcd"));
        etcd.arg(format!("--data-dir={}", directory.path().join("etcd").display()));
        etcd.arg(format!("--listen-client-urls=http://127.0.0.1:{etcd_port}"));
        etcd.arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd_port}"));
        etcd.arg(format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"));
        etcd.arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"));
        etcd.arg(format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"));
        etcd.arg("--unsafe-no-fsync");
        let etcd = spawn(&mut etcd, &directory.path().join("etcd.log"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut plane =
            Self { servers, directory, authority, etcd_port, port, etcd, api_server: None, runtime };
        plane.start_api_server();
        Some(plane)
    }

    /// Starts the API server, at the same address as before.
    pub(crate) fn start_api_server(&mut self) {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut command = Command::new(self.servers.join("kube-apiserver"));
        command.arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port));
        command.arg(format!("--secure-port={}", self.port));
        command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
        command.arg(format!("--tls-cert-file={}", file("server.crt")));
        command.arg(format!("--tls-private-key-file={}", file("server.key")));
        command.arg(format!("--token-auth-file={}", file("tokens.csv")));
        command.arg("--service-account-issuer=https://kubernetes.default.svc");
        command.arg(format!("--service-account-key-file={}", file("account.pub")));
        command.arg(format!("--service-account-signing-key-file={}", file("account.key")));
        command.args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"]);
        // How it shows itself to servers of its aggregation layer.
        command.arg(format!("--requestheader-client-ca-file={}", file("ca.crt")));
        command
            .args(["--requestheader-allowed-names=proxy", "--requestheader-username-headers=X-Remote-User"]);
        command.arg(format!("--proxy-client-cert-file={}", file("proxy.crt")));
        command.arg(format!("--proxy-client-key-file={}", file("proxy.key")));
        command.args(["--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount"]);
        self.api_server = Some(spawn(&mut command, &self.directory.path().join("api-server.log")));
        self.wait_until_ready();
    }

    pub(crate) fn pause(&self, time: Duration) {
        let (_never, pause) = mpsc::channel::<()>();
        let _ = pause.recv_timeout(time);
    }

    fn wait_until_ready(&mut self) {
        let api = self.api(ADMIN);
        for _ in 0..1200 {
            let ready = self.runtime.block_on(api.exchange(hyper::Method::GET, "/readyz", None));
            // Roles that Kubernetes has by itself exist only then.
            if ready.is_ok_and(|(status, _)| status.is_success()) {
                return;
            }
            let ended = self.api_server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            self.pause(Duration::from_millis(100));
        }
        panic!("the API server is not ready after two minutes: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("api-server.log")).unwrap_or_default()
    }

    /// A program that was built with the servers.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.servers.join(name))
    }

    /// Kills the API server. Its objects stay in etcd.
    pub(crate) fn stop_api_server(&mut self) {
        if let Some(mut server) = self.api_server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Writes a kubeconfig of someone with the token in a file.
    pub(crate) fn write_kubeconfig(&self, path: &Path, token_file: &Path, namespace: &str) {
        let config = json!({
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority": self.directory.path().join("ca.crt"),
            }}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "users": [{"name": "test", "user": {"tokenFile": token_file}}],
        });
        fs::write(path, config.to_string()).unwrap();
    }

    /// Writes `NAME.crt`, `NAME.key` and the authority's `ca.crt` for a server with these host names.
    pub(crate) fn write_certificate(&self, directory: &Path, name: &str, hosts: &[&str]) {
        certify(&self.authority, directory, name, hosts);
        fs::copy(self.directory.path().join("ca.crt"), directory.join("ca.crt")).unwrap();
    }

    /// The API for someone with this token.
    pub(crate) fn api(&self, token: &str) -> Api {
        let file = tempfile::NamedTempFile::new().unwrap();
        let end = &token[token.len().saturating_sub(16)..];
        let token_file = self.directory.path().join(format!("token-{end}"));
        fs::write(&token_file, token).unwrap();
        self.write_kubeconfig(file.path(), &token_file, "default");
        Api::new(Access::find(Some(file.path()), None).unwrap())
    }

    /// Sends a request of the administrator. Returns the status, and the answer.
    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = hyper::Method::from_bytes(method.as_bytes()).unwrap();
        let body = (!body.is_null()).then(|| body.to_string().into_bytes());
        let answer = self.runtime.block_on(self.api(ADMIN).exchange(method, path, body));
        let (status, body) = answer.unwrap();
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Creates an object, which must succeed.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        let (status, answer) = self.request("POST", path, object);
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    /// Creates a namespace with the service account `reflow`. Returns a token of it.
    pub(crate) fn create_service_account(&self, namespace: &str) -> String {
        self.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.create(&accounts, &json!({"metadata": {"name": "reflow"}}));
        self.new_token(namespace)
    }

    /// Sends a GET request of someone with this token. Returns the status, and the answer.
    pub(crate) fn get_as(&self, token: &str, path: &str) -> (u16, Value) {
        let answer = self.runtime.block_on(self.api(token).exchange(hyper::Method::GET, path, None));
        let (status, body) = answer.unwrap();
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Another token of the service account, as a pod gets it.
    pub(crate) fn new_token(&self, namespace: &str) -> String {
        self.token_of(namespace, "reflow")
    }

    /// A token of a service account.
    pub(crate) fn token_of(&self, namespace: &str, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let answer = self.create(&path, &json!({"spec": {"expirationSeconds": 600}}));
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    /// The lease of a namespace.
    pub(crate) fn lease(&self, namespace: &str, name: &str) -> Value {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}");
        self.request("GET", &path, &Value::Null).1
    }

    /// Creates a Deployment whose pods nobody starts.
    pub(crate) fn create_deployment(&self, namespace: &str, name: &str) {
        let labels = json!({"app": name});
        let containers = json!([{"name": "c", "image": "none"}]);
        let deployment = json!({"metadata": {"name": name}, "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        }});
        self.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &deployment);
    }

    /// Sets the number of replicas, as `kubectl scale` does.
    pub(crate) fn scale(&self, namespace: &str, deployment: &str, replicas: u32) {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}/scale");
        let (status, answer) = self.request("PATCH", &path, &json!({"spec": {"replicas": replicas}}));
        assert_eq!(status, 200, "{answer}");
    }

    /// The number of replicas that a Deployment declares.
    pub(crate) fn replicas(&self, namespace: &str, deployment: &str) -> u64 {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}");
        self.request("GET", &path, &Value::Null).1["spec"]["replicas"].as_u64().unwrap()
    }

    /// Runs an asynchronous client.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl ControlPlane {
    /// Gives the service account `reflow` of a namespace rights on one lease.
    pub(crate) fn grant(&self, namespace: &str, lease: &str, verbs: &[&str]) {
        let rule = json!({
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [lease], "verbs": verbs
        });
        self.bind(namespace, "lease", &rule);
    }

    /// Gives it the right to scale one Deployment.
    pub(crate) fn grant_scaling(&self, namespace: &str, deployment: &str) {
        let rule = json!({
            "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": [deployment],
            "verbs": ["get", "update"],
        });
        self.bind(namespace, "scaling", &rule);
    }

    /// Gives it the right to create leases, which names no single one.
    pub(crate) fn grant_creation(&self, namespace: &str) {
        let rule =
            json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]});
        self.bind(namespace, "creation", &rule);
    }

    fn bind(&self, namespace: &str, name: &str, rule: &Value) {
        let group = format!("{RIGHTS}/namespaces/{namespace}");
        self.create(&format!("{group}/roles"), &json!({"metadata": {"name": name}, "rules": [rule]}));
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "reflow", "namespace": namespace}],
        });
        self.create(&format!("{group}/rolebindings"), &binding);
    }

    /// Takes all rights away.
    pub(crate) fn revoke(&self, namespace: &str) {
        for kind in ["rolebindings", "roles"] {
            for name in ["lease", "creation"] {
                let path = format!("{RIGHTS}/namespaces/{namespace}/{kind}/{name}");
                assert_eq!(self.request("DELETE", &path, &Value::Null).0, 200);
            }
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop_api_server();
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(log).unwrap();
    let errors = log.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap()
}

/// The authority, which it returns, the server's certificates, and the key by which tokens of service accounts are signed.
fn write_certificates(directory: &Path) -> Issuer<'static, KeyPair> {
    let write = |name: &str, text: String| fs::write(directory.join(name), text).unwrap();
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write("ca.crt", parameters.self_signed(&key).unwrap().pem());
    let authority = Issuer::new(parameters, key);
    certify(&authority, directory, "server", &["127.0.0.1", "localhost"]);
    certify(&authority, directory, "proxy", &[]);
    let key = KeyPair::generate().unwrap();
    write("account.pub", key.public_key_pem());
    write("account.key", key.serialize_pem());
    authority
}

/// Writes a certificate of `name` for these hosts, and its key.
fn certify(authority: &Issuer<'static, KeyPair>, directory: &Path, name: &str, hosts: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let certificate = parameters.signed_by(&key, authority).unwrap();
    fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
    fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
