//! Warns when a port can be reached from other machines and nothing protects it.

use reflow_config::{Config, ConfigOption, options};
use std::net::IpAddr;

/// Ports of a JobManager.
pub const JOB_MANAGER: &[&ConfigOption<String>] =
    &[&options::REST_BIND_ADDRESS, &options::JOB_MANAGER_BIND_HOST];
/// Ports of a TaskManager.
pub const TASK_MANAGER: &[&ConfigOption<String>] = &[&options::TASK_MANAGER_BIND_HOST];

/// Warns for each of the options that names an interface of other machines.
pub fn warn(config: &Config, interfaces: &[&ConfigOption<String>]) {
    for option in interfaces {
        let (key, interface) = (option.key(), option.get(config));
        let is_rest = key == options::REST_BIND_ADDRESS.key();
        if is_loopback(&interface) {
            continue;
        }
        let protection = if is_rest { rest(config) } else { between_processes(config) };
        match protection {
            Protection::Full => {}
            Protection::NotEncrypted => tracing::warn!(
                "{key}: {interface} lets other machines connect, and tokens and passwords are not encrypted on their way: \
                 set security.ssl.rest.enabled, or bind it to localhost"
            ),
            Protection::None => tracing::warn!(
                "{key}: {interface} lets other machines connect, and nothing asks them who they are: every program that \
                 reaches the port can read and change the job. Let a firewall admit only machines of the cluster, or bind it to localhost \
                 (rest.authentication.file and security.ssl.internal.enabled let it ask)"
            ),
        }
    }
}

/// What protects a port.
#[derive(Debug, PartialEq, Eq)]
enum Protection {
    /// Clients must say who they are, and nobody on the way reads that.
    Full,
    /// Clients must say who they are.
    NotEncrypted,
    None,
}

fn rest(config: &Config) -> Protection {
    let is_encrypted = options::SECURITY_SSL_REST_ENABLED.get(config);
    if options::SECURITY_SSL_REST_AUTHENTICATION_ENABLED.get(config) {
        Protection::Full
    } else if options::REST_AUTHENTICATION_FILE.get(config).is_none() {
        Protection::None
    } else if is_encrypted {
        Protection::Full
    } else {
        Protection::NotEncrypted
    }
}

fn between_processes(config: &Config) -> Protection {
    if options::SECURITY_SSL_INTERNAL_ENABLED.get(config) { Protection::Full } else { Protection::None }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine_alone() {
        for host in ["localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.1.2.3", "jm.example", "localhost.evil.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn rest_is_protected_by_tls_and_a_question() {
        let check = |lines: &[(&str, &str)], expect| {
            assert_eq!(rest(&Config::from_pairs(lines.iter().copied()).unwrap()), expect);
        };
        let (tls, users) = (("security.ssl.rest.enabled", "true"), ("rest.authentication.file", "/users"));
        check(&[], Protection::None);
        check(&[tls], Protection::None);
        check(&[users], Protection::NotEncrypted);
        check(&[tls, users], Protection::Full);
        check(&[tls, ("security.ssl.rest.authentication-enabled", "true")], Protection::Full);
    }

    #[test]
    fn by_default_every_port_is_on_loopback() {
        let config = Config::from_pairs([] as [(&str, &str); 0]).unwrap();
        for option in JOB_MANAGER.iter().chain(TASK_MANAGER) {
            assert!(is_loopback(&option.get(&config)), "{}", option.key());
        }
    }
}
