//! A sink that prints records as lines, for examples and for examining a job.
//!
//! Lines are collected, and written when the input pauses, at each checkpoint and when there are many. The slot's
//! thread writes them, so a terminal or pipe that accepts nothing blocks the slot. After a failure, lines since the
//! last checkpoint are printed again.

use crate::ConnectorError;
use reflow_api::sink::{Prepared, WriterContext};
use reflow_api::{Sink, Transaction, UserError, Writer};
use reflow_env::Request;
use reflow_types::Timestamp;
use std::fmt::{Debug, Display, Write as _};
use std::io::Write as _;
use std::sync::Arc;

/// Collected lines are written when they have this many bytes.
const BUFFER_BYTES: usize = 16 << 10;

/// Prints each record as a line. If several subtasks print, each line begins with the number of its subtask,
/// from 1 on: `3> line`.
///
/// ```
/// use reflow_connectors::Print;
///
/// let print = Print::<String>::stdout();
/// let debug = Print::<Option<u32>>::stdout_debug();
/// ```
pub struct Print<T> {
    target: Target,
    format: fn(&T, &mut String) -> std::fmt::Result,
}

#[derive(Clone)]
enum Target {
    Stdout,
    Stderr,
    Hook(Arc<dyn Fn(&str) + Send + Sync>),
}

/// A record that is printed in the `{}` format: one that implements [`Display`].
///
/// [`Print::stdout`] needs it, so that the compiler names the remedy for other types.
///
/// ```
/// use reflow_connectors::print::{Print, Printed};
///
/// fn print<T: Printed>() -> Print<T> {
///     Print::stdout()
/// }
/// let words: Print<String> = print();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be printed, because it does not implement `Display`",
    label = "needs records that implement `Display`",
    note = "`Print::stdout_debug()` prints records that implement `Debug`",
    note = "if the records are results of a function that can fail, call it by `try_map`: then it may use `?`"
)]
pub trait Printed: Display {}

#[diagnostic::do_not_recommend]
impl<T: Display> Printed for T {}

impl<T: Printed> Print<T> {
    /// Prints to the standard output of the process that the subtask runs in.
    pub fn stdout() -> Self {
        Self { target: Target::Stdout, format: |value, line| write!(line, "{value}") }
    }

    /// Prints to the standard error of the process that the subtask runs in.
    ///
    /// ```
    /// let sink = reflow_connectors::Print::<String>::stderr();
    /// ```
    pub fn stderr() -> Self {
        Self { target: Target::Stderr, format: |value, line| write!(line, "{value}") }
    }

    /// Passes the output to `hook` instead of printing it, some whole lines at a time.
    ///
    /// ```
    /// let sink = reflow_connectors::Print::<String>::to(|lines| print!("{lines}"));
    /// ```
    pub fn to(hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { target: Target::Hook(Arc::new(hook)), format: |value, line| write!(line, "{value}") }
    }
}

impl<T: Debug> Print<T> {
    /// Like [`Print::stdout`], in the `{:?}` format.
    pub fn stdout_debug() -> Self {
        Self { target: Target::Stdout, format: |value, line| write!(line, "{value:?}") }
    }

    /// Like [`Print::stderr`], in the `{:?}` format.
    ///
    /// ```
    /// let sink = reflow_connectors::Print::<Option<u64>>::stderr_debug();
    /// ```
    pub fn stderr_debug() -> Self {
        Self { target: Target::Stderr, format: |value, line| write!(line, "{value:?}") }
    }
}

impl<T> Clone for Print<T> {
    fn clone(&self) -> Self {
        Self { target: self.target.clone(), format: self.format }
    }
}

impl<T: 'static> Sink for Print<T> {
    type Item = T;
    type Writer = PrintWriter<T>;

    fn commits(&self) -> bool {
        false
    }

    fn writer(&self, context: &WriterContext) -> Result<PrintWriter<T>, UserError> {
        let prefix =
            if context.parallelism > 1 { format!("{}> ", context.index.0 + 1) } else { String::new() };
        Ok(PrintWriter { print: self.clone(), prefix, lines: String::new() })
    }
}

/// Prints one subtask's records.
#[doc(hidden)]
pub struct PrintWriter<T> {
    print: Print<T>,
    prefix: String,
    lines: String,
}

impl<T: 'static> Writer for PrintWriter<T> {
    type Item = T;

    fn write(&mut self, value: T, _: Timestamp) -> Result<(), UserError> {
        self.lines.push_str(&self.prefix);
        (self.print.format)(&value, &mut self.lines)?;
        self.lines.push('\n');
        if self.lines.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        self.flush()?;
        Ok(None)
    }

    fn commit(&self, _: &Transaction) -> Result<Request, UserError> {
        Err(ConnectorError::Transaction("a printing sink has no transactions".to_owned()).into())
    }

    fn flush(&mut self) -> Result<(), UserError> {
        if !self.lines.is_empty() {
            let target = self.print.target.name();
            self.print
                .target
                .print(&self.lines)
                .map_err(|source| ConnectorError::Print { target, source })?;
            self.lines.clear();
        }
        Ok(())
    }
}

impl Target {
    fn name(&self) -> &'static str {
        match self {
            Target::Stdout => "standard output",
            Target::Stderr => "standard error",
            Target::Hook(_) => "the hook",
        }
    }

    fn print(&self, lines: &str) -> std::io::Result<()> {
        match self {
            Target::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(lines.as_bytes()).and_then(|()| out.flush())
            }
            Target::Stderr => std::io::stderr().lock().write_all(lines.as_bytes()),
            Target::Hook(hook) => {
                hook(lines);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::writer_context;
    use reflow_types::{NO_TIMESTAMP, SubtaskIndex};
    use std::sync::Mutex;

    fn check(parallelism: u32, expected: &str) {
        let printed = Arc::new(Mutex::new(String::new()));
        let sink = Print::to({
            let printed = printed.clone();
            move |lines| printed.lock().unwrap().push_str(lines)
        });
        let context = WriterContext { index: SubtaskIndex(2), parallelism, ..writer_context() };
        let mut writer = sink.writer(&context).unwrap();
        writer.write("a", NO_TIMESTAMP).unwrap();
        writer.write("b", NO_TIMESTAMP).unwrap();
        assert_eq!(*printed.lock().unwrap(), "");
        writer.flush().unwrap();
        assert_eq!(*printed.lock().unwrap(), expected);
        assert!(writer.prepare().unwrap().is_none());
        assert_eq!(*printed.lock().unwrap(), expected);
    }

    #[test]
    fn lines_name_their_subtask_if_there_are_several() {
        check(3, "3> a\n3> b\n");
        check(1, "a\nb\n");
    }
}
