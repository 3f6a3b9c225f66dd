//! The traces of writers, by which hidden objects of failed attempts are found.

use bytes::Bytes;
use reflow_types::{Data, data};
use std::collections::BTreeMap;

/// The trace of a writer in a checkpoint.
#[derive(Data)]
pub(super) struct Trace {
    pub(super) prefix: String,
    /// The number of objects that it had named.
    pub(super) files: u64,
}

/// In the name of a mark, between a writer's prefix and the number of its objects that a savepoint may name.
pub(super) const KEPT: &str = ".kept-";

/// The hidden objects of these writers that neither a checkpoint nor a savepoint names.
pub(super) fn left_behind<'a>(traces: &[Bytes], names: &[&'a str]) -> Vec<&'a str> {
    let traces = traces.iter().filter_map(|trace| data::decode::<Trace>(trace).ok());
    let mut named: BTreeMap<String, u64> = traces.map(|trace| (trace.prefix, trace.files)).collect();
    for name in names {
        if let Some((prefix, files)) = name.split_once(KEPT)
            && let (Some(named), Ok(kept)) = (named.get_mut(prefix), files.parse::<u64>())
        {
            *named = kept.max(*named);
        }
    }
    let is_left = |name: &&str| {
        // part-<moment>-<subtask>-<number>, and in earlier releases .<extension>
        let Some((end, _)) = name.match_indices('-').nth(2) else { return false };
        let (prefix, number) = (&name[..end], name[end + 1..].split('.').next().unwrap_or_default());
        number.parse().is_ok_and(|number: u64| named.get(prefix).is_some_and(|named| number >= *named))
    };
    names.iter().copied().filter(is_left).collect()
}
