//! Tests that the scripts of the distribution read config.yaml as the processes do, in every notation.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A distribution with the scripts and the executable.
struct Distribution {
    home: tempfile::TempDir,
}

impl Distribution {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        fs::create_dir(home.path().join("conf")).unwrap();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/bin");
        for script in fs::read_dir(scripts).unwrap().map(Result::unwrap) {
            fs::copy(script.path(), home.path().join("bin").join(script.file_name())).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_reflow"), home.path().join("bin/reflow")).unwrap();
        Self { home }
    }

    /// The directories of logs and of pid files and the number of logs that are kept, as the scripts read them.
    fn read(&self, config: &str, properties: &str) -> Output {
        fs::write(self.home.path().join("conf/config.yaml"), config).unwrap();
        let text =
            r#". "$1/bin/config.sh"; printf '%s|' "$REFLOW_LOG_DIR" "$REFLOW_PID_DIR" "$REFLOW_LOG_MAX""#;
        let mut command = Command::new("bash");
        for variable in ["REFLOW_CONF_DIR", "REFLOW_LOG_DIR", "REFLOW_PID_DIR", "HOME"] {
            command.env_remove(variable);
        }
        command.env("REFLOW_PROPERTIES", properties).args(["-c", text, "bash"]);
        command.arg(self.home.path()).output().unwrap()
    }

    #[track_caller]
    fn check(&self, config: &str, properties: &str, expected: &[&str; 3]) {
        let output = self.read(config, properties);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{config:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(said, expected.map(|value| format!("{value}|")).concat(), "{config:?}");
    }
}

#[test]
fn every_spelling_of_an_option_is_understood() {
    let distribution = Distribution::new();
    for (config, log_dir) in [
        ("env.log.dir: /d/l\n", "/d/l"),
        ("env.log.dir: /d/l\r\n", "/d/l"),
        ("\"env.log.dir\": /d/l\n", "/d/l"),
        ("env.log.dir : /d/l\n", "/d/l"),
        ("env: {log: {dir: /d/l}}\n", "/d/l"),
        ("env:\n  log:\n    dir: /d/l # here\n", "/d/l"),
        ("env.log.dir: \"/d/l #1\"\n", "/d/l #1"),
        ("env.log.dir: '/d/it''s'\n", "/d/it's"),
        ("env.log.dir: >-\n  /d/l\n", "/d/l"),
        ("env.log.dir: \"/d/a\\nb\"\n", "/d/a\nb"),
        ("\u{feff}env.log.dir: /d/l\n", "/d/l"),
        ("env.log.dir: /d/l", "/d/l"),
    ] {
        distribution.check(config, "", &[log_dir, "/tmp", "10"]);
    }
    distribution.check("env.log.max: 3\r\nenv.log.dir: /d/l\r\n", "", &["/d/l", "/tmp", "3"]);
}

#[test]
fn what_is_not_set_is_below_the_distribution() {
    let distribution = Distribution::new();
    let log: PathBuf = distribution.home.path().canonicalize().unwrap().join("log");
    distribution.check("", "", &[log.to_str().unwrap(), "/tmp", "10"]);
    distribution.check("env.pid.dir: /p\n", "env.pid.dir: /q", &[log.to_str().unwrap(), "/q", "10"]);
}

#[test]
fn a_mistake_elsewhere_does_not_keep_anyone_from_stopping() {
    let distribution = Distribution::new();
    distribution.check("env.log.dir: /l\nheartbeat.timeot: 8 s\n", "", &["/l", "/tmp", "10"]);
    for config in ["env.log.max: many\n", "env.log.dir: [\n"] {
        let output = distribution.read(config, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains("config.yaml:") && said.contains("cannot read the configuration in"), "{said}");
    }
}
