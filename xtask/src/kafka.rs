//! `cargo xtask kafka`: runs the tests of the Kafka source and sink against a real broker.
//!
//! `examples/kafka/kafka.sh` fetches Apache Kafka and runs it; the tests start and kill brokers by it themselves.

use std::process::Command;

use crate::Failure;
use crate::maven;
use crate::process::{given_or_tests, root, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask kafka [COMMAND [ARGUMENT]...]: runs the tests of the Kafka source and sink, or a command, with Apache Kafka

Kafka is fetched from Maven Central below the target directory, the first time only: that needs
Maven and Java 17 (apt-get install maven). Tests find its jars by REFLOW_TEST_KAFKA_LIBRARIES,
and start, kill and restart brokers themselves. `examples/kafka/kafka.sh` runs a broker alone.
";

/// The variable that names the directory of the jars.
const LIBRARIES: &str = "REFLOW_TEST_KAFKA_LIBRARIES";

/// Runs a command, or the tests.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(missing) = missing() {
        return Err(missing);
    }
    let libraries = target_directory().join("kafka");
    let script = root().join("examples/kafka/kafka.sh");
    succeed(Command::new("sh").arg(script).arg(&libraries).args(["none", "0", "fetch"]))
        .map_err(|failure| format!("{failure}: cannot fetch Kafka, as said above"))?;
    let tests = ["--test", "kafka"];
    succeed(given_or_tests(arguments, &tests).env(LIBRARIES, libraries))
}

/// Runs the tests if Kafka can be fetched and run here.
pub(crate) fn check() -> Result<(), Failure> {
    match missing() {
        Some(missing) => {
            eprintln!("  skipped: {missing}");
            Ok(())
        }
        None => run(&[]),
    }
}

fn missing() -> Option<Failure> {
    maven::missing(&["java", "mvn"])
}
