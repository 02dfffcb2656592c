use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Sixteen buckets to each power of two: a bucket is at most 1/16 of its value wide, and a quantile
/// read from its middle is off by at most 1/32.
const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// 2^26 µs is 67 s: longer ones count as that.
const TOP_BITS: u32 = 26;
const BUCKETS: usize = SUB + (TOP_BITS - SUB_BITS) as usize * SUB;

/// Latencies of one second, written by one thread.
pub(crate) struct Histogram([AtomicU32; BUCKETS]);

impl Histogram {
    pub fn new() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }

    pub fn record(&self, latency: Duration) {
        let cell = &self.0[bucket(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))];
        // One writer: no read-modify-write is needed.
        cell.store(cell.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub fn clear(&self) {
        for cell in &self.0 {
            cell.store(0, Relaxed);
        }
    }
}

/// Latencies of many seconds, threads and endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Latencies {
    counts: Box<[u64]>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }
}

impl Latencies {
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, cell) in self.counts.iter_mut().zip(&histogram.0) {
            let count = u64::from(cell.load(Relaxed));
            *sum += count;
            self.total += count;
        }
    }

    /// The latency that `percent` of 1..=100 of the requests stay below; zero without requests.
    pub fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(middle(index));
            }
        }
        Duration::ZERO
    }
}

fn bucket(micros: u64) -> usize {
    if micros < SUB as u64 {
        return micros as usize;
    }
    let top = micros.ilog2();
    if top >= TOP_BITS {
        return BUCKETS - 1;
    }
    let octave = (top - SUB_BITS) as usize;
    let within = (micros >> (top - SUB_BITS)) as usize & (SUB - 1);
    SUB + octave * SUB + within
}

fn middle(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64;
    }
    let (octave, within) = ((bucket - SUB) / SUB, (bucket - SUB) % SUB);
    let width = 1u64 << octave;
    (SUB + within) as u64 * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_percentile_is_off_by_at_most_a_thirtysecond(
            mut micros in prop::collection::vec(0u64..60_000_000, 1..300), percent in 1u64..=100,
        ) {
            let histogram = Histogram::new();
            micros.iter().for_each(|m| histogram.record(Duration::from_micros(*m)));
            let mut latencies = Latencies::default();
            latencies.add(&histogram);
            micros.sort_unstable();
            let rank = (micros.len() as u64 * percent).div_ceil(100) as usize;
            let (exact, found) = (micros[rank - 1], latencies.percentile(percent));
            let bound = exact / 32 + 1;
            prop_assert!(found.as_micros().abs_diff(u128::from(exact)) <= u128::from(bound));
        }
    }

    #[test]
    fn nothing_measured_is_zero_and_beyond_the_top_is_the_top() {
        assert_eq!(Latencies::default().percentile(99), Duration::ZERO);
        let histogram = Histogram::new();
        histogram.record(Duration::MAX);
        let mut latencies = Latencies::default();
        latencies.add(&histogram);
        assert!(latencies.percentile(50) > Duration::from_secs(60));
    }
}
