//! The `conf/config.yaml` that the distribution holds, loaded as a process loads it.

use std::fs;
use std::path::Path;

use reflow_config::{Config, ConfigError, options};

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
fn a_directory_without_the_file_is_an_error() {
    let missing = conf("missing").join("elsewhere");
    let error = Config::load(Some(&missing), &[]).expect_err("there is no config.yaml");
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}
