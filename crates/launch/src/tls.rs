//! The TLS between processes that the configuration describes. It needs the feature `tls`.

use reflow_config::{Config, options};
use reflow_env::real::Options;

/// Options of TLS that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTls {
    /// A file is not named.
    #[error("security.ssl.internal.enabled is true, but {0} is not set: name a PEM file")]
    Missing(&'static str),
    /// The files are wrong.
    #[cfg(feature = "tls")]
    #[error("cannot use security.ssl.internal: {0}")]
    Files(#[from] reflow_env::real::TlsError),
    /// The executable is built without TLS.
    #[error(
        "security.ssl.internal.enabled is true, but this executable was built without TLS: build it with the feature \
         `tls` of the crate reflow"
    )]
    Absent,
}

/// Sets the TLS of a driver.
///
/// # Errors
/// If TLS is enabled and its files cannot be used, or if this executable was built without it. Connections would otherwise
/// not be encrypted.
#[cfg(feature = "tls")]
pub fn enable(config: &Config, driver: &mut Options) -> Result<(), UnusableTls> {
    use reflow_config::ConfigOption;
    use reflow_env::real::{Tls, TlsFiles};
    use std::path::PathBuf;
    if !options::SECURITY_SSL_INTERNAL_ENABLED.get(config) {
        return Ok(());
    }
    let file =
        |option: &ConfigOption<Option<PathBuf>>| option.get(config).ok_or(UnusableTls::Missing(option.key()));
    driver.tls = Some(Tls::open(TlsFiles {
        certificate: file(&options::SECURITY_SSL_INTERNAL_CERTIFICATE)?,
        key: file(&options::SECURITY_SSL_INTERNAL_KEY)?,
        ca: file(&options::SECURITY_SSL_INTERNAL_CA)?,
    })?);
    Ok(())
}

/// Fails if TLS is enabled.
#[cfg(not(feature = "tls"))]
pub fn enable(config: &Config, _: &mut Options) -> Result<(), UnusableTls> {
    if options::SECURITY_SSL_INTERNAL_ENABLED.get(config) { Err(UnusableTls::Absent) } else { Ok(()) }
}
