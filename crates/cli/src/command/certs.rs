//! The command `reflow certs`, which makes an authority and certificates for a test cluster.
//!
//! Standard output has the lines of `config.yaml`, so that they can be appended to it; all else goes to standard error.

use crate::args::Certs;
use crate::error::CliError;
use crate::output::{note, print};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use reflow_env::real::Clock;
use reflow_launch::machine;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How long the authority is valid.
const AUTHORITY_DAYS: i32 = 3_650;
/// The subject of every authority that this command makes, by which `--renew` continues one.
const AUTHORITY: &str = "Authority of a Reflow cluster";

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

pub(crate) fn run(certs: &Certs) -> Result<(), CliError> {
    let made = Directory(&certs.directory).make(certs)?;
    print(&made)
}

/// The directory of the files.
struct Directory<'a>(&'a Path);

impl Directory<'_> {
    /// Makes the files. Returns the lines of the configuration.
    fn make(&self, certs: &Certs) -> Result<String, CliError> {
        let hosts = if certs.hosts.is_empty() { default_hosts() } else { certs.hosts.clone() };
        let today = today();
        let until = days_after(today, i32::from(certs.days));
        // What cannot be signed is found before anything is written.
        let of_processes = parameters("Process of a Reflow cluster", &hosts, today, until)?;
        let of_rest = parameters("REST of a Reflow cluster", &hosts, today, until)?;
        if !certs.renew {
            self.refuse_to_overwrite()?;
        }
        let created = fs::create_dir_all(self.0);
        created.map_err(|cause| CliError::Directory { directory: self.0.to_owned(), cause })?;
        let authority = if certs.renew { self.authority(today)? } else { self.new_authority(today)? };
        for (name, parameters) in [("internal", of_processes), ("rest", of_rest)] {
            let key = KeyPair::generate().map_err(not_made)?;
            let certificate = parameters.signed_by(&key, &authority).map_err(not_made)?;
            self.write(&format!("{name}.key"), &key.serialize_pem(), SECRET)?;
            self.write(&format!("{name}.pem"), &certificate.pem(), PUBLIC)?;
        }
        let renewed = if certs.renew { "renewed" } else { "made" };
        note(&format!("{renewed} certificates in {}, valid until {until}", self.0.display()));
        note(&format!("REST can be reached as {}", hosts.join(", ")));
        Ok(if certs.renew { String::new() } else { self.configuration()? })
    }

    fn new_authority(&self, today: Date) -> Result<Issuer<'static, KeyPair>, CliError> {
        let parameters = authority(today);
        let key = KeyPair::generate().map_err(not_made)?;
        let certificate = parameters.self_signed(&key).map_err(not_made)?;
        self.write("ca.key", &key.serialize_pem(), SECRET)?;
        self.write("ca.pem", &certificate.pem(), PUBLIC)?;
        Ok(Issuer::new(parameters, key))
    }

    /// The authority that is there. Of its certificate only the subject and the key matter here.
    fn authority(&self, today: Date) -> Result<Issuer<'static, KeyPair>, CliError> {
        let path = self.0.join("ca.key");
        let failed = |cause: String| CliError::AuthorityKey { path: path.clone(), cause };
        let key = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        let key = KeyPair::from_pem(&key).map_err(|error| failed(error.to_string()))?;
        Ok(Issuer::new(authority(today), key))
    }

    fn refuse_to_overwrite(&self) -> Result<(), CliError> {
        let names = ["ca.key", "ca.pem", "internal.key", "internal.pem", "rest.key", "rest.pem"];
        match names.iter().map(|name| self.0.join(name)).find(|path| path.exists()) {
            Some(path) => Err(CliError::CertificateExists { path }),
            None => Ok(()),
        }
    }

    /// Writes a file beside its place and moves it there, so that no process reads a part of it.
    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), CliError> {
        let (path, partial) = (self.0.join(name), self.0.join(format!(".{name}.part")));
        let written = || -> io::Result<()> {
            match fs::remove_file(&partial) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        written().map_err(|cause| CliError::NotWritten { path: path.clone(), cause })
    }

    fn configuration(&self) -> Result<String, CliError> {
        let directory = fs::canonicalize(self.0);
        let directory =
            directory.map_err(|cause| CliError::Directory { directory: self.0.to_owned(), cause })?;
        let lines = ["internal", "rest"].map(|kind| {
            let file = |name: &str| directory.join(name).display().to_string();
            let (certificate, key) = (file(&format!("{kind}.pem")), file(&format!("{kind}.key")));
            let ca = file("ca.pem");
            format!(
                "security.ssl.{kind}.enabled: true\n\
                 security.ssl.{kind}.certificate: {certificate}\n\
                 security.ssl.{kind}.key: {key}\n\
                 security.ssl.{kind}.ca: {ca}\n"
            )
        });
        Ok(lines.concat())
    }
}

