//! A harness for operators between one input and one output.

use crate::{Collect, Harness, TimedFeed};
use reflow_protocol::failure::Failure;
use reflow_stream::{BoxedStream, Pipeline, Stream};
use reflow_types::{Data, JobParameters, Timestamp};
use std::time::Duration;

/// Runs one operator, or several in a row, on the test's own thread. The test gives it records with event times,
/// watermarks and processing time, and compares what it emits. For several inputs or outputs, and for whole jobs, use a
/// [`Harness`] with [`TimedFeed`]s.
///
/// ```
/// use reflow_testkit::OperatorHarness;
/// # use reflow_stream::{Pipeline, Stream};
/// /// Counts the occurrences of each word.
/// fn count(words: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = u64>> {
///     words.map(|word| (word, 1)).key_by(|(word, _)| word.clone()).reduce(|(word, a), (_, b)| (word, a + b))
///         .map(|(_, count)| count)
/// }
/// let mut count = OperatorHarness::new(count);
/// count.push("to".to_owned(), 0);
/// count.push("be".to_owned(), 0);
/// count.checkpoint();
/// count.push("to".to_owned(), 0);
/// assert_eq!(count.output(), [1, 1, 2]);
/// count.crash(); // reads again what came after the checkpoint
/// assert_eq!(count.output(), [2]);
/// count.rescale(3);
/// count.push("to".to_owned(), 0);
/// assert_eq!(count.output(), [3]);
/// ```
///
/// Time is in the test's hands, and an error of a function can be looked at:
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// # use reflow_api::window::TumblingWindows;
/// use reflow::testing::OperatorHarness;
/// use reflow::{Pipeline, Stream};
/// use std::time::Duration;
///
/// /// The sum of each second.
/// fn sums(numbers: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = u64>> {
///     numbers.try_map(|number: String| Ok(number.parse()?))
///         .key_by(|_: &u64| 0)
///         .window(TumblingWindows::of(Duration::from_secs(1)))
///         .reduce(|a, b| a + b)
///         .map(|sum| sum.value)
/// }
///
/// let mut sums = OperatorHarness::new(sums);
/// let before = sums.processing_time();
/// sums.advance(Duration::from_secs(5)); // nothing happens: the windows are in event time
/// assert_eq!(sums.processing_time(), before + 5_000);
/// sums.push("5".to_owned(), 100);
/// sums.push("6".to_owned(), 900);
/// sums.watermark(999);
/// assert_eq!(sums.output_with_timestamps(), [(11, 999)]);
/// assert!(sums.job().checkpoint());
///
/// sums.push("seven".to_owned(), 1_000);
/// assert!(sums.failure().is_some_and(|failure| failure.contains("invalid digit")));
/// ```
///
/// With [`finish`](Self::finish) the input ends, and so does event time:
///
/// ```
/// # use reflow_testkit::OperatorHarness;
/// fn finish(sums: &mut OperatorHarness<'_, String, u64>) -> Vec<u64> {
///     sums.finish();
///     sums.output()
/// }
/// ```
pub struct OperatorHarness<'a, I, O> {
    input: TimedFeed<I>,
    output: Collect<O>,
    job: Harness<'a>,
    parallelism: u32,
}

