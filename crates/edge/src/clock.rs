use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grit_types::Timestamp;

/// Where this process's monotonic time begins: every age and every second of the statistics is
/// counted from here, so that a step of the wall clock moves none of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// `instant` on this scale.
    pub fn at(self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.0)
    }
}

pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
