//! Messages between processes, data frames, versions.
