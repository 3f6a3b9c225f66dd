//! A Kafka broker for tests, and Kafka's own tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Pauses a loop that waits for something outside of this process.
pub(crate) fn pause() {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(Duration::from_millis(50)).is_err(), "nothing is sent");
}

/// A broker, which keeps its data when it is killed and started again.
pub(crate) struct Kafka {
    libraries: PathBuf,
    data: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Kafka {
    pub(crate) fn start(libraries: &Path) -> Self {
        Self::start_with(libraries, |_| String::new())
    }

    /// Starts a broker with more properties, which may use the two ports behind the controller's.
    pub(crate) fn start_with(libraries: &Path, properties: impl FnOnce(u16) -> String) -> Self {
        let data = tempfile::tempdir().unwrap();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        // The port behind it is the controller's.
        let port = loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if (1..4).all(|offset| is_free(port.saturating_add(offset))) {
                break port;
            }
        };
        std::fs::write(data.path().join("more.properties"), properties(port)).unwrap();
        let process = run(libraries, data.path(), port);
        let mut kafka = Self { libraries: libraries.to_owned(), data, port, process };
        kafka.wait();
        kafka
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address of the listener at a port behind the first one.
    pub(crate) fn listener(&self, host: &str, offset: u16) -> String {
        format!("{host}:{}", self.port + offset)
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = run(&self.libraries, self.data.path(), self.port);
        self.wait();
    }

    fn wait(&mut self) {
        for _ in 0..2_400 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            if let Some(status) = self.process.try_wait().unwrap() {
                let log = std::fs::read_to_string(self.data.path().join("broker.out")).unwrap_or_default();
                panic!("the broker has ended with {status}:\n{log}");
            }
            pause();
        }
        panic!("the broker does not listen after two minutes");
    }

    /// Runs one of Kafka's tools with lines of input, and returns what it prints.
    fn tool(&self, class: &str, arguments: &[&str], input: impl IntoIterator<Item = String>) -> String {
        let (is_success, output) = self.try_tool(class, arguments, input);
        assert!(is_success, "{class} {arguments:?} has failed: {output}");
        output
    }

    fn try_tool(
        &self,
        class: &str,
        arguments: &[&str],
        input: impl IntoIterator<Item = String>,
    ) -> (bool, String) {
        let mut tool = Command::new("java")
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(format!("{}/*", libraries(&self.libraries).display()))
            .args([class, "--bootstrap-server", &self.address()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = input.into_iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
        tool.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = tool.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    pub(crate) fn topic(&self, arguments: &[&str]) {
        self.tool("org.apache.kafka.tools.TopicCommand", arguments, []);
    }

    /// Creates a user with a password for a mechanism of SCRAM.
    pub(crate) fn user(&self, name: &str, mechanism: &str, password: &str) {
        let password = format!("{mechanism}=[password={password}]");
        let arguments =
            ["--alter", "--add-config", &password, "--entity-type", "users", "--entity-name", name];
        self.tool("kafka.admin.ConfigCommand", &arguments, []);
    }

    /// Writes lines to a topic, compressed, by Kafka's console producer.
    pub(crate) fn produce(&self, topic: &str, codec: &str, lines: impl IntoIterator<Item = String>) {
        let arguments = ["--topic", topic, "--compression-codec", codec, "--batch-size", "4096"];
        self.tool("org.apache.kafka.tools.ConsoleProducer", &arguments, lines);
    }

    /// How often each line is in a topic, as Kafka's console consumer reads it, without what is not committed.
    pub(crate) fn consume(&self, topic: &str) -> BTreeMap<String, u32> {
        let arguments = ["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"];
        let arguments = [&arguments[..], &["--timeout-ms", "4000"]].concat();
        // That nothing came for so long is a failure to it.
        let (_, text) = self.try_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, []);
        let mut lines = BTreeMap::new();
        for line in text.lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
        lines
    }

    /// The transactions that are not complete, as Kafka's tool prints them.
    pub(crate) fn open_transactions(&self) -> Vec<String> {
        let table = self.tool("org.apache.kafka.tools.TransactionsCommand", &["list"], []);
        let is_open = |row: &&str| row.contains("Ongoing") || row.contains("Prepare");
        table.lines().filter(is_open).map(str::to_owned).collect()
    }

    /// Returns to the transactions of brokers before 4.0.
    pub(crate) fn downgrade_transactions(&self) {
        let arguments = ["downgrade", "--feature", "transaction.version=1"];
        self.tool("org.apache.kafka.tools.FeatureCommand", &arguments, []);
    }

    /// The sum of the offsets that a group has committed for a topic.
    pub(crate) fn committed(&self, group: &str) -> u64 {
        let arguments = ["--describe", "--offsets", "--group", group];
        let table = self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments, []);
        let rows = table.lines().filter(|line| line.starts_with(group));
        rows.filter_map(|row| row.split_whitespace().nth(3)?.parse::<u64>().ok()).sum()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn run(libraries: &Path, data: &Path, port: u16) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/kafka/kafka.sh");
    Command::new("sh").arg(script).arg(libraries).arg(data).arg(port.to_string()).spawn().unwrap()
}

/// The directory of the jars, which the script has fetched.
fn libraries(below: &Path) -> PathBuf {
    let is_kafka = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("kafka-");
    std::fs::read_dir(below).unwrap().map(Result::unwrap).find(is_kafka).unwrap().path()
}
