//! How connections to brokers are secured: TLS, and logins by SASL, under Kafka's own names.
//!
//! Reading order: this file, `properties` (the format of Java's property files, and of JAAS within it).

mod properties;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How the connections of a source or sink to brokers are secured, by Kafka's own properties.
///
/// | property | meaning |
/// |---|---|
/// | `security.protocol` | `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`, as the listener of the brokers has it; required |
/// | `ssl.truststore.location` | a PEM file with the authorities that sign the brokers' certificates; without it, those that the machine trusts |
/// | `ssl.keystore.location` | a PEM file with the client's private key and certificates, for brokers that ask for one |
/// | `ssl.certificate.location`, `ssl.key.location` | the same in two files, as in librdkafka |
/// | `sasl.mechanism` | `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` |
/// | `sasl.jaas.config` | user and password: `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";` |
/// | `sasl.username`, `sasl.password` | the same, as in librdkafka |
///
/// `ssl.truststore.type` and `ssl.keystore.type` may be `PEM` only. Names in certificates are always compared. Other properties
/// of `security.`, `sasl.` and `ssl.` are errors, so that none is ignored.
///
/// ```
/// use reflow_kafka::{KafkaSecurity, KafkaSource, SecurityError};
///
/// // The file that Kafka's own tools take as `--command-config`. It must be on all machines.
/// let from_file = KafkaSecurity::from_file("/etc/kafka/client.properties");
/// let orders = KafkaSource::text("broker:9093", ["orders"]).security(from_file);
///
/// fn shop(password: &str) -> Result<KafkaSecurity, SecurityError> {
///     KafkaSecurity::from_properties([
///         ("security.protocol", "SASL_SSL"),
///         ("sasl.mechanism", "SCRAM-SHA-512"),
///         ("sasl.username", "shop"),
///         ("sasl.password", password),
///     ])
/// }
/// assert_eq!(format!("{:?}", shop("secret")?), "KafkaSecurity(SASL_SSL, user shop by SCRAM-SHA-512)");
/// # Ok::<(), SecurityError>(())
/// ```
#[derive(Clone)]
pub struct KafkaSecurity(Given);

#[derive(Clone)]
enum Given {
    File(PathBuf),
    Properties(Arc<Settings>),
}

/// What properties say.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) login: Option<Login>,
}

/// PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// `None`: the authorities that the machine trusts.
    pub(crate) ca: Option<PathBuf>,
    /// The files of the client's certificate and of its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// A login. It has no `Debug`, so that no password is printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) mechanism: Mechanism,
    pub(crate) user: String,
    pub(crate) password: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Its name in the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Properties that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// The file of the properties cannot be read.
    #[error("cannot read Kafka's properties from {}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A property is missing.
    #[error("the property {name} is missing: {advice}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What to set.
        advice: &'static str,
    },
    /// A property has a value that it cannot have. The value is not part of the text where it may be secret.
    #[error("the property {name} is wrong: {reason}")]
    Wrong {
        /// Its name.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A property would be ignored.
    #[error(
        "the property {name} is not supported: remove it; KafkaSecurity's documentation lists those that are"
    )]
    Unknown {
        /// Its name.
        name: String,
    },
}

fn wrong(name: &str, reason: impl Into<String>) -> SecurityError {
    SecurityError::Wrong { name: name.to_owned(), reason: reason.into() }
}

impl KafkaSecurity {
    /// Reads a file of properties, as Kafka's own tools take it with `--command-config`, whenever a connection is opened. So
    /// a password that has changed counts without a restart of the job. What the file says of other subjects is ignored.
    ///
    /// The file must be on all machines of the cluster. If it cannot be read, the attempt of the job fails.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Given::File(path.into()))
    }

    /// Takes properties by their names.
    ///
    /// # Errors
    /// If one is missing, has an impossible value, or is not supported.
    pub fn from_properties(
        properties: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<Self, SecurityError> {
        let properties = properties.into_iter().map(|(name, value)| (name.into(), value.into()));
        Ok(Self(Given::Properties(Arc::new(Settings::new(properties.collect())?))))
    }

    /// What counts for a connection that is opened now.
    pub(crate) fn settings(&self) -> Result<Arc<Settings>, SecurityError> {
        match &self.0 {
            Given::Properties(settings) => Ok(settings.clone()),
            Given::File(path) => {
                let failed = |reason| SecurityError::File { path: path.clone(), reason };
                let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
                let settings = Settings::new(properties::parse(&text));
                settings.map(Arc::new).map_err(|error| failed(error.to_string()))
            }
        }
    }
}

impl fmt::Debug for KafkaSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Given::File(path) => write!(f, "KafkaSecurity({})", path.display()),
            Given::Properties(settings) => write!(f, "KafkaSecurity({settings})"),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol())?;
        let Some(Login { mechanism, user, .. }) = &self.login else { return Ok(()) };
        write!(f, ", user {user} by {}", mechanism.name())
    }
}

