//! Loading: collects the settings of the file, the environment and the command line, then checks all of them and
//! reports all errors at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{Config, Entry};
use crate::consistency;
use crate::defaults;
use crate::error::ConfigError;
use crate::option::Spec;
use crate::options;
use crate::source::{PROPERTIES_VARIABLE, Source};
use crate::suggest;
use crate::unsupported::{self, Stance};
use crate::yaml;

/// The name of the file in the configuration directory.
const FILE_NAME: &str = "config.yaml";

/// The result of [`Loader::load`].
#[derive(Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// The settings that were ignored, for the log.
    pub warnings: Vec<Warning>,
}

/// A key of Flink that was ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub key: String,
    /// Where it was set.
    pub origin: Source,
    /// Why it is ignored.
    pub reason: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ignored `{}` ({}): {}", self.key, self.origin, self.reason)
    }
}

/// Collects settings from their sources. Add the sources in the order of precedence, the one with the highest last.
///
/// ```
/// use reflow_config::{Loader, options};
///
/// let loaded = Loader::new()
///     .yaml("conf/config.yaml", "rest:\n  port: 8082\nparallelism.default: 2\n")?
///     .properties("parallelism.default: 3")?
///     .define("rest.port=8083")?
///     .load()?;
/// assert_eq!(options::REST_PORT.get(&loaded.config), 8083);
/// assert_eq!(options::DEFAULT_PARALLELISM.get(&loaded.config), 3);
/// # Ok::<(), reflow_config::ConfigError>(())
/// ```
#[derive(Debug, Default)]
pub struct Loader {
    settings: Vec<Setting>,
    home: Option<PathBuf>,
}

/// A key with its text, as it was set.
struct Setting {
    key: String,
    text: String,
    origin: Source,
}

impl fmt::Debug for Setting {
    /// Without the text, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.origin)
    }
}

impl Config {
    /// Loads the configuration of a process: `config.yaml` in `directory` (if given), the environment, then
    /// `definitions`, the texts after each `-D`.
    ///
    /// # Errors
    /// All errors in one.
    pub fn load(directory: Option<&Path>, definitions: &[String]) -> Result<Loaded, ConfigError> {
        Self::load_with_defaults(&[], directory, definitions)
    }

    /// The same for a process that has other defaults for some options.
    ///
    /// # Errors
    /// The same.
    pub fn load_with_defaults(
        defaults: &[(&str, String)],
        directory: Option<&Path>,
        definitions: &[String],
    ) -> Result<Loaded, ConfigError> {
        Loader::of_process(directory, definitions)?.defaults(defaults).load()
    }

    /// A configuration that is set by a program or a test.
    ///
    /// # Errors
    /// The same as for [`Loader::load`].
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ConfigError> {
        let mut loader = Loader::new();
        for (key, text) in pairs {
            loader.set(key, text, Source::Program);
        }
        loader.load().map(|loaded| loaded.config)
    }
}

impl Default for Config {
    /// All options with their defaults.
    fn default() -> Self {
        Self::from_pairs([]).expect("the defaults are valid and do not contradict each other")
    }
}

impl Loader {
    /// A loader without settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The sources of a process: see [`Config::load`].
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn of_process(directory: Option<&Path>, definitions: &[String]) -> Result<Self, ConfigError> {
        let mut loader = Loader::new();
        if let Some(directory) = directory {
            loader = loader.file(&directory.join(FILE_NAME))?.home(&directory.join(".."));
        }
        if let Ok(properties) = std::env::var(PROPERTIES_VARIABLE) {
            loader = loader.properties(&properties)?;
        }
        definitions.iter().try_fold(loader, |loader, definition| loader.define(definition))
    }

    /// The directory of the distribution, where checkpoints and logs go by default. Without one they go to
    /// the system's temporary directory.
    pub fn home(mut self, directory: &Path) -> Self {
        self.home = Some(directory.canonicalize().unwrap_or_else(|_| directory.to_owned()));
        self
    }

    /// Adds defaults, which all sources override.
    fn defaults(mut self, defaults: &[(&str, String)]) -> Self {
        let setting = |(key, text): &(&str, String)| Setting {
            key: (*key).to_owned(),
            text: text.clone(),
            origin: Source::Default,
        };
        self.settings.splice(0..0, defaults.iter().map(setting));
        self
    }

