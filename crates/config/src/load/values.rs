//! The values of a few options, for scripts.
//!
//! Only these are checked, so that a process can be stopped in spite of an error elsewhere in the file, which its
//! next start reports.

use std::collections::BTreeMap;

use super::{Loader, Setting, bad_value, choose};
use crate::config::{Entry, HIDDEN};
use crate::defaults;
use crate::error::ConfigError;
use crate::option::Spec;
use crate::options;
use crate::source::Source;
use crate::suggest;

impl Loader {
    /// The values of the options with these keys, as they were written or by default. Empty if there is no value,
    /// asterisks for a secret.
    ///
    /// # Errors
    /// All errors in these options.
    pub fn values(self, keys: &[String]) -> Result<Vec<String>, ConfigError> {
        let (mut problems, mut asked) = (Vec::new(), Vec::<&'static Spec>::new());
        for key in keys {
            match options::find(key) {
                Some(spec) => asked.push(spec),
                None => problems.push(ConfigError::UnknownKey {
                    key: key.clone(),
                    suggestion: suggest::nearest(key).map(str::to_owned),
                    origin: Source::Argument,
                }),
            }
        }
        let is_asked = |spec: &Spec| asked.iter().any(|asked| asked.key == spec.key);

        let mut chosen: BTreeMap<&'static str, Setting> = BTreeMap::new();
        for setting in self.settings {
            if let Some(spec) = options::find(&setting.key)
                && let Err(problem) = choose(&mut chosen, spec, setting)
                && is_asked(spec)
            {
                problems.push(problem);
            }
        }
        let mut entries = BTreeMap::new();
        for (key, setting) in chosen {
            let spec = options::find(key).expect("chosen holds keys of the table");
            match spec.parse(&setting.text) {
                Some(value) => {
                    entries.insert(key, Entry { value, text: setting.text, source: setting.origin });
                }
                None if is_asked(spec) => problems.push(bad_value(spec, setting)),
                None => {}
            }
        }
        ConfigError::check(problems)?;

        defaults::fill_in(&mut entries, self.home.as_deref());
        let text =
            |spec: &&Spec| if spec.secret { HIDDEN.to_owned() } else { entries[spec.key].text.clone() };
        Ok(asked.iter().map(text).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(yaml: &str, keys: &[&str]) -> Result<Vec<String>, String> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let loader = Loader::new().yaml("config.yaml", yaml).unwrap();
        loader.values(&keys).map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_is_asked_for_is_checked() {
        let yaml = "env: {log: {max: 3}}\nheartbeat.timeot: 8 s\nrest.port: many\ns3.secret-key: abc\n";
        let keys = ["env.log.max", "env.pid.dir", "s3.secret-key"];
        assert_eq!(values(yaml, &keys).unwrap(), ["3", "/tmp", HIDDEN]);
        let refused = values(yaml, &["rest.port"]).unwrap_err();
        assert!(refused.starts_with("invalid value `many` for `rest.port` (config.yaml:3)"), "{refused}");
        let refused = values("", &["env.pid.dri"]).unwrap_err();
        assert!(refused.contains("did you mean `env.pid.dir`?"), "{refused}");
        let refused = values("env.log.max: 1\nenv:\n  log.max: 2\n", &["env.log.max"]).unwrap_err();
        assert!(refused.contains("set the same option"), "{refused}");
    }
}
