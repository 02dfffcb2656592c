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

impl Hlc {
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

    /// Takes note of another's reading, so that what follows it here is later than it.
    pub fn see(&mut self, other: Hlc) {
        self.last = self.last.max(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
