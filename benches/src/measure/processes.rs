//! Runs a set of processes until they exit.

use std::{
    io::{self, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use super::Error;

/// Starts all `commands`, waits until each has ended, and returns what each wrote to standard output.
///
/// When one fails, the others are killed and its failure is the result.
pub fn run_together(commands: impl IntoIterator<Item = Command>) -> Result<Vec<String>, Error> {
    let mut running = Running::default();
    let (ended, endings) = mpsc::channel();
    for command in commands {
        let mut stdout = running.start(command)?;
        let (ended, index) = (ended.clone(), running.0.len() - 1);
        // Reads until the process closes its output, which it does at the latest by ending. Nothing else can
        // fail here, and the receiver outlives the thread unless it has returned with an error.
        thread::spawn(move || {
            let mut output = String::new();
            let read = stdout.read_to_string(&mut output);
            let _ = ended.send((index, read.map(|_| output)));
        });
    }
    drop(ended);
    let mut outputs = vec![String::new(); running.0.len()];
    for (index, output) in endings {
        outputs[index] = running.finish(index, output)?;
    }
    Ok(outputs)
}

/// Runs a program that measures itself and prints one number, and returns that number.
pub fn figure(command: Command) -> Result<f64, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = run_together([command])?.concat();
    output.trim().parse().map_err(|_| Error::NoFigure { program, output: output.trim().to_owned() })
}

/// Processes under way, by index; whichever is left when this is dropped is killed.
#[derive(Default)]
struct Running(Vec<(String, Child)>);

impl Running {
    fn start(&mut self, mut command: Command) -> Result<impl Read + Send + use<>, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start { program: program.clone(), source })?;
        let stdout = child.stdout.take().expect("standard output was asked to be a pipe");
        self.0.push((program, child));
        Ok(stdout)
    }

    fn finish(&mut self, index: usize, output: io::Result<String>) -> Result<String, Error> {
        let (program, child) = &mut self.0[index];
        let lost = |source| Error::Lost { program: program.clone(), source };
        let output = output.map_err(lost)?;
        let status = child.wait().map_err(lost)?;
        if status.success() { Ok(output) } else { Err(Error::Failed { program: program.clone(), status }) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            // Both do nothing to a process that has been waited for; no other outcome could be acted upon.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::cpu_of_children;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn outputs_come_in_the_order_of_the_commands_and_grandchildren_count() {
        let busy = "for i in $(seq 200000); do :; done";
        let ((), cpu) = cpu_of_children(|| {
            let outputs = run_together([sh(&format!("({busy}); echo one")), sh("echo two")]).unwrap();
            assert_eq!(outputs, ["one\n", "two\n"]);
        });
        assert!(cpu > Duration::from_millis(5), "200,000 turns of the shell took {cpu:?}");
    }

    #[test]
    fn a_failure_ends_the_others() {
        let error = run_together([sh("exec tail -f /dev/null"), sh("exit 3")]).unwrap_err();
        assert_eq!(error.to_string(), "`sh` failed (exit status: 3): run it alone to see why");
    }

    #[test]
    fn a_figure_is_one_number() {
        assert_eq!(figure(sh("echo 33.5")).unwrap(), 33.5);
        let error = figure(sh("echo about 30")).unwrap_err();
        assert_eq!(error.to_string(), "`sh` printed `about 30` where a number was due");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run_together([Command::new("no-such-program")]).unwrap_err();
        assert!(error.to_string().starts_with("cannot start `no-such-program`"), "{error}");
    }
}