impl Settings {
    /// The value of `security.protocol`.
    pub(crate) fn protocol(&self) -> &'static str {
        match (&self.tls, &self.login) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }

    fn new(mut properties: BTreeMap<String, String>) -> Result<Self, SecurityError> {
        let protocol = take(&mut properties, &["security.protocol"]).ok_or(SecurityError::Missing {
            name: "security.protocol",
            advice: "set it to that of the brokers' listener, such as SASL_SSL",
        })?;
        let (has_tls, has_login) = match &*protocol.to_ascii_uppercase() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => {
                let reason = format!("{protocol} is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL");
                return Err(wrong("security.protocol", reason));
            }
        };
        // What is left over was not used, so it does not belong to the protocol or is not known.
        let tls = if has_tls { Some(TlsFiles::take(&mut properties)?) } else { None };
        let login = if has_login { Some(Login::take(&mut properties)?) } else { None };
        let of_security =
            |name: &&String| ["security.", "sasl.", "ssl."].iter().any(|kind| name.starts_with(kind));
        match properties.keys().find(of_security) {
            None => Ok(Self { tls, login }),
            Some(name) if name.starts_with("sasl.") && !has_login => {
                Err(wrong(name, format!("there is no login with the security.protocol {protocol}")))
            }
            Some(name) if name.starts_with("ssl.") && !has_tls => {
                Err(wrong(name, format!("there is no TLS with the security.protocol {protocol}")))
            }
            Some(name) => Err(SecurityError::Unknown { name: name.clone() }),
        }
    }
}

/// Removes a property that has one of these names.
fn take(properties: &mut BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| properties.remove(*name))
}

impl TlsFiles {
    fn take(properties: &mut BTreeMap<String, String>) -> Result<Self, SecurityError> {
        for store in ["ssl.truststore.type", "ssl.keystore.type"] {
            if take(properties, &[store]).is_some_and(|kind| !kind.eq_ignore_ascii_case("PEM")) {
                let advice = "only PEM can be read: `openssl pkcs12 -in store.p12 -out store.pem -nodes` converts a PKCS12 \
                              store, which `keytool -importkeystore -deststoretype pkcs12` makes of one of Java";
                return Err(wrong(store, advice));
            }
        }
        const NAMES: &str = "ssl.endpoint.identification.algorithm";
        if take(properties, &[NAMES]).is_some_and(|algorithm| !algorithm.eq_ignore_ascii_case("https")) {
            return Err(wrong(
                NAMES,
                "names in certificates are always compared (https); issue the brokers' anew with the names by which they \
                 are reached",
            ));
        }
        let ca = take(properties, &["ssl.truststore.location", "ssl.ca.location"]);
        let certificate = take(properties, &["ssl.certificate.location"]);
        let key = take(properties, &["ssl.key.location"]);
        let identity = match (take(properties, &["ssl.keystore.location"]), certificate, key) {
            (Some(both), None, None) => Some((both.clone().into(), both.into())),
            (None, Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None, None) => None,
            (None, ..) => {
                return Err(SecurityError::Missing {
                    name: "ssl.certificate.location or ssl.key.location",
                    advice: "a certificate and its key are needed together",
                });
            }
            (Some(_), ..) => {
                let reason =
                    "the client's certificate is given by ssl.certificate.location, too: use one of them";
                return Err(wrong("ssl.keystore.location", reason));
            }
        };
        Ok(Self { ca: ca.map(PathBuf::from), identity })
    }
}

impl Login {
    fn take(properties: &mut BTreeMap<String, String>) -> Result<Self, SecurityError> {
        const MECHANISM: &str = "sasl.mechanism";
        const JAAS: &str = "sasl.jaas.config";
        let name = take(properties, &[MECHANISM, "sasl.mechanisms"]).ok_or(SecurityError::Missing {
            name: MECHANISM,
            advice: "set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, as the user has it at the brokers",
        })?;
        let mechanism = Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name);
        let mechanism = mechanism.ok_or_else(|| {
            wrong(
                MECHANISM,
                format!("{name} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, which are supported"),
            )
        })?;
        let jaas = take(properties, &[JAAS]);
        let mut options = match &jaas {
            None => BTreeMap::new(),
            Some(config) => properties::parse_jaas(config).map_err(|reason| wrong(JAAS, reason))?,
        };
        let twice = ["sasl.username", "sasl.password"].iter().find(|name| properties.contains_key(**name));
        if let (Some(_), Some(name)) = (&jaas, twice) {
            return Err(wrong(JAAS, format!("there is {name}, too: use one of them for user and password")));
        }
        let advice = "set user and password by sasl.jaas.config, or by sasl.username and sasl.password";
        let mut field = |of_jaas: &str, name: &'static str| {
            let value = options.remove(of_jaas).or_else(|| take(properties, &[name]));
            value.ok_or(SecurityError::Missing { name, advice })
        };
        let (user, password) = (field("username", "sasl.username")?, field("password", "sasl.password")?);
        // Its name is not told: if the password is not quoted, or has a quote, it may be a part of that.
        if !options.is_empty() {
            let reason = "it has another option than username and password: remove it, or write \\\" for a quote in the password";
            return Err(wrong(JAAS, reason));
        }
        Ok(Self { mechanism, user, password })
    }
}
