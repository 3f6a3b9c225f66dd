//! The context of a function: the operator and the subtask that runs it.

use crate::metrics::{MetricGroup, TaskMetrics};
use reflow_types::JobParameters;

/// The operator and the subtask of a function, which it gets when it is opened.
///
/// A live rescale can change the [`subtask_index`](Self::subtask_index) and the
/// [`parallelism`](Self::parallelism) of a running function. The function then gets the new context by
/// `rescaled`, and by [`Context::runtime`](crate::Context::runtime) from the next record on. Everything else
/// stays the same until the function is closed.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::RuntimeContext;
///
/// // A context that a test of a function passes to `open`.
/// let context = RuntimeContext::new("Enrich", "enrich").with_place(2, 3);
/// assert_eq!(context.operator_uid(), "enrich");
/// assert_eq!((context.subtask_index(), context.parallelism()), (2, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeContext {
    operator_name: String,
    operator_uid: String,
    subtask_index: u32,
    parallelism: u32,
    max_parallelism: u32,
    attempt_number: u32,
    job_parameters: JobParameters,
    metrics: MetricGroup,
}

impl RuntimeContext {
    /// The context of the only subtask of an operator, in its first attempt. It is for tests of functions. In a
    /// job, Reflow creates the context.
    #[must_use]
    pub fn new(operator_name: &str, operator_uid: &str) -> Self {
        Self {
            operator_name: operator_name.to_owned(),
            operator_uid: operator_uid.to_owned(),
            subtask_index: 0,
            parallelism: 1,
            max_parallelism: 128,
            attempt_number: 1,
            job_parameters: JobParameters::default(),
            metrics: TaskMetrics::default().of_operator(operator_name),
        }
    }

    /// Sets the subtask's index, from 0, and the parallelism.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::RuntimeContext;
    ///
    /// let context = RuntimeContext::new("Count", "count")
    ///     .with_place(1, 3)
    ///     .with_max_parallelism(64)
    ///     .with_attempt_number(2);
    /// assert_eq!((context.operator_name(), context.operator_uid()), ("Count", "count"));
    /// assert_eq!((context.subtask_index(), context.parallelism(), context.max_parallelism()), (1, 3, 64));
    /// assert_eq!(context.attempt_number(), 2);
    /// let records = context.metrics().counter("records");
    /// ```
    #[must_use]
    pub fn with_place(self, subtask_index: u32, parallelism: u32) -> Self {
        Self { subtask_index, parallelism, ..self }
    }

    /// Sets the max parallelism.
    #[must_use]
    pub fn with_max_parallelism(self, max_parallelism: u32) -> Self {
        Self { max_parallelism, ..self }
    }

    /// Sets the number of the attempt.
    #[must_use]
    pub fn with_attempt_number(self, attempt_number: u32) -> Self {
        Self { attempt_number, ..self }
    }

    /// Sets the job's parameters.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::{JobParameters, RuntimeContext};
    ///
    /// let context = RuntimeContext::new("Parse", "parse")
    ///     .with_job_parameters(JobParameters::from_iter([("separator", ";")]));
    /// assert_eq!(context.job_parameters().get("separator"), Some(";"));
    /// ```
    #[must_use]
    pub fn with_job_parameters(self, job_parameters: JobParameters) -> Self {
        Self { job_parameters, ..self }
    }

    /// Sets the metrics of the function's task.
    #[doc(hidden)]
    #[must_use]
    pub fn with_metrics(self, task: &TaskMetrics) -> Self {
        Self { metrics: task.of_operator(&self.operator_name), ..self }
    }

    /// The job's parameters: its arguments, and what the job function has added. They never change while the job runs.
    #[must_use]
    pub fn job_parameters(&self) -> &JobParameters {
        &self.job_parameters
    }

    /// The function's metrics, to which it adds in `open`.
    #[must_use]
    pub fn metrics(&self) -> &MetricGroup {
        &self.metrics
    }

    /// The operator's name, as users see it.
    #[must_use]
    pub fn operator_name(&self) -> &str {
        &self.operator_name
    }

    /// The operator's uid, by which its state is found.
    #[must_use]
    pub fn operator_uid(&self) -> &str {
        &self.operator_uid
    }

    /// The subtask's index, from 0 to below the parallelism.
    #[must_use]
    pub fn subtask_index(&self) -> u32 {
        self.subtask_index
    }

    /// The number of subtasks that run the operator.
    #[must_use]
    pub fn parallelism(&self) -> u32 {
        self.parallelism
    }

    /// The highest parallelism that the operator can have.
    #[must_use]
    pub fn max_parallelism(&self) -> u32 {
        self.max_parallelism
    }

    /// The number of the attempt, from 1. It counts deployments of the job by one JobManager, so it starts again
    /// when another JobManager takes over. A live rescale does not start a new attempt.
    #[must_use]
    pub fn attempt_number(&self) -> u32 {
        self.attempt_number
    }
}