impl<'a, I: Clone + Send + 'static, O: Data + Clone> OperatorHarness<'a, I, O> {
    /// Starts the operators with one subtask each. The function is called for each attempt, as in each process.
    ///
    /// # Panics
    /// If the job cannot be built.
    pub fn new<P: Pipeline<Out = O>>(operators: impl Fn(BoxedStream<I>) -> Stream<P> + 'a) -> Self {
        Self::with_job_parameters(JobParameters::default(), operators)
    }

    /// As [`new`](Self::new), in a job with these parameters.
    ///
    /// ```
    /// # mod reflow {
    /// #     pub use reflow_stream::*;
    /// #     pub use reflow_types::JobParameters;
    /// #     pub mod testing { pub use reflow_testkit::*; }
    /// # }
    /// use reflow::testing::OperatorHarness;
    /// use reflow::{JobParameters, Pipeline, Stream};
    ///
    /// /// Runs operators whose functions read `threshold` when they are opened.
    /// fn above<P: Pipeline<Out = u64>>(
    ///     threshold: &str,
    ///     operators: fn(reflow::BoxedStream<u64>) -> Stream<P>,
    /// ) -> OperatorHarness<'static, u64, u64> {
    ///     OperatorHarness::with_job_parameters(JobParameters::from_iter([("threshold", threshold)]), operators)
    /// }
    /// ```
    ///
    /// # Panics
    /// If the job cannot be built.
    pub fn with_job_parameters<P: Pipeline<Out = O>>(
        parameters: JobParameters,
        operators: impl Fn(BoxedStream<I>) -> Stream<P> + 'a,
    ) -> Self {
        let (input, output) = (TimedFeed::new(), Collect::new("output"));
        let (source, sink) = (input.clone(), output.clone());
        let mut job = Harness::new(move |env| {
            env.job_parameters(parameters.iter());
            operators(source.stream(env, "input").boxed()).sink("output", sink.clone());
        });
        job.start(1);
        Self { input, output, job, parallelism: 1 }
    }

    /// Processes a record with its event time in milliseconds; any, if no operator uses it.
    pub fn push(&mut self, record: I, time: Timestamp) {
        self.input.push(record, time);
        self.job.settle();
    }

    /// Advances the watermark: event time is at least this, and records with this timestamp or an earlier one that come
    /// later are late.
    pub fn watermark(&mut self, time: Timestamp) {
        self.input.watermark(time);
        self.job.settle();
    }

    /// Advances processing time. It stops at each timer on the way.
    pub fn advance(&mut self, duration: Duration) {
        self.job.advance(duration);
    }

    /// Processing time, in milliseconds since the Unix epoch.
    pub fn processing_time(&self) -> Timestamp {
        let micros = reflow_env::Clock::now(self.job.clock()).0;
        (micros / 1_000) as Timestamp
    }

    /// Takes what was emitted since the last call.
    ///
    /// # Panics
    /// If a function has failed, with its error.
    pub fn output(&mut self) -> Vec<O> {
        self.output_with_timestamps().into_iter().map(|(record, _)| record).collect()
    }

    /// As [`output`](Self::output), with the timestamp of each record.
    ///
    /// # Panics
    /// If a function has failed, with its error.
    pub fn output_with_timestamps(&mut self) -> Vec<(O, Timestamp)> {
        self.assert_not_failed();
        self.output.written()
    }

    /// The error with which a function has failed, if one has. [`crash`](Self::crash) then lets the job continue from
    /// its last checkpoint.
    pub fn failure(&self) -> Option<String> {
        self.job.failures().first().map(describe)
    }

    /// Takes a checkpoint.
    ///
    /// # Panics
    /// If it fails.
    pub fn checkpoint(&mut self) {
        self.assert_not_failed();
        assert!(self.job.checkpoint(), "the checkpoint fails: {}", self.job.state());
    }

    /// Ends all tasks without warning, and starts them from the last checkpoint, or from the beginning if there is none.
    /// The input since then is processed again.
    pub fn crash(&mut self) {
        self.job.kill();
        self.job.forget_failures();
        self.job.start(self.parallelism);
    }

    /// Takes a checkpoint, and starts the operators from it with another parallelism. State goes to the subtasks that
    /// now own its keys.
    ///
    /// # Panics
    /// If the checkpoint fails.
    pub fn rescale(&mut self, parallelism: u32) {
        self.assert_not_failed();
        self.parallelism = parallelism;
        self.job.rescale(parallelism);
    }

    /// Ends the input: event time comes to its end, all windows and event-time timers fire, and functions are closed.
    ///
    /// # Panics
    /// If the job does not come to its end.
    pub fn finish(&mut self) {
        self.input.end();
        let finished = self.job.finish();
        self.assert_not_failed();
        assert!(finished, "the job does not end: {}", self.job.state());
    }

    /// The job, for what this harness does not offer: metrics, savepoints, storage that fails.
    pub fn job(&mut self) -> &mut Harness<'a> {
        &mut self.job
    }

    #[track_caller]
    fn assert_not_failed(&self) {
        if let Some(failure) = self.failure() {
            panic!("the job has failed: {failure}");
        }
    }
}

fn describe(failure: &Failure) -> String {
    match failure.operator.as_str() {
        "" => failure.message.clone(),
        operator => format!("{operator}: {}", failure.message),
    }
}
