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
    salt: u32,
}

/// A salt has this many bits, which leaves four thousand readings in one millisecond.
const SALT_BITS: u32 = 20;

impl HlcClock {
    /// A clock that counts from and by a random number.
    ///
    /// An event is called by its bytes: without this, two processes that do the same thing in one
    /// millisecond would make one event of it.
    pub fn salted(random: u32) -> Self {
        Self { salt: random % (1 << SALT_BITS), ..Self::default() }
    }

    /// The next reading at wall-clock time `now`.
    pub fn tick(&mut self, now: Timestamp) -> Hlc {
        let (millis, salt) = (self.last.millis, self.salt);
        self.last = match self.last.count.checked_add(1 + salt) {
            _ if now.millis() > millis => Hlc { millis: now.millis(), count: salt },
            Some(count) => Hlc { millis, count },
            None => Hlc { millis: millis + 1, count: salt },
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
    fn two_that_do_the_same_at_once_do_two_things() {
        let now = Timestamp::from_millis(1_000);
        let heard = Hlc { millis: 2_000, count: 0 };
        let (mut one, mut other) = (HlcClock::salted(1), HlcClock::salted(2));
        assert_ne!(one.tick(now), other.tick(now));
        assert!(one.hear(heard, now) && other.hear(heard, now));
        assert_ne!(one.tick(now), other.tick(now));
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
        fn readings_only_grow(walls in proptest::collection::vec(0i64..50, 1..60), random: u32) {
            let mut clock = HlcClock::salted(random);
            let mut last = None;
            for wall in walls {
                let reading = clock.tick(Timestamp::from_millis(wall));
                prop_assert!(Some(reading) > last);
                last = Some(reading);
            }
        }
    }
}
