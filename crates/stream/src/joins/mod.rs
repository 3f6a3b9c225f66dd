//! Joins of two keyed streams by the times of their records. Joins in windows are in [`windowed`](crate::windowed).

mod interval;
mod temporal;

pub use interval::{Buffers, IntervalJoin, IntervalJoined, JoinIntervals, PairFunction};
pub use temporal::{
    Inner, JoinVersions, LeftOuter, LookUp, LookUpJoin, TemporalJoin, VersionFunction, Versions,
};

use crate::keyed::KeyedInputs;
use crate::pipeline::ProcessHead;
use crate::stream::Stream;
use reflow_api::states::{Forever, Map, Sorted};
use reflow_api::{Data, OnError, ProcessFunction, UserError};
use reflow_types::{Key, NO_TIMESTAMP, Timestamp};
use std::marker::PhantomData;

/// The head of a join, which is a process function.
type JoinHead<I, Q> = ProcessHead<<I as KeyedInputs>::Record, <I as KeyedInputs>::Selector, Q>;

fn join<I, Q>(inputs: I, kind: &'static str, name: &str, function: Q) -> Stream<JoinHead<I, Q>>
where
    I: KeyedInputs,
    Q: ProcessFunction<Key = I::Key, In = I::Record, Out: Send + 'static>,
{
    let on_error = OnError::default();
    inputs.head(kind, name, |key| ProcessHead { key, function, on_error, takes: PhantomData })
}

/// The place of a record in a state that is sorted by time: its time, and its number among those of this time.
type Place = (Timestamp, u32);

/// The records of a key in the order of their times.
type Buffer<'a, K, V> = Map<'a, K, Place, V, Forever, Sorted>;

/// Keeps a record. Returns whether it is the earliest one.
fn keep<K: Key, V: Data>(buffer: &mut Buffer<'_, K, V>, time: Timestamp, record: V) -> bool {
    let is_earliest = buffer.first().is_none_or(|((first, _), _)| time < *first);
    let last = buffer.range((time, 0)..=(time, u32::MAX)).next_back();
    let number = last.map_or(0, |((_, number), _)| number + 1);
    buffer.insert((time, number), record);
    is_earliest
}

/// How much is removed or emitted in one call, so that a step stays short.
const AT_ONCE: usize = 64;

fn check_time(time: Timestamp) -> Result<(), UserError> {
    if time == NO_TIMESTAMP {
        return Err("a record has no timestamp: give both streams event time by .assign_event_time(…)".into());
    }
    Ok(())
}
