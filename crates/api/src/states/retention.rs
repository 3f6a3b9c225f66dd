//! How long entries are kept: until they are removed, or for a time to live.

use reflow_state::{Progress, SweepCursor, Verdict};
use reflow_types::{Data, Timestamp};
use std::time::Duration;

/// How long the entries of a state live, in processing time.
///
/// The clock is [`Context::processing_time`](crate::Context::processing_time). The time that counts is stored with
/// each entry, so it is kept across restarts and rescales. An expired entry is never returned. It is removed when
/// it is next accessed, or by a walk in the background, which passes over the state again and again in small steps.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Expiring, MapState, TimeToLive};
/// use std::time::Duration;
///
/// /// Entries that are gone an hour after they were last written.
/// fn recent() -> MapState<String, u64, Expiring> {
///     MapState::new("recent").time_to_live(TimeToLive::since_write(Duration::from_secs(3600)))
/// }
///
/// /// Entries that are gone an hour after they were last used.
/// fn used() -> MapState<String, u64, Expiring> {
///     MapState::new("used").time_to_live(TimeToLive::since_access(Duration::from_secs(3600)))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    millis: i64,
    since: Since,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Write,
    Access,
}

impl TimeToLive {
    /// An entry expires this long after it was created or last written.
    pub fn since_write(duration: Duration) -> Self {
        Self::new(duration, Since::Write)
    }

    /// An entry expires this long after it was last read or written. A read that changes this time counts as a change,
    /// so the next checkpoint writes the entry.
    pub fn since_access(duration: Duration) -> Self {
        Self::new(duration, Since::Access)
    }

    fn new(duration: Duration, since: Since) -> Self {
        Self { millis: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), since }
    }
}

/// Whether the entries of a state expire: [`Forever`] or [`Expiring`].
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Expiring, Forever, List, Retention};
///
/// /// For lists that expire and for lists that do not.
/// fn add_all<R: Retention>(words: &mut List<'_, u64, String, R>, text: &str) {
///     text.split(' ').for_each(|word| words.push(word.to_owned()));
/// }
/// # fn uses(forever: &mut List<'_, u64, String, Forever>, expiring: &mut List<'_, u64, String, Expiring>) {
/// #     add_all(forever, "a"); add_all(expiring, "b");
/// # }
/// ```
pub trait Retention: sealed::Retains {}

impl<R: sealed::Retains> Retention for R {}

/// Entries stay until they are removed.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Forever, ValueState};
///
/// // What is meant if it is left out.
/// let total: ValueState<u64, Forever> = ValueState::<u64>::new("total");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forever;

/// Entries have a [`TimeToLive`].
#[derive(Clone, Copy, Debug)]
pub struct Expiring {
    time_to_live: TimeToLive,
    walk: SweepCursor,
    /// When the walk in the background continues.
    next_step: Timestamp,
}

impl From<TimeToLive> for Expiring {
    fn from(time_to_live: TimeToLive) -> Self {
        Self { time_to_live, walk: SweepCursor::default(), next_step: Timestamp::MIN }
    }
}

/// An entry without a stamp. The name in savepoints is that of the entry that a state has.
#[doc(hidden)]
#[derive(Data)]
#[data(removed = "stamp")]
pub struct Kept<V> {
    value: V,
}

/// An entry with the time from which its time to live counts.
#[doc(hidden)]
#[derive(Data)]
pub struct Stamped<V> {
    stamp: Timestamp,
    value: V,
}

pub(crate) mod sealed {
    use super::*;

    /// What the two kinds of retention have in common.
    pub trait Retains: Send + 'static {
        /// The entry of a value.
        type Entry<V: Data>: Data;

        /// What a declaration has of which only the name is known.
        fn unset<V>() -> Self;
        /// The time after which entries expire.
        fn time_to_live(&self) -> Option<Duration>;
        /// A new entry.
        fn entry<V: Data>(&self, value: V, now: Timestamp) -> Self::Entry<V>;
        /// Whether the entry is not expired.
        fn is_live<V: Data>(&self, entry: &Self::Entry<V>, now: Timestamp) -> bool;
        /// The value of an entry.
        fn value<V: Data>(entry: &Self::Entry<V>) -> &V;
        /// The value of an entry, which is written.
        fn value_mut<V: Data>(entry: &mut Self::Entry<V>, now: Timestamp) -> &mut V;
        /// The value of an entry, which is removed.
        fn into_value<V: Data>(entry: Self::Entry<V>) -> V;
        /// Continues the walk in the background, if it is time.
        fn walk<V: Data>(
            &mut self,
            now: Timestamp,
            step: impl FnOnce(&mut SweepCursor, &dyn Fn(&Self::Entry<V>) -> Verdict) -> Progress,
        );
        /// When the walk continues.
        fn next_walk(&self) -> Option<Timestamp>;
    }
}

