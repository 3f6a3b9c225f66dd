//! Job functions, and their arguments.

use crate::args::{Args, ArgsError};
use crate::{JobParameters, JobResult, StreamEnv};
use clap::ArgMatches;

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

    /// Takes the arguments from the command line, also as parameters of the job.
    #[doc(hidden)]
    fn parse(
        command: clap::Command,
        arguments: &[String],
    ) -> Result<(Self::Arguments, JobParameters), ArgsError>;

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

    fn parse(command: clap::Command, arguments: &[String]) -> Result<((), JobParameters), ArgsError> {
        command.try_get_matches_from(arguments)?;
        Ok(((), JobParameters::default()))
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

    fn parse(command: clap::Command, arguments: &[String]) -> Result<(A, JobParameters), ArgsError> {
        let mut command = A::augment_args(command);
        let matches = command.try_get_matches_from_mut(arguments)?;
        Ok((A::from_arg_matches(&matches)?, parameters(&command, &matches)))
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

    fn parse(_: clap::Command, arguments: &[String]) -> Result<(Args, JobParameters), ArgsError> {
        let arguments = Args::new(arguments.iter().cloned())?;
        let parameters = arguments.parameters();
        Ok((arguments, parameters))
    }

    fn call(self, env: &mut StreamEnv, arguments: Args) -> JobResult {
        self(env, &arguments)?;
        Ok(arguments.check_all_asked()?)
    }
}

/// All arguments that have a value, given or by default, under the names that users give them. Several values of one are
/// separated by commas.
fn parameters(command: &clap::Command, matches: &ArgMatches) -> JobParameters {
    let parameter = |argument: &clap::Arg| {
        let id = argument.get_id().as_str();
        let values = matches.try_get_raw(id).ok().flatten()?;
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        Some((argument.get_long().unwrap_or(id).to_owned(), values.join(",")))
    };
    command.get_arguments().filter_map(parameter).collect()
}

/// Calls a job function with arguments as they are on its command line, which also become parameters of the job. What
/// [`main!`](crate::main) does in each process of a job, for tests.
///
/// ```
/// use reflow::prelude::*;
///
/// #[derive(clap::Args)]
/// struct Options {
///     #[arg(long, default_value_t = 1_000)]
///     numbers: u64,
/// }
///
/// fn count(env: &mut StreamEnv, options: Options) -> JobResult {
///     assert_eq!(options.numbers, 5);
///     Ok(())
/// }
///
/// fn of_five(env: &mut StreamEnv) -> JobResult {
///     reflow::job_function::call(count, env, ["--numbers", "5"])
/// }
/// ```
pub fn call<P, S: Into<String>>(
    function: impl JobFunction<P>,
    env: &mut StreamEnv,
    arguments: impl IntoIterator<Item = S>,
) -> JobResult {
    let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
    call_as(clap::Command::new("job"), function, env, &arguments)
}

/// As [`call`], with errors in the words of `command`.
pub(crate) fn call_as<P, F: JobFunction<P>>(
    command: clap::Command,
    function: F,
    env: &mut StreamEnv,
    arguments: &[String],
) -> JobResult {
    let (arguments, parameters) = F::parse(command.no_binary_name(true), arguments)?;
    env.job_parameters(parameters.iter());
    function.call(env, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Args)]
    struct Options {
        #[arg(long, default_value_t = 7)]
        max_cars: u32,
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        region: Vec<String>,
        #[arg(long, short)]
        input: Option<String>,
        files: Vec<String>,
    }

    #[track_caller]
    fn check<P>(function: impl JobFunction<P>, arguments: &str, expected: &[(&str, &str)]) {
        let job = StreamEnv::build("job", |env| {
            call(function, env, arguments.split_whitespace())?;
            env.source("numbers", crate::connectors::collection::Collection::of([1u64]))
                .sink("out", crate::connectors::print::Print::stdout());
            Ok(())
        });
        assert_eq!(job.unwrap().graph.parameters.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn arguments_are_parameters_of_the_job() {
        let typed = |_: &mut StreamEnv, options: Options| -> JobResult {
            let Options { max_cars, dry_run, region, input, files } = options;
            drop((max_cars, dry_run, region, input, files));
            Ok(())
        };
        check(typed, "", &[("dry-run", "false"), ("max-cars", "7")]);
        check(
            typed,
            "--dry-run --region eu --region=us -i /data one two",
            &[
                ("dry-run", "true"),
                ("files", "one,two"),
                ("input", "/data"),
                ("max-cars", "7"),
                ("region", "eu,us"),
            ],
        );
        let untyped = |_: &mut StreamEnv, args: &Args| -> JobResult {
            args.get("input")?;
            args.flag("dry-run");
            Ok(())
        };
        check(untyped, "--dry-run --input=/data", &[("dry-run", "true"), ("input", "/data")]);
        check(|_: &mut StreamEnv| -> JobResult { Ok(()) }, "", &[]);
    }
}
