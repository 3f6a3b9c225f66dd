//! The command `reflow config`, which prints the effective options.

use crate::args::Config as Arguments;
use crate::client::own_config_directory;
use crate::error::CliError;
use reflow_config::Loader;
use std::io::Write;

pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let directory = arguments.config_dir.clone().or_else(own_config_directory);
    let mut loader = Loader::of_process(directory.as_deref(), &arguments.definitions)?;
    if let Some(home) = &arguments.home {
        loader = loader.home(home);
    }
    let end = if arguments.null { '\0' } else { '\n' };
    let text = if arguments.print.is_empty() {
        let config = loader.load()?.config;
        config.effective().map(|o| format!("{}: {}\n", o.key, o.value.unwrap_or_default())).collect()
    } else {
        let values = loader.values(&arguments.print)?;
        values.into_iter().map(|value| format!("{value}{end}")).collect::<String>()
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::Machine)
}
