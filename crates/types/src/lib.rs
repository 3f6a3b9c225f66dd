//! Plain values that every layer shares: ids, key groups, ownership, time.
