//! TLS and logins: a job that copies a topic by them, and what users are told if they do not fit the broker.

use crate::job::{Job, lines};
use crate::server::Kafka;
use crate::{GROUP, numbered, once};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

const PASSWORD: &str = "pa=ss,\\\\word";
/// Behind the first port: the listener with logins, and the one that asks for certificates.
const LOGINS: u16 = 2;
const CERTIFICATES: u16 = 3;

/// The files of an authority, a broker at `localhost`, and a client.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Self { directory };
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        files.write("ca.pem", &parameters.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(parameters, key);
        for (file, name) in [("broker.pem", "localhost"), ("client.pem", "client.example")] {
            let key = KeyPair::generate().unwrap();
            let parameters = CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = parameters.signed_by(&key, &issuer).unwrap().pem();
            files.write(file, &format!("{}{certificate}", key.serialize_pem()));
        }
        files
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(file), text).unwrap();
        self.path(file)
    }

    fn broker(&self, port: u16) -> String {
        let [controller, logins, certificates] = [port + 1, port + LOGINS, port + CERTIFICATES];
        let (broker, ca) = (self.path("broker.pem"), self.path("ca.pem"));
        let (broker, ca) = (broker.display(), ca.display());
        let module = "org.apache.kafka.common.security";
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},LOGINS://127.0.0.1:{logins},\
             CERTIFICATES://127.0.0.1:{certificates}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},LOGINS://localhost:{logins},\
             CERTIFICATES://localhost:{certificates}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGINS:SASL_SSL,CERTIFICATES:SSL\n\
             ssl.keystore.type=PEM\nssl.keystore.location={broker}\n\
             ssl.truststore.type=PEM\nssl.truststore.location={ca}\n\
             listener.name.certificates.ssl.client.auth=required\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             connections.max.reauth.ms=2000\n\
             listener.name.logins.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;\n\
             listener.name.logins.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;\n\
             listener.name.logins.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_bob=\"plain\";\n"
        )
    }

    /// A file of properties of a login.
    fn login(&self, file: &str, mechanism: &str, user: &str, password: &str) -> PathBuf {
        let ca = self.path("ca.pem");
        let ca = ca.display();
        let text = format!(
            "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location={ca}\n\
             sasl.mechanism={mechanism}\nsasl.username={user}\nsasl.password={password}\n"
        );
        self.write(file, &text)
    }
}

pub(crate) fn a_job_reads_and_writes_by_tls_and_logins(libraries: &Path) {
    let files = Files::new();
    let kafka = Kafka::start_with(libraries, |port| files.broker(port));
    // In the file of properties, each backslash is written twice.
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        kafka.user("alice", mechanism, &PASSWORD.replace("\\\\", "\\"));
    }
    kafka.topic(&["--create", "--topic", "secured", "--partitions", "2"]);
    kafka.topic(&["--create", "--topic", "copies", "--partitions", "2"]);
    kafka.produce("secured", "none", numbered("first", 2_000));

    let scram = files.login("scram", "SCRAM-SHA-256", "alice", PASSWORD);
    copies_while_logins_end(&kafka, &scram);

    let certificate = format!(
        "security.protocol=SSL\nssl.truststore.location={}\nssl.keystore.type=PEM\nssl.keystore.location={}\n",
        files.path("ca.pem").display(),
        files.path("client.pem").display()
    );
    let certificate = files.write("certificate", &certificate);
    let plain = files.login("plain", "PLAIN", "bob", "plain");
    let scram_512 = files.login("scram-512", "SCRAM-SHA-512", "alice", PASSWORD);
    for (listener, security) in [(CERTIFICATES, certificate), (LOGINS, plain), (LOGINS, scram_512)] {
        let output = tempfile::tempdir().unwrap();
        let address = kafka.listener("localhost", listener);
        let arguments = ["--output", output.path().to_str().unwrap(), "--bounded"];
        start(&address, &security, &arguments).wait_for_success();
        assert_eq!(lines(output.path()).len(), 6_000, "{}", security.display());
    }
    what_does_not_fit_is_explained(&kafka, &files, &scram);
}

fn start(address: &str, security: &Path, more: &[&str]) -> Job {
    let security = security.to_str().unwrap();
    let arguments = ["--bootstrap", address, "--topics", "secured", "--group", GROUP, "--security", security];
    Job::start(&[], &[&arguments[..], more].concat())
}

/// The broker ends logins after two seconds, which is less than Kafka's tools need for a start.
fn copies_while_logins_end(kafka: &Kafka, security: &Path) {
    let mut job = start(&kafka.listener("localhost", LOGINS), security, &["--to", "copies"]);
    job.wait_for_parallelism(3);
    let mut expected: Vec<String> = numbered("first", 2_000).collect();
    for round in ["second", "third"] {
        kafka.produce("secured", "none", numbered(round, 2_000));
        expected.extend(numbered(round, 2_000));
    }
    let expected = once(expected.into_iter().map(|line| format!("{line} 1")));
    job.wait_until("the copies", |_| kafka.consume("copies") == expected);
    assert!(!job.attempts_failed(), "{}", job.exceptions());
}

fn what_does_not_fit_is_explained(kafka: &Kafka, files: &Files, scram: &Path) {
    let wrong_password = files.login("wrong", "SCRAM-SHA-256", "alice", "not-the-password");
    let other = Files::new();
    let unknown_authority = other.login("unknown", "SCRAM-SHA-256", "alice", PASSWORD);
    let no_certificate =
        format!("security.protocol=SSL\nssl.truststore.location={}\n", files.path("ca.pem").display());
    let no_certificate = files.write("no-certificate", &no_certificate);
    let (logins, certificates) =
        (kafka.listener("localhost", LOGINS), kafka.listener("localhost", CERTIFICATES));
    let by_address = kafka.listener("127.0.0.1", LOGINS);
    for (address, security, expect) in [
        (&logins, &*wrong_password, "refuses the login of user alice by SCRAM-SHA-256"),
        (&logins, &*unknown_authority, "certificate is not signed by an authority in"),
        (&by_address, scram, "certificate is for other names"),
        (&certificates, &*no_certificate, "refuses this process's certificate"),
    ] {
        let output = tempfile::tempdir().unwrap();
        let mut job = start(address, security, &["--output", output.path().to_str().unwrap()]);
        job.wait_until(expect, |job| job.exceptions().contains(expect));
        let exceptions = job.exceptions();
        assert!(exceptions.contains(&**address), "it names the broker: {exceptions}");
        assert!(!exceptions.contains("not-the-password"), "{exceptions}");
    }
}
