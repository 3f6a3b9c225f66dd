//! The typed streaming interface: builds the graph and the tasks of a job.
