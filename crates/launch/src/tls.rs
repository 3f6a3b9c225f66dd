//! The TLS that the configuration describes: between processes, of REST and its clients, and of external metrics. It needs the feature `tls`.

use reflow_config::{Config, ConfigOption, options};
use reflow_env::real::Options;
#[cfg(feature = "tls")]
use reflow_env::real::{
    Clients, HttpsClients, Identity, Tls, TlsClient, TlsClientFiles, TlsError, TlsFiles, TlsServer,
    TlsServerFiles,
};
#[cfg(feature = "tls")]
use std::path::PathBuf;

/// Options of TLS that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTls {
    /// A file is not named.
    #[error("{switch} is true, but {missing} is not set: name a PEM file")]
    Missing {
        /// The option that needs it.
        switch: &'static str,
        /// The option that is not set.
        missing: &'static str,
    },
    /// The files are wrong.
    #[cfg(feature = "tls")]
    #[error("{switch} is true, but its files cannot be used: {error}")]
    Files {
        /// The option that needs them.
        switch: &'static str,
        /// What is wrong.
        error: TlsError,
    },
    /// The executable is built without TLS.
    #[error(
        "{switch} is true, but this executable was built without TLS: build it with the feature `tls` of the crate reflow"
    )]
    Absent {
        /// The option that needs it.
        switch: &'static str,
    },
}

type Switch = ConfigOption<bool>;

const INTERNAL: &Switch = &options::SECURITY_SSL_INTERNAL_ENABLED;
const REST: &Switch = &options::SECURITY_SSL_REST_ENABLED;
const EXTERNAL_METRICS: &Switch = &options::KUBERNETES_EXTERNAL_METRICS_ENABLED;

/// Sets the TLS of a driver.
///
/// # Errors
/// If TLS is enabled and its files cannot be used, or if this executable was built without it. Connections would otherwise
/// not be encrypted.
#[cfg(feature = "tls")]
pub fn enable(config: &Config, driver: &mut Options) -> Result<(), UnusableTls> {
    driver.tls = internal(config)?;
    Ok(())
}

/// The TLS between processes, if it is enabled.
///
/// # Errors
/// If its files cannot be used.
#[cfg(feature = "tls")]
pub fn internal(config: &Config) -> Result<Option<Tls>, UnusableTls> {
    if !INTERNAL.get(config) {
        return Ok(None);
    }
    let identity = Identity {
        certificate: file(config, INTERNAL, &options::SECURITY_SSL_INTERNAL_CERTIFICATE)?,
        key: file(config, INTERNAL, &options::SECURITY_SSL_INTERNAL_KEY)?,
    };
    let ca = file(config, INTERNAL, &options::SECURITY_SSL_INTERNAL_CA)?;
    Tls::open(TlsFiles { identity, ca }).map(Some).map_err(wrong(INTERNAL))
}

/// The TLS of REST, if it is enabled.
///
/// # Errors
/// If its files cannot be used.
#[cfg(feature = "tls")]
pub fn rest_server(config: &Config) -> Result<Option<TlsServer>, UnusableTls> {
    if !REST.get(config) {
        return Ok(None);
    }
    let mutual = &options::SECURITY_SSL_REST_AUTHENTICATION_ENABLED;
    let clients = if mutual.get(config) {
        Clients::Authenticated { ca: file(config, mutual, &options::SECURITY_SSL_REST_CA)? }
    } else {
        Clients::All
    };
    let ca = options::SECURITY_SSL_REST_CA.get(config);
    let files = TlsServerFiles { identity: rest_identity(config, REST)?, ca, clients };
    TlsServer::open(files).map(Some).map_err(wrong(REST))
}

/// The TLS of external metrics, if they are served. They are never without.
///
/// # Errors
/// If its files cannot be used.
#[cfg(feature = "tls")]
pub fn external_metrics_server(config: &Config) -> Result<Option<TlsServer>, UnusableTls> {
    if !EXTERNAL_METRICS.get(config) {
        return Ok(None);
    }
    let identity = Identity {
        certificate: file(config, EXTERNAL_METRICS, &options::KUBERNETES_EXTERNAL_METRICS_CERTIFICATE)?,
        key: file(config, EXTERNAL_METRICS, &options::KUBERNETES_EXTERNAL_METRICS_KEY)?,
    };
    let clients = match options::KUBERNETES_EXTERNAL_METRICS_CLIENT_CA.get(config) {
        Some(ca) => Clients::Authenticated { ca },
        None => Clients::All,
    };
    let files = TlsServerFiles { identity, ca: None, clients };
    TlsServer::open(files).map(Some).map_err(wrong(EXTERNAL_METRICS))
}

/// The TLS of a client of REST, if it is enabled.
///
/// # Errors
/// If its files cannot be used.
#[cfg(feature = "tls")]
pub fn rest_client(config: &Config) -> Result<Option<TlsClient>, UnusableTls> {
    if !REST.get(config) {
        return Ok(None);
    }
    let files = rest_client_files(config, file(config, REST, &options::SECURITY_SSL_REST_CA)?)?;
    TlsClient::open(files).map(Some).map_err(wrong(REST))
}

