//! The `conf/config.yaml` that the distribution holds, loaded as a process loads it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reflow_config::{Config, ConfigError, Termination, options};

/// `conf/` of a distribution in a directory of its own.
fn conf(name: &str) -> std::path::PathBuf {
    let conf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("conf");
    fs::create_dir_all(&conf).expect("the target directory can be written");
    conf
}

#[test]
fn the_template_is_valid_and_says_nothing_but_defaults() {
    let conf = conf("template");
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/conf/config.yaml");
    fs::copy(template, conf.join("config.yaml")).expect("the template is there");

    let loaded = Config::load(Some(&conf), &["-Dscheduler-mode=reactive".to_owned()]).expect("it is valid");
    assert_eq!(loaded.warnings, []);
    assert_eq!(options::MAX_PARALLELISM.get(&loaded.config), 32768);
    let home = conf.parent().and_then(|home| home.canonicalize().ok()).expect("conf/ has a parent");
    assert_eq!(options::LOG_DIR.get(&loaded.config), home.join("log"));
    assert_eq!(Path::new(&options::CHECKPOINT_DIRECTORY.get(&loaded.config)), home.join("checkpoints"));

    let defaults: Vec<_> = Config::default().effective().collect();
    let stated = loaded.config.effective().filter(|option| option.value.is_some());
    for option in stated.filter(|option| option.source.to_string().contains("config.yaml")) {
        let default = defaults.iter().find(|default| default.key == option.key).expect("the same table");
        assert_eq!(option.value, default.value, "{}", option.key);
    }
}

#[test]
fn the_configuration_of_the_manifests_is_valid_and_fits_the_grace_of_a_pod() {
    let conf = conf("manifests");
    let manifest =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/kubernetes/base/configuration.yaml");
    let manifest = fs::read_to_string(manifest).expect("the manifest is there");
    let (_, block) = manifest.split_once("config.yaml: |\n").expect("it has the file");
    let file: String = block.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    fs::write(conf.join("config.yaml"), file).expect("the target directory can be written");
    let arguments =
        ["-Dtaskmanager.host=10.1.2.3", "-Dtaskmanager.memory.process.size=1900m"].map(str::to_owned);

    let loaded = Config::load(Some(&conf), &arguments).expect("it is valid");
    assert_eq!(loaded.warnings, []);
    let config = &loaded.config;
    assert!(options::DRAIN_TIMEOUT.get(config) * 2 < Duration::from_secs(30));
    assert_eq!(options::JOB_MANAGER_TERMINATION.get(config), Termination::HandOver);
    assert_eq!(options::PROBES_PORT.get(config), Some(8082));
    assert_eq!(options::TASK_MANAGER_DATA_PORT.get(config), 6121);
}

#[test]
fn a_directory_without_the_file_is_an_error() {
    let missing = conf("missing").join("elsewhere");
    let error = Config::load(Some(&missing), &[]).expect_err("there is no config.yaml");
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}
