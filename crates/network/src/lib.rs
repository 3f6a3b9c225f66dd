//! Channels, partitioning, framing, credits.