/// The files of a client of REST that trusts the authorities in `ca`, and shows a certificate if the options say so.
///
/// # Errors
/// If the certificate is not named.
#[cfg(feature = "tls")]
pub fn rest_client_files(config: &Config, ca: PathBuf) -> Result<TlsClientFiles, UnusableTls> {
    let mutual = &options::SECURITY_SSL_REST_AUTHENTICATION_ENABLED;
    let identity = mutual.get(config).then(|| rest_identity(config, mutual)).transpose()?;
    Ok(TlsClientFiles { ca, identity })
}

/// Lets the storage of a TaskManager fetch the job's executable as the JobManager serves it.
///
/// # Errors
/// If files cannot be used.
#[cfg(feature = "tls")]
pub fn enable_fetching(config: &Config, driver: &mut Options) -> Result<(), UnusableTls> {
    // It may have the job in lib/, or fetch it otherwise.
    let is_trusted = options::SECURITY_SSL_REST_CA.get(config).is_some();
    let rest = if is_trusted { rest_client(config)? } else { None };
    let https = HttpsClients { rest, internal: driver.tls.clone() };
    driver.storage = driver.storage.clone().with_https(https);
    Ok(())
}

#[cfg(feature = "tls")]
fn rest_identity(config: &Config, switch: &Switch) -> Result<Identity, UnusableTls> {
    Ok(Identity {
        certificate: file(config, switch, &options::SECURITY_SSL_REST_CERTIFICATE)?,
        key: file(config, switch, &options::SECURITY_SSL_REST_KEY)?,
    })
}

#[cfg(feature = "tls")]
fn file(
    config: &Config,
    switch: &Switch,
    option: &ConfigOption<Option<PathBuf>>,
) -> Result<PathBuf, UnusableTls> {
    let missing = UnusableTls::Missing { switch: switch.key(), missing: option.key() };
    option.get(config).ok_or(missing)
}

#[cfg(feature = "tls")]
fn wrong(switch: &Switch) -> impl FnOnce(TlsError) -> UnusableTls {
    let switch = switch.key();
    move |error| UnusableTls::Files { switch, error }
}

/// Fails if TLS is enabled.
#[cfg(not(feature = "tls"))]
pub fn enable(config: &Config, _: &mut Options) -> Result<(), UnusableTls> {
    if INTERNAL.get(config) { Err(UnusableTls::Absent { switch: INTERNAL.key() }) } else { Ok(()) }
}

/// Fails if TLS of REST is enabled.
///
/// # Errors
/// If this executable was built without TLS, and the options ask for it.
pub fn refuse_rest_without_tls(config: &Config) -> Result<(), UnusableTls> {
    refuse_without_tls(config, REST)
}

/// Fails if external metrics are to be served.
///
/// # Errors
/// If this executable was built without TLS, and the options ask for it.
pub fn refuse_external_metrics_without_tls(config: &Config) -> Result<(), UnusableTls> {
    refuse_without_tls(config, EXTERNAL_METRICS)
}

fn refuse_without_tls(config: &Config, switch: &Switch) -> Result<(), UnusableTls> {
    let is_absent = switch.get(config) && cfg!(not(feature = "tls"));
    if is_absent { Err(UnusableTls::Absent { switch: switch.key() }) } else { Ok(()) }
}

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[(&str, &str)], expect: &str) {
        let config = Config::from_pairs(lines.iter().copied()).unwrap();
        let client = rest_client(&config).err().map(|error| format!("client: {error}"));
        let server = rest_server(&config).err().map(|error| format!("server: {error}"));
        let errors = [client, server].into_iter().flatten().collect::<Vec<_>>().join("; ");
        assert_eq!(errors, expect);
    }

    #[test]
    fn a_file_that_is_not_named_is_an_error_with_its_option() {
        let on = ("security.ssl.rest.enabled", "true");
        let (certificate, key) = (("security.ssl.rest.certificate", "/c"), ("security.ssl.rest.key", "/k"));
        let mutual = ("security.ssl.rest.authentication-enabled", "true");
        check(&[], "");
        check(
            &[on],
            "client: security.ssl.rest.enabled is true, but security.ssl.rest.ca is not set: name a PEM file; \
             server: security.ssl.rest.enabled is true, but security.ssl.rest.certificate is not set: name a PEM file",
        );
        check(
            &[on, mutual, certificate, key],
            "client: security.ssl.rest.enabled is true, but security.ssl.rest.ca is not set: name a PEM file; \
             server: security.ssl.rest.authentication-enabled is true, but security.ssl.rest.ca is not set: name a PEM file",
        );
        check(
            &[on, mutual, certificate, ("security.ssl.rest.ca", "/a")],
            "client: security.ssl.rest.authentication-enabled is true, but security.ssl.rest.key is not set: name a PEM \
             file; server: security.ssl.rest.enabled is true, but security.ssl.rest.key is not set: name a PEM file",
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let lines = [("security.ssl.rest.enabled", "true"), ("security.ssl.rest.ca", "/nonexistent/ca.pem")];
        let config = Config::from_pairs(lines).unwrap();
        let error = rest_client(&config).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/ca.pem"), "{error}");
    }
}