    /// Adds a YAML file.
    ///
    /// # Errors
    /// If it cannot be read or is not YAML.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        self.yaml(path, &text)
    }

    /// Adds the text of a YAML file; `path` is its name in error texts.
    ///
    /// # Errors
    /// If it is not YAML.
    pub fn yaml(mut self, path: impl AsRef<Path>, text: &str) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        for line in yaml::read(path, text)? {
            self.set(&line.key, &line.text, Source::File { path: path.to_owned(), line: line.number });
        }
        Ok(self)
    }

    /// Adds the text of [`PROPERTIES_VARIABLE`]: lines of `key: value`, empty ones, and `#` comments.
    ///
    /// # Errors
    /// If a line is none of these.
    pub fn properties(mut self, text: &str) -> Result<Self, ConfigError> {
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let origin = Source::Environment { line: number };
            let Some((key, value)) = line.split_once(':') else {
                return Err(ConfigError::NotAnOption { text: line.to_owned(), form: "key: value", origin });
            };
            self.set(key.trim(), value.trim(), origin);
        }
        Ok(self)
    }

    /// Adds one `key=value` of the command line, with or without its `-D`.
    ///
    /// # Errors
    /// If there is no `=`.
    pub fn define(mut self, definition: &str) -> Result<Self, ConfigError> {
        let definition = definition.strip_prefix("-D").unwrap_or(definition);
        let Some((key, value)) = definition.split_once('=') else {
            let text = definition.to_owned();
            return Err(ConfigError::NotAnOption { text, form: "-Dkey=value", origin: Source::Argument });
        };
        self.set(key.trim(), value.trim(), Source::Argument);
        Ok(self)
    }

    fn set(&mut self, key: &str, text: &str, origin: Source) {
        self.settings.push(Setting { key: key.to_owned(), text: text.to_owned(), origin });
    }

    /// Checks everything.
    ///
    /// # Errors
    /// All of: unknown keys, invalid values, options that are set twice in one source, keys of Flink without which
    /// the job would behave differently, and options that contradict each other.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut chosen: BTreeMap<&'static str, Setting> = BTreeMap::new();
        for setting in self.settings {
            match recognise(&setting, &mut warnings) {
                Ok(Some(spec)) if spec.secret && setting.origin == Source::Argument => {
                    problems.push(ConfigError::SecretInArguments { key: setting.key });
                }
                Ok(Some(spec)) => {
                    choose(&mut chosen, spec, setting).unwrap_or_else(|problem| problems.push(problem))
                }
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }

        let mut entries = BTreeMap::new();
        for (key, setting) in chosen {
            let spec = options::find(key).expect("chosen holds keys of the table");
            match spec.parse(&setting.text) {
                Some(value) => {
                    entries.insert(key, Entry { value, text: setting.text, source: setting.origin });
                }
                None => problems.push(bad_value(spec, setting)),
            }
        }
        ConfigError::check(problems)?;

        defaults::fill_in(&mut entries, self.home.as_deref());
        let config = Config::new(entries);
        ConfigError::check(consistency::check(&config))?;
        Ok(Loaded { config, warnings })
    }
}

/// The option that a setting is for; `None` if it is a key of Flink that is ignored.
fn recognise(setting: &Setting, warnings: &mut Vec<Warning>) -> Result<Option<&'static Spec>, ConfigError> {
    let Setting { key, text, origin } = setting;
    if let Some(spec) = options::find(key) {
        return Ok(Some(spec));
    }
    let unknown = || ConfigError::UnknownKey {
        key: key.clone(),
        suggestion: suggest::nearest(key).map(str::to_owned),
        origin: origin.clone(),
    };
    let entry = unsupported::find(key).ok_or_else(unknown)?;
    if entry.key != key && suggest::is_misspelled(key) {
        return Err(unknown());
    }
    let plain = |value: &str| value.to_ascii_lowercase().replace('-', "_");
    match entry.stance {
        Stance::Ignored => {
            warnings.push(Warning { key: key.clone(), origin: origin.clone(), reason: entry.reason });
            Ok(None)
        }
        Stance::BuiltIn(values) if values.iter().any(|value| plain(value) == plain(text)) => Ok(None),
        Stance::BuiltIn(_) | Stance::Refused => Err(ConfigError::Unsupported {
            key: key.clone(),
            value: text.clone(),
            reason: entry.reason,
            origin: origin.clone(),
        }),
    }
}

/// Keeps `setting` as the one for `spec`, in place of one from a source with lower precedence. On the command line
/// the last one counts, so that scripts can append arguments. Elsewhere it is an error to set an option twice, and
/// everywhere by two names.
fn choose(
    chosen: &mut BTreeMap<&'static str, Setting>,
    spec: &'static Spec,
    setting: Setting,
) -> Result<(), ConfigError> {
    if let Some(earlier) = chosen.get(spec.key) {
        let may_repeat = setting.origin == Source::Argument && earlier.key == setting.key;
        if earlier.origin.is_beside(&setting.origin) && !may_repeat {
            return Err(ConfigError::SetTwice {
                first: earlier.key.clone(),
                first_origin: earlier.origin.clone(),
                second: setting.key,
                second_origin: setting.origin,
            });
        }
    }
    chosen.insert(spec.key, setting);
    Ok(())
}

fn bad_value(spec: &Spec, setting: Setting) -> ConfigError {
    let value = if spec.secret { crate::config::HIDDEN.to_owned() } else { setting.text };
    ConfigError::BadValue { key: setting.key, value, expected: spec.expected(), origin: setting.origin }
}

mod values;

#[cfg(test)]
mod tests;
