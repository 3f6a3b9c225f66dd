//! The JobManager process: drives coordination on real input and output.
