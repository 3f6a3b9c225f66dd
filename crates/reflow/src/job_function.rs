//! Job functions, and their arguments.

use crate::args::{Args, ArgsError};
use crate::{JobResult, StreamEnv};

/// A function that builds a job from streams. [`main!`](crate::main) turns it into an executable.
///
/// The first parameter is `&mut StreamEnv`. The second one holds the job's own arguments. It may be
///
/// - left out,
/// - any type with `#[derive(clap::Args)]` (the prelude has `clap`): its arguments are checked before the job is built,
///   and `JOB run --help` lists them,
/// - [`&Args`](Args), if which arguments the job has depends on its arguments.
///
/// ```
/// use reflow::prelude::*;
///
/// #[derive(clap::Args)]
/// struct Options {
///     /// How many numbers are counted.
///     #[arg(long, default_value_t = 1_000)]
///     numbers: u64,
/// }
///
/// fn count(env: &mut StreamEnv, options: Options) -> JobResult {
///     env.source("numbers", Generator::new(|index| index).count(options.numbers))
///         .key_by(|number| number % 10)
///         .reduce(|a, b| a + b)
///         .sink("out", Print::stdout());
///     Ok(())
/// }
/// # fn is_job<P>(_: impl reflow::JobFunction<P>) {}
/// # is_job(count);
/// # is_job(|_: &mut StreamEnv| -> JobResult { Ok(()) });
/// # fn untyped(_: &mut StreamEnv, _: &Args) -> JobResult { Ok(()) }
/// # is_job(untyped);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job function",
    note = "a job function is `fn(&mut StreamEnv) -> JobResult` or `fn(&mut StreamEnv, Options) -> JobResult`, where \
            `Options` has `#[derive(clap::Args)]`"
)]
pub trait JobFunction<Parameter>: Copy + Send + Sync + 'static {
    /// The arguments, checked as far as is possible without a call.
    #[doc(hidden)]
    type Arguments;

    /// Adds the arguments to a command.
    #[doc(hidden)]
    fn describe(command: clap::Command) -> clap::Command;

    /// Takes the arguments from the command line.
    #[doc(hidden)]
    fn parse(command: clap::Command, arguments: &[String]) -> Result<Self::Arguments, ArgsError>;

    /// Calls the function.
    #[doc(hidden)]
    fn call(self, env: &mut StreamEnv, arguments: Self::Arguments) -> JobResult;
}

impl<F> JobFunction<()> for F
where
    F: Fn(&mut StreamEnv) -> JobResult + Copy + Send + Sync + 'static,
{
    type Arguments = ();

    fn describe(command: clap::Command) -> clap::Command {
        command
    }

    fn parse(command: clap::Command, arguments: &[String]) -> Result<(), ArgsError> {
        command.try_get_matches_from(arguments)?;
        Ok(())
    }

    fn call(self, env: &mut StreamEnv, (): ()) -> JobResult {
        self(env)
    }
}

impl<F, A> JobFunction<(A,)> for F
where
    F: Fn(&mut StreamEnv, A) -> JobResult + Copy + Send + Sync + 'static,
    A: clap::Args,
{
    type Arguments = A;

    fn describe(command: clap::Command) -> clap::Command {
        A::augment_args(command)
    }

    fn parse(command: clap::Command, arguments: &[String]) -> Result<A, ArgsError> {
        Ok(A::from_arg_matches(&A::augment_args(command).try_get_matches_from(arguments)?)?)
    }

    fn call(self, env: &mut StreamEnv, arguments: A) -> JobResult {
        self(env, arguments)
    }
}

impl<F> JobFunction<&Args> for F
where
    F: Fn(&mut StreamEnv, &Args) -> JobResult + Copy + Send + Sync + 'static,
{
    type Arguments = Args;

    fn describe(command: clap::Command) -> clap::Command {
        command
    }

    fn parse(_: clap::Command, arguments: &[String]) -> Result<Args, ArgsError> {
        Args::new(arguments.iter().cloned())
    }

    fn call(self, env: &mut StreamEnv, arguments: Args) -> JobResult {
        self(env, &arguments)?;
        Ok(arguments.check_all_asked()?)
    }
}
