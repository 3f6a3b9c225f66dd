//! Whether REST is reached with TLS, and whom the client then trusts.

use crate::args::Connection;
use crate::error::CliError;
use reflow_config::{Config, options};
use reflow_env::real::{TlsClient, TlsClientFiles, TlsError};
use reflow_launch::tls;
use std::path::Path;
use ureq::tls::{ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

/// Where REST is, and how it is reached.
pub(super) struct Target {
    /// `host:port`, behind `https://` if it is reached with TLS.
    pub(super) address: String,
    pub(super) tls: Option<TlsClient>,
}

impl Target {
    /// `address` may begin with a scheme. Otherwise REST is reached with TLS if the configuration says so, or if an authority
    /// is named.
    pub(super) fn new(
        address: &str,
        connection: &Connection,
        config: Option<&Config>,
    ) -> Result<Self, CliError> {
        let enabled = config.is_some_and(|config| options::SECURITY_SSL_REST_ENABLED.get(config));
        let (is_encrypted, bare) = match address.split_once("://") {
            Some((scheme, bare)) => (scheme != "http", bare),
            None => (enabled || connection.ca_file.is_some(), address),
        };
        if !is_encrypted {
            if connection.ca_file.is_some() {
                return Err(CliError::AuthorityWithoutTls { address: address.to_owned() });
            }
            return Ok(Self { address: bare.to_owned(), tls: None });
        }
        let address = format!("https://{bare}");
        let configured = config.and_then(|config| options::SECURITY_SSL_REST_CA.get(config));
        let Some(ca) = connection.ca_file.clone().or(configured) else {
            return Err(CliError::NoAuthority { address });
        };
        let files = match config {
            Some(config) => tls::rest_client_files(config, ca)?,
            None => TlsClientFiles { ca, identity: None },
        };
        Ok(Self { address, tls: Some(TlsClient::open(files)?) })
    }

    pub(super) fn url(&self) -> String {
        if self.tls.is_some() { self.address.clone() } else { format!("http://{}", self.address) }
    }
}

/// The same for the HTTP library, which reads the files itself.
pub(super) fn for_http(client: &TlsClient) -> Result<TlsConfig, CliError> {
    TlsClient::install_provider();
    let TlsClientFiles { ca, identity } = client.files();
    let authorities = items(ca)?.into_iter().filter_map(certificate).collect::<Vec<_>>();
    let mut config = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&authorities));
    if let Some(identity) = identity {
        let chain = items(&identity.certificate)?.into_iter().filter_map(certificate).collect::<Vec<_>>();
        let key = items(&identity.key)?.into_iter().find_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        });
        config = config.client_cert(key.map(|key| ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

fn certificate(item: PemItem<'static>) -> Option<ureq::tls::Certificate<'static>> {
    match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    }
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>, CliError> {
    let failed = |cause: String| TlsError::File { what: "PEM", path: path.to_owned(), cause };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let items = parse_pem(&text).collect::<Result<_, _>>();
    Ok(items.map_err(|error| failed(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, enabled: bool, expect: &str) {
        let connection =
            Connection { jobmanager: None, config_dir: None, token_file: None, ca_file: None, json: false };
        let enabled = if enabled { "true" } else { "false" };
        let config = Config::from_pairs([("security.ssl.rest.enabled", enabled)]).unwrap();
        let url = match Target::new(address, &connection, Some(&config)) {
            Ok(target) => target.url(),
            Err(CliError::NoAuthority { address }) => format!("{address} without an authority"),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(url, expect);
    }

    #[test]
    fn a_scheme_decides_and_otherwise_the_configuration() {
        check("h:1", false, "http://h:1");
        check("http://h:1", true, "http://h:1");
        check("h:1", true, "https://h:1 without an authority");
        check("https://h:1", false, "https://h:1 without an authority");
    }

    #[test]
    fn a_named_authority_means_tls() {
        let connection = Connection {
            jobmanager: None,
            config_dir: None,
            token_file: None,
            ca_file: Some("/nonexistent/ca.pem".into()),
            json: false,
        };
        let error = |address| Target::new(address, &connection, None).err().map(|error| error.to_string());
        let with_tls = error("h:1");
        assert!(with_tls.as_ref().is_some_and(|error| error.contains("/nonexistent/ca.pem")), "{with_tls:?}");
        let without = error("http://h:1");
        assert!(without.as_ref().is_some_and(|error| error.contains("use https://")), "{without:?}");
    }
}
