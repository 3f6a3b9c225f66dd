//! The commands `reflow completions` and `reflow man`, which are made from the definition of the command line.

use crate::args::{Args, Completions, Man};
use crate::error::CliError;
use crate::output::{print, while_read, write};
use clap::CommandFactory;
use std::path::Path;

pub(crate) fn completions(arguments: &Completions) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Args::command(), "reflow", &mut script);
    while_read(write(&script))
}

pub(crate) fn man(arguments: &Man) -> Result<(), CliError> {
    let directory = &arguments.directory;
    let failed = |cause| CliError::Directory { directory: directory.clone(), cause };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Args::command(), directory).map_err(failed)?;
    print(&format!("Read them with: man -l {}\n", Path::new(directory).join("reflow.1").display()))
}
