//! A job that runs inside this process for its records, as tests and examples want it.

use crate::connectors::{FileSink, Format};
use crate::data::{self, Data, DecodeError};
use crate::launch::{Executable, LaunchError, Options, cluster};
use crate::{Pipeline, Stream, StreamEnv, UserError};
use reflow_env::Location;
use std::marker::PhantomData;

/// The directory of the cluster's store, which is in memory.
const COLLECTED: &str = "memory://collected";
/// As many as `JOB run` starts.
const TASK_MANAGERS: u32 = 2;

/// Why a job has not given its records.
///
/// ```no_run
/// use reflow::CollectError;
/// use reflow::prelude::*;
///
/// let failed = reflow::execute_and_collect(|env| {
///     let words = env.source("words", Collection::of(["1", "two"].map(str::to_owned)));
///     Ok(words.try_map(|word| Ok(word.parse::<u64>()?)))
/// });
/// assert!(matches!(failed, Err(CollectError::Failed(_))));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The job cannot be built, or the cluster cannot be started.
    #[error(transparent)]
    NotStarted(UserError),
    /// The job has failed, with this reason.
    #[error("{0}")]
    Failed(String),
    /// A record cannot be decoded: its `Data` writes something else than it reads.
    #[error("cannot decode a record: {0}")]
    Damaged(#[from] DecodeError),
}

impl From<LaunchError> for CollectError {
    fn from(error: LaunchError) -> Self {
        Self::NotStarted(error.into())
    }
}

/// Runs a job with bounded sources on a cluster inside this process, with two TaskManagers and checkpoints in memory, and
/// returns the records of the stream that `job` builds, in any order. It waits until the job has ended, so it must not be
/// called on a thread of an asynchronous runtime. Nothing of the cluster is left when it returns.
///
/// `job` is called several times, as a [job function](crate::JobFunction) is. A job that fails is not restarted, unless
/// `config.yaml` sets a restart strategy.
///
/// ```no_run
/// use reflow::prelude::*;
///
/// let mut sums = reflow::execute_and_collect(|env| {
///     let numbers = env.source("numbers", Generator::new(|number| number).count(100));
///     let windows = numbers.key_by(|number| number % 2).count_window(50);
///     Ok(windows.sum(|number| *number).map(|sum| sum.value))
/// })?;
/// sums.sort();
/// assert_eq!(sums, [2450, 2500]);
/// # Ok::<(), reflow::CollectError>(())
/// ```
///
/// # Errors
/// If the job cannot be built or fails.
pub fn execute_and_collect<P>(
    job: impl Fn(&mut StreamEnv) -> Result<Stream<P>, UserError> + Send + Sync + 'static,
) -> Result<Vec<P::Out>, CollectError>
where
    P: Pipeline<Out: Data>,
{
    let build = move |_: &[String]| {
        let built = StreamEnv::build("collected", |env| {
            job(env)?.sink("collected", FileSink::new(COLLECTED, Encoded(PhantomData)));
            Ok(())
        });
        Ok(built?)
    };
    let executable = Executable::built_by("collected", build);
    let options = Options {
        defaults: vec![
            (reflow_config::options::REST_PORT.key(), "0".to_owned()),
            (reflow_config::options::RESTART_STRATEGY.key(), "none".to_owned()),
        ],
        ..Options::default()
    };
    let (exit, parts) =
        cluster::collect(executable, TASK_MANAGERS, &options, &Location(COLLECTED.to_owned()))?;
    if exit.code != 0 {
        return Err(CollectError::Failed(exit.reason));
    }
    let mut records = Vec::new();
    for part in parts {
        let mut rest = &*part;
        while let Some((_, record)) = rest.split_first() {
            rest = record;
            records.push(data::decode_prefix(&mut rest)?);
        }
    }
    Ok(records)
}

/// Writes the encoding of each record behind a byte, because a record may have no bytes.
struct Encoded<T>(PhantomData<fn(T)>);

impl<T> Clone for Encoded<T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<T: Data> Format<T> for Encoded<T> {
    fn encode(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), UserError> {
        out.push(0);
        Ok(data::encode(value, out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn check(failing: Option<u64>) -> Result<Vec<(u64, u64)>, CollectError> {
        let collected = execute_and_collect(move |env| {
            let numbers = env.source("numbers", Generator::new(|number| number).splits(3).count(10_000));
            let numbers = numbers.try_map(move |number| match failing {
                Some(failing) if failing == number => Err(format!("{number} is bad luck").into()),
                _ => Ok(number),
            });
            let windows = numbers.key_by(|number| number % 10).window(GlobalWindows);
            Ok(windows.sum(|number| *number).map(|sum| (sum.key, sum.value)))
        });
        collected.map(|mut sums| {
            sums.sort_unstable();
            sums
        })
    }

    #[test]
    fn the_records_of_a_job_are_returned() {
        let sums: Vec<(u64, u64)> = (0..10).map(|key| (key, (key..10_000).step_by(10).sum())).collect();
        assert_eq!(check(None).unwrap(), sums);
        let failed = check(Some(77)).unwrap_err();
        assert!(failed.to_string().contains("77 is bad luck"), "{failed}");
    }
}
