//! The environment in which a job function builds its job.

use crate::draft::{HeadDraft, SharedDraft};
use crate::job::{EnumeratorFactory, Job, JobError};
use crate::pipeline::SourceHead;
use crate::stream::Stream;
use reflow_api::{Source, UserError};

/// Builds a job. The argument of the job function.
///
/// ```
/// # use reflow_api::{Sink, Source, UserError};
/// # use reflow_stream::StreamEnv;
/// # fn ends(readings: impl Source<Item = f64>, out: impl Sink<Item = f64>) {
/// let job = |env: &mut StreamEnv| {
///     env.name("warm");
///     env.source("readings", readings).filter(|degrees| *degrees > 20.0).sink("warm", out);
///     Ok(())
/// };
/// # let job = StreamEnv::build("job", job);
/// # }
/// ```
pub struct StreamEnv {
    draft: SharedDraft,
}

impl StreamEnv {
    /// Calls a job function and returns the job that it built.
    #[doc(hidden)]
    pub fn build(
        name: &str,
        function: impl FnOnce(&mut StreamEnv) -> Result<(), UserError>,
    ) -> Result<Job, JobError> {
        let mut env = StreamEnv { draft: SharedDraft::default() };
        env.name(name);
        function(&mut env).map_err(JobError::Function)?;
        env.draft.take().finish()
    }

    /// Sets the name of the job. The default is the name of the executable. The job's state is stored under this
    /// name.
    pub fn name(&mut self, name: &str) {
        self.draft.borrow_mut().name(name);
    }

    /// Adds parameters of the job, which every function can read
    /// ([`RuntimeContext::job_parameters`](reflow_api::RuntimeContext::job_parameters)) and REST shows. The job's arguments
    /// are among them already; one that is there gets the new value.
    ///
    /// ```
    /// # use reflow_stream::StreamEnv;
    /// # fn job(env: &mut StreamEnv) {
    /// env.job_parameters([("region", "eu"), ("threshold", "0.5")]);
    /// # }
    /// ```
    pub fn job_parameters<N, V>(&mut self, parameters: impl IntoIterator<Item = (N, V)>)
    where
        N: Into<String>,
        V: Into<String>,
    {
        self.draft.borrow_mut().parameters.extend(parameters);
    }

    /// Starts a stream with the records of a source.
    pub fn source<S: Source>(&mut self, name: &str, source: S) -> Stream<SourceHead<S>> {
        let enumerated = source.clone();
        let enumerator: EnumeratorFactory = Box::new(move || enumerated.enumerator());
        let head = HeadDraft::Source(enumerator);
        Stream::begin(self.draft.clone(), "source", format!("Source: {name}"), head, SourceHead(source))
    }
}
