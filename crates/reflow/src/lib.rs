//! Write streaming jobs that grow and shrink with their cluster.