impl sealed::Retains for Forever {
    type Entry<V: Data> = Kept<V>;

    fn unset<V>() -> Self {
        Forever
    }

    fn time_to_live(&self) -> Option<Duration> {
        None
    }

    #[inline]
    fn entry<V: Data>(&self, value: V, _: Timestamp) -> Kept<V> {
        Kept { value }
    }

    #[inline]
    fn is_live<V: Data>(&self, _: &Kept<V>, _: Timestamp) -> bool {
        true
    }

    #[inline]
    fn value<V: Data>(entry: &Kept<V>) -> &V {
        &entry.value
    }

    #[inline]
    fn value_mut<V: Data>(entry: &mut Kept<V>, _: Timestamp) -> &mut V {
        &mut entry.value
    }

    #[inline]
    fn into_value<V: Data>(entry: Kept<V>) -> V {
        entry.value
    }

    #[inline]
    fn walk<V: Data>(
        &mut self,
        _: Timestamp,
        _: impl FnOnce(&mut SweepCursor, &dyn Fn(&Kept<V>) -> Verdict) -> Progress,
    ) {
    }

    fn next_walk(&self) -> Option<Timestamp> {
        None
    }
}

/// The pause between two steps of a walk, and between two walks.
const STEP_MS: i64 = 1;
const ROUND_MS: i64 = 1_000;

impl sealed::Retains for Expiring {
    type Entry<V: Data> = Stamped<V>;

    fn unset<V>() -> Self {
        const { NoTimeToLive::<V>::FAILS };
        unreachable!("the line above does not compile")
    }

    fn time_to_live(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.time_to_live.millis.unsigned_abs()))
    }

    #[inline]
    fn entry<V: Data>(&self, value: V, now: Timestamp) -> Stamped<V> {
        Stamped { stamp: now, value }
    }

    #[inline]
    fn is_live<V: Data>(&self, entry: &Stamped<V>, now: Timestamp) -> bool {
        now < entry.stamp.saturating_add(self.time_to_live.millis)
    }

    #[inline]
    fn value<V: Data>(entry: &Stamped<V>) -> &V {
        &entry.value
    }

    #[inline]
    fn value_mut<V: Data>(entry: &mut Stamped<V>, now: Timestamp) -> &mut V {
        entry.stamp = now;
        &mut entry.value
    }

    fn into_value<V: Data>(entry: Stamped<V>) -> V {
        entry.value
    }

    fn walk<V: Data>(
        &mut self,
        now: Timestamp,
        step: impl FnOnce(&mut SweepCursor, &dyn Fn(&Stamped<V>) -> Verdict) -> Progress,
    ) {
        if now < self.next_step {
            return;
        }
        let mut cursor = self.walk;
        let judge = |entry: &Stamped<V>| match self.is_live(entry, now) {
            true => Verdict::Keep,
            false => Verdict::Remove,
        };
        let progress = step(&mut cursor, &judge);
        self.walk = cursor;
        self.next_step = now.saturating_add(if progress == Progress::Done { ROUND_MS } else { STEP_MS });
    }

    fn next_walk(&self) -> Option<Timestamp> {
        Some(self.next_step)
    }
}

impl Expiring {
    /// Whether a read of this entry changes its stamp.
    #[inline]
    pub(crate) fn counts_read<V>(&self, entry: &Stamped<V>, now: Timestamp) -> bool {
        self.time_to_live.since == Since::Access && entry.stamp < now
    }
}

/// Fails to compile for a declaration without a time to live.
struct NoTimeToLive<V>(V);

impl<V> NoTimeToLive<V> {
    const FAILS: () = panic!("a state with a time to live must be declared by `fn states` of the function");
}
