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
