//! The TaskManager process and the task executor.
