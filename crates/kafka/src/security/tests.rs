//! Tests of properties.

use super::*;

const JAAS: &str = r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="al\"ice" password="a=b; c";"#;

fn settings(properties: &[(&str, &str)]) -> Result<Settings, SecurityError> {
    let owned = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::new(owned.collect())
}

#[track_caller]
fn refused(properties: &[(&str, &str)], expect: &str) {
    let error = settings(properties).err().expect("it is refused").to_string();
    assert!(error.contains(expect), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_file_of_kafkas_tools_is_understood() {
    let text = format!(
        "# of the shop\n! too\n\nbootstrap.servers = b:9093\nsecurity.protocol=SASL_SSL\n  sasl.mechanism: SCRAM-SHA-256\n\
         ssl.truststore.type PEM\nssl.truststore.location=/etc/ca\\u002epem\n\
         sasl.jaas.config={} \\\n    {}\n",
        r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="alice""#,
        r#"password="a\\\\b\\"c";"#,
    );
    let settings = Settings::new(properties::parse(&text)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.protocol(), "SASL_SSL");
    assert_eq!(settings.tls, Some(TlsFiles { ca: Some("/etc/ca.pem".into()), identity: None }));
    let login = settings.login.unwrap();
    assert_eq!((login.user, login.password), ("alice".to_owned(), r#"a\b"c"#.to_owned()));
    assert_eq!(login.mechanism, Mechanism::ScramSha256);
}

#[test]
fn user_and_password_may_be_given_in_both_forms() {
    let of_jaas = settings(&[
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", JAAS),
    ]);
    let of_names = settings(&[
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanisms", "PLAIN"),
        ("sasl.username", "al\"ice"),
        ("sasl.password", "a=b; c"),
    ]);
    assert!(of_jaas.is_ok() && of_jaas == of_names);
}

#[test]
fn a_key_may_be_in_the_file_of_its_certificate_or_in_another() {
    let one = settings(&[("security.protocol", "SSL"), ("ssl.keystore.location", "a")]);
    let two = settings(&[
        ("security.protocol", "SSL"),
        ("ssl.certificate.location", "a"),
        ("ssl.key.location", "b"),
    ]);
    let identity = |settings: Result<Settings, _>| settings.ok()?.tls?.identity;
    assert_eq!(identity(one), Some(("a".into(), "a".into())));
    assert_eq!(identity(two), Some(("a".into(), "b".into())));
}

#[test]
fn what_would_be_ignored_is_refused() {
    let protocol = |value| ("security.protocol", value);
    refused(&[("securty.protocol", "SSL")], "security.protocol is missing");
    refused(&[protocol("TLS")], "TLS is none of PLAINTEXT, SSL");
    refused(
        &[protocol("SSL"), ("sasl.password", "secret")],
        "there is no login with the security.protocol SSL",
    );
    refused(&[protocol("PLAINTEXT"), ("ssl.ca.location", "a")], "there is no TLS");
    refused(&[protocol("SSL"), ("ssl.cipher.suites", "a")], "ssl.cipher.suites is not supported");
    refused(&[protocol("SSL"), ("ssl.truststore.type", "JKS")], "only PEM can be read");
    refused(&[protocol("SSL"), ("ssl.endpoint.identification.algorithm", "")], "are always compared");
    refused(&[protocol("SSL"), ("ssl.key.location", "a")], "are needed together");
    let sasl = protocol("SASL_SSL");
    refused(&[sasl], "sasl.mechanism is missing");
    refused(&[sasl, ("sasl.mechanism", "GSSAPI")], "GSSAPI is none of PLAIN");
    let plain = ("sasl.mechanism", "PLAIN");
    refused(&[sasl, plain, ("sasl.password", "secret")], "sasl.username is missing");
    for jaas in [
        "secret",
        "m optional username=a password=secret;",
        "m required username=a password=\"secret",
        "m required secret",
    ] {
        refused(&[sasl, plain, ("sasl.jaas.config", jaas)], "sasl.jaas.config is wrong");
    }
    refused(
        &[sasl, plain, ("sasl.jaas.config", "m required username=a password=secret tokenauth=true;")],
        "it has another option than username and password",
    );
    refused(
        &[
            sasl,
            plain,
            ("sasl.jaas.config", "m required username=a password=secret;"),
            ("sasl.username", "a"),
        ],
        "there is sasl.username, too",
    );
}

#[test]
fn a_password_is_never_printed() {
    let security = KafkaSecurity::from_properties([
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "secret"),
    ]);
    assert_eq!(format!("{:?}", security.unwrap()), "KafkaSecurity(SASL_SSL, user alice by PLAIN)");
}

#[test]
fn a_file_is_read_again_for_each_connection() {
    let path = std::env::temp_dir().join(format!("reflow-kafka-{}.properties", std::process::id()));
    let security = KafkaSecurity::from_file(&path);
    let error = security.settings().err().unwrap().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    for protocol in ["SSL", "PLAINTEXT"] {
        std::fs::write(&path, format!("security.protocol={protocol}")).unwrap();
        assert_eq!(security.settings().unwrap().protocol(), protocol);
    }
    std::fs::remove_file(path).unwrap();
}
