//! Mutual TLS between processes.

use crate::probe::{Probe, expect_frames_of_all_sizes};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use reflow_env::Input;
use reflow_env::real::{Identity, Options, Tls, TlsFiles};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    /// Writes the files of a process whose certificate is valid in these years.
    pub(crate) fn write(&self, directory: &Path, years: [i32; 2]) -> TlsFiles {
        self.write_for("worker.example", directory, years)
    }

    /// As [`write`](Self::write), for a process with this name.
    pub(crate) fn write_for(&self, name: &str, directory: &Path, years: [i32; 2]) -> TlsFiles {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        let [from, to] = years;
        (parameters.not_before, parameters.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let identity =
            Identity { certificate: directory.join("certificate.pem"), key: directory.join("key.pem") };
        let files = TlsFiles { identity, ca: directory.join("ca.pem") };
        std::fs::write(&files.identity.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.identity.key, key.serialize_pem()).unwrap();
        std::fs::write(&files.ca, self.certificate.pem()).unwrap();
        files
    }

    fn options(&self, years: [i32; 2]) -> Options {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls::open(self.write(directory.path(), years)).unwrap();
        Options { tls: Some(tls), ..Options::default() }
    }
}

pub(crate) const VALID: [i32; 2] = [2020, 2096];

#[test]
fn frames_of_all_sizes_arrive_encrypted() {
    expect_frames_of_all_sizes(&Authority::new().options(VALID));
}

/// Checks why a server of `ours` refuses a client with `theirs`.
#[track_caller]
fn refused(ours: Options, theirs: Options, expect: &str) {
    let server = Probe::start(ours);
    let client = Probe::start(theirs);
    let address = server.listen("127.0.0.1:0").unwrap();
    let connected = client.connect(1, &address);
    let reason = server.closed(server.accepted());
    assert!(reason.contains(expect), "{reason}; the client: {connected:?}");
}

#[test]
fn a_wrong_certificate_is_refused_with_its_fault() {
    let authority = Authority::new();
    let client = |years| authority.options(years);
    refused(authority.options(VALID), client([2020, 2021]), "the peer's certificate has expired");
    refused(authority.options(VALID), client([2095, 2096]), "the peer's certificate is not valid yet");
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new().write(directory.path(), VALID);
    std::fs::write(&files.ca, authority.certificate.pem()).unwrap();
    let foreign = Options { tls: Some(Tls::open(files).unwrap()), ..Options::default() };
    refused(authority.options(VALID), foreign, "is not signed by an authority in");
}

#[test]
fn a_certificate_that_others_will_refuse_is_reported_with_its_file() {
    let check = |files: TlsFiles, expect: &str| {
        let fault = Tls::open(files.clone()).unwrap().fault().unwrap_or_default();
        assert!(fault.contains(expect), "{fault}");
        assert_eq!(fault.is_empty(), expect.is_empty());
        assert!(fault.is_empty() || fault.contains("certificate.pem"), "{fault}");
    };
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    check(authority.write(directory.path(), VALID), "");
    check(authority.write(directory.path(), [2020, 2021]), "has expired");
    check(authority.write(directory.path(), [2095, 2096]), "is not valid yet");
    let files = authority.write(directory.path(), VALID);
    std::fs::write(&files.ca, Authority::new().certificate.pem()).unwrap();
    check(files, "is not signed by an authority in");
}

#[test]
fn a_server_of_another_authority_is_refused() {
    let server = Probe::start(Authority::new().options(VALID));
    let client = Probe::start(Authority::new().options(VALID));
    let address = server.listen("127.0.0.1:0").unwrap();
    let reason = client.connect(1, &address).unwrap_err();
    assert!(reason.contains("is not signed by an authority in"), "{reason}");
    let reason = server.closed(server.accepted());
    assert!(reason.contains("the peer refuses this process's certificate"), "{reason}");
    assert!(!client.exit().1.iter().any(|input| matches!(input, Input::Silent { .. })), "it has answered");
}

#[test]
fn a_peer_that_breaks_off_the_handshake_is_silent() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Probe::start(Authority::new().options(VALID));
    let address = server.local_addr().unwrap().to_string();
    let breaks_off = std::thread::spawn(move || drop(server.accept().unwrap()));
    client.connect(1, &address).unwrap_err();
    breaks_off.join().unwrap();
    client.wait_for(|input| matches!(input, Input::Silent { .. }).then_some(()));
}

#[test]
fn a_client_without_tls_is_refused() {
    let server = Probe::start(Authority::new().options(VALID));
    let mut peer = TcpStream::connect(server.listen("127.0.0.1:0").unwrap()).unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let reason = server.closed(server.accepted());
    assert!(reason.contains("does not speak TLS"), "{reason}");
    drop(peer.read_to_end(&mut Vec::new()));
}

#[test]
fn files_that_do_not_fit_are_named() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::new();
    let files = authority.write(one.path(), VALID);
    let others = authority.write(other.path(), VALID);
    let with_key = |key| {
        let identity = Identity { key, ..files.identity.clone() };
        Tls::open(TlsFiles { identity, ..files.clone() }).unwrap_err().to_string()
    };
    let error = with_key(others.identity.key);
    assert!(error.contains("cannot be used together"), "{error}");
    let error = with_key("/nonexistent".into());
    assert!(error.contains("a private key from /nonexistent"), "{error}");
    std::fs::write(&files.ca, "").unwrap();
    let error = Tls::open(files.clone()).unwrap_err().to_string();
    assert!(error.contains("ca.pem"), "{error}");
}