fn authority(today: Date) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_subject(&mut parameters, AUTHORITY);
    set_validity(&mut parameters, today, days_after(today, AUTHORITY_DAYS));
    parameters
}

/// The certificate of a process, which is server and client.
fn parameters(
    subject: &str,
    hosts: &[String],
    today: Date,
    until: Date,
) -> Result<CertificateParams, CliError> {
    if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
        return Err(CliError::NoHost { host: host.clone() });
    }
    let mut parameters = CertificateParams::new(hosts).map_err(not_made)?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    set_subject(&mut parameters, subject);
    set_validity(&mut parameters, today, until);
    Ok(parameters)
}

fn set_subject(parameters: &mut CertificateParams, subject: &str) {
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, subject);
}

/// From the day before, because the clocks of other machines may be slow.
fn set_validity(parameters: &mut CertificateParams, today: Date, until: Date) {
    let at = |date: Date| date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8);
    (parameters.not_before, parameters.not_after) = (at(days_after(today, -1)), at(until));
}

/// Whether it is a name of DNS or an address, without a port.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_character)
    };
    host.parse::<std::net::IpAddr>().is_ok() || host.split('.').all(is_label)
}

fn default_hosts() -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let machine = machine::host();
    if is_host(&machine) && !hosts.contains(&machine) {
        hosts.push(machine);
    }
    hosts
}

fn today() -> Date {
    let now = Timestamp::from_millisecond(Clock::start().now().as_millis()).unwrap_or_default();
    now.to_zoned(TimeZone::UTC).date()
}

fn days_after(date: Date, days: i32) -> Date {
    date.saturating_add(days.days())
}

fn not_made(error: rcgen::Error) -> CliError {
    CliError::NoCertificate { cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn certs(directory: &Path, hosts: &[&str], renew: bool) -> Certs {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Certs { directory: directory.to_owned(), hosts, days: 30, renew }
    }

    fn make(certs: &Certs) -> Result<String, String> {
        Directory(&certs.directory).make(certs).map_err(|error| error.to_string())
    }

    #[test]
    fn the_files_are_those_of_the_configuration_and_keys_are_secret() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("tls");
        let lines = make(&certs(&directory, &[], false)).unwrap();
        let pairs: Vec<_> = lines.lines().map(|line| line.split_once(": ").unwrap()).collect();
        let config = reflow_config::Config::from_pairs(pairs.iter().copied()).unwrap();
        reflow_launch::tls::internal(&config).unwrap().unwrap();
        let server = reflow_launch::tls::rest_server(&config).unwrap().unwrap();
        assert_eq!(server.fault(), None);
        for name in ["ca", "internal", "rest"] {
            let key = fs::metadata(directory.join(format!("{name}.key"))).unwrap();
            assert_eq!(key.permissions().mode() & 0o777, 0o600, "{name}");
        }
        assert!(fs::read_dir(&directory).unwrap().count() == 6, "no part is left");
    }

    #[test]
    fn files_are_replaced_only_on_request() {
        let home = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read(home.path().join(name)).unwrap();
        make(&certs(home.path(), &["localhost"], false)).unwrap();
        let (ca, rest) = (read("ca.pem"), read("rest.pem"));
        let error = make(&certs(home.path(), &["localhost"], false)).unwrap_err();
        assert!(error.contains("ca.key") && error.contains("--renew"), "{error}");
        make(&certs(home.path(), &["localhost"], true)).unwrap();
        assert!(read("ca.pem") == ca && read("rest.pem") != rest);
        let file = |name: &str| home.path().join(name);
        let identity = reflow_env::real::Identity { certificate: file("rest.pem"), key: file("rest.key") };
        let files = reflow_env::real::TlsFiles { identity, ca: file("ca.pem") };
        assert_eq!(reflow_env::real::Tls::open(files).unwrap().fault(), None);
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        for host in ["jm.example:8081", "https://jm", "jm..example", "", "jm example"] {
            let error = make(&certs(home.path(), &[host], false)).unwrap_err();
            assert!(error.contains("--host"), "{error}");
        }
        let error = make(&certs(home.path(), &[], true)).unwrap_err();
        assert!(error.contains("ca.key"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
