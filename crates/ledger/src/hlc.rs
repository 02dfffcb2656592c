use std::time::Duration;

use grit_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A hybrid logical clock's reading (Kulkarni et al., 2014): wall-clock milliseconds, and a count
/// that orders what happened within one of them. In JSON: `[millis, count]`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "(i64, u32)", into = "(i64, u32)")]
pub struct Hlc {
    pub millis: i64,
    pub count: u32,
}

/// A reading that is further ahead of the wall clock than this comes from a clock that is wrong.
pub const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

impl Hlc {
    /// Whether it is further ahead of `now` than [`AHEAD_MAX`]: to be flagged, and not obeyed.
    pub fn is_far_ahead(self, now: Timestamp) -> bool {
        self.timestamp().since(now) > AHEAD_MAX
    }

    /// The wall-clock part.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }
}

impl From<(i64, u32)> for Hlc {
    fn from((millis, count): (i64, u32)) -> Self {
        Self { millis, count }
    }
}

impl From<Hlc> for (i64, u32) {
    fn from(hlc: Hlc) -> Self {
        (hlc.millis, hlc.count)
    }
}

/// Issues readings that are later than all that were issued or seen before.
#[derive(Clone, Debug, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// The next reading at wall-clock time `now`.
    pub fn tick(&mut self, now: Timestamp) -> Hlc {
        self.last = if now.millis() > self.last.millis {
            Hlc { millis: now.millis(), count: 0 }
        } else if self.last.count == u32::MAX {
            Hlc { millis: self.last.millis + 1, count: 0 }
        } else {
            Hlc { millis: self.last.millis, count: self.last.count + 1 }
        };
        self.last
    }

    /// Takes note of a reading in a record of one's own, so that what follows it is later.
    pub fn see(&mut self, own: Hlc) {
        self.last = self.last.max(own);
    }

    /// Takes note of a reading that came from elsewhere, unless it is far ahead of `now`: one wrong
    /// clock would otherwise put everybody's forward. Answers whether it was taken.
    pub fn hear(&mut self, other: Hlc, now: Timestamp) -> bool {
        let taken = !other.is_far_ahead(now);
        if taken {
            self.see(other);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clock_that_is_a_day_ahead_is_not_followed() {
        let now = Timestamp::from_millis(1_000_000);
        let reading = |millis| Hlc { millis, count: 7 };
        let mut clock = HlcClock::default();
        assert!(!clock.hear(reading(now.millis() + 86_400_000), now));
        assert_eq!(clock.tick(now), Hlc { millis: now.millis(), count: 0 });
        assert!(clock.hear(reading(now.millis() + 300_000), now));
        assert_eq!(clock.tick(now), Hlc { millis: now.millis() + 300_000, count: 8 });
    }

    #[test]
    fn what_was_heard_is_earlier_than_what_follows() {
        let (behind, now) = (Timestamp::from_millis(1_000), Timestamp::from_millis(60_000));
        let mut clock = HlcClock::default();
        let heard = Hlc { millis: now.millis(), count: 3 };
        assert!(clock.hear(heard, behind));
        assert!(clock.tick(behind) > heard, "the wall clock alone decided");
    }

    proptest! {
        #[test]
        fn readings_only_grow(walls in proptest::collection::vec(0i64..50, 1..60)) {
            let mut clock = HlcClock::default();
            let mut last = None;
            for wall in walls {
                let reading = clock.tick(Timestamp::from_millis(wall));
                prop_assert!(Some(reading) > last);
                last = Some(reading);
            }
        }
    }
}
