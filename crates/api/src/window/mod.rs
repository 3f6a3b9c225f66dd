//! Windows: assigners, triggers and evictors.

pub mod assigner;
pub mod elements;
pub mod evictor;
pub mod trigger;

pub use assigner::{Assigner, GlobalWindows, SlidingWindows, TumblingWindows, WindowError};
pub use elements::Elements;
pub use evictor::{CountEvictor, Evictor, TimeEvictor};
pub use trigger::{CountTrigger, DeltaTrigger, EventTimeTrigger, Trigger, TriggerResult};

use reflow_types::{Data, Key, KeyWriter, MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// A window in event time: `start ..  end`, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Data)]
pub struct Window {
    /// The first timestamp in the window.
    pub start: Timestamp,
    /// The first timestamp after the window.
    pub end: Timestamp,
}

impl Window {
    /// The one window of [`GlobalWindows`].
    pub const GLOBAL: Window = Window { start: MIN_WATERMARK, end: MAX_WATERMARK };

    /// The watermark at which the window has ended.
    pub fn max_timestamp(&self) -> Timestamp {
        if self.end == MAX_WATERMARK { MAX_WATERMARK } else { self.end.saturating_sub(1) }
    }
}

/// A window can be a key, so results can be grouped by their window.
impl Key for Window {
    fn encode(&self, out: &mut KeyWriter) {
        self.start.encode(out);
        self.end.encode(out);
    }
}

/// The result of a window.
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct Windowed<K, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result.
    pub value: R,
}
