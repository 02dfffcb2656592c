use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use grit_types::{InstanceId, Revision};

use super::histogram::{Histogram, Latencies};

/// The longest window that can be read.
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(SECONDS as u64 - 10);
/// Two minutes, and a few seconds that a slow reader may be behind.
const SECONDS: usize = 130;

/// The second of the statistics that `elapsed` since the epoch falls in. Zero is never.
pub(crate) fn second_of(elapsed: Duration) -> u64 {
    elapsed.as_secs() + 1
}

/// How a request that was sent to an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    /// Answered 500 to 599.
    Error,
    /// Not answered in time.
    Timeout,
    /// The connection was refused, or broke before an answer.
    Broken,
}

/// Sums of requests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub requests: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub broken: u64,
    /// Failed requests that another endpoint then answered; part of `broken`.
    pub retried: u64,
}

impl Counts {
    pub fn failed(&self) -> u64 {
        self.errors + self.timeouts + self.broken
    }

    pub fn less(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            errors: self.errors.saturating_sub(other.errors),
            timeouts: self.timeouts.saturating_sub(other.timeouts),
            broken: self.broken.saturating_sub(other.broken),
            retried: self.retried.saturating_sub(other.retried),
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.timeouts += other.timeouts;
        self.broken += other.broken;
        self.retried += other.retried;
    }
}

/// What one instance served: its endpoint's series, and one addend of its revision's.
///
/// It outlives weight changes, and the instance's place in the route.
pub(crate) struct Series {
    pub revision: Revision,
    pub instance: InstanceId,
    shards: Box<[OnceLock<Box<Shard>>]>,
}

impl Series {
    pub fn new(revision: Revision, instance: InstanceId, threads: usize) -> Self {
        let shards = (0..threads).map(|_| OnceLock::new()).collect();
        Self { revision, instance, shards }
    }

    /// The part that `thread`, and only it, writes.
    pub fn shard(&self, thread: usize) -> &Shard {
        self.shards[thread].get_or_init(|| Box::new(Shard::new()))
    }

    pub fn in_flight(&self) -> u64 {
        self.used().map(Shard::in_flight).sum()
    }

    /// Since the start.
    pub fn totals(&self) -> Counts {
        let mut sum = Counts::default();
        self.used().for_each(|shard| sum += shard.totals.read());
        sum
    }

    /// Within these seconds.
    pub fn counts(&self, seconds: RangeInclusive<u64>) -> Counts {
        let mut sum = Counts::default();
        for shard in self.used() {
            for second in seconds.clone() {
                sum += shard.counts(second);
            }
        }
        sum
    }

    pub fn latencies(&self, seconds: RangeInclusive<u64>, into: &mut Latencies) {
        for shard in self.used() {
            for second in seconds.clone() {
                shard.latencies(second, into);
            }
        }
    }

    fn used(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter_map(OnceLock::get).map(Box::as_ref)
    }
}

/// A thread's part of a series. Only that thread writes; readers may be a request behind.
pub(crate) struct Shard {
    in_flight: AtomicU64,
    totals: Cells,
    seconds: Box<[Second]>,
}

struct Second {
    /// Which second this is; zero while it is being cleared.
    stamp: AtomicU64,
    cells: Cells,
    latencies: OnceLock<Box<Histogram>>,
}

#[derive(Default)]
struct Cells {
    requests: AtomicU64,
    errors: AtomicU64,
    timeouts: AtomicU64,
    broken: AtomicU64,
    retried: AtomicU64,
}

impl Shard {
    fn new() -> Self {
        let second = || Second {
            stamp: AtomicU64::new(0),
            cells: Cells::default(),
            latencies: OnceLock::new(),
        };
        let seconds = (0..SECONDS).map(|_| second()).collect();
        Self { in_flight: AtomicU64::new(0), totals: Cells::default(), seconds }
    }

    pub fn enter(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed) + 1, Relaxed);
    }

    /// What the request did is visible to whoever sees it gone.
    pub fn leave(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_sub(1), Release);
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Acquire)
    }

    /// A request ended; `latency` is the time to the head of its answer.
    pub fn record(&self, second: u64, outcome: Outcome, latency: Duration) {
        let current = self.current(second);
        current.cells.count(outcome);
        self.totals.count(outcome);
        if outcome != Outcome::Broken {
            current.latencies.get_or_init(|| Box::new(Histogram::new())).record(latency);
        }
    }

    /// The connection broke in the middle of an answer that was already counted as a request.
    pub fn record_break(&self, second: u64) {
        bump(&self.current(second).cells.broken);
        bump(&self.totals.broken);
    }

    /// A request that failed here is tried elsewhere.
    pub fn record_retry(&self, second: u64) {
        bump(&self.current(second).cells.retried);
        bump(&self.totals.retried);
    }

    fn current(&self, second: u64) -> &Second {
        let slot = &self.seconds[second as usize % SECONDS];
        if slot.stamp.load(Relaxed) != second {
            slot.stamp.store(0, Release);
            slot.cells.clear();
            if let Some(latencies) = slot.latencies.get() {
                latencies.clear();
            }
            slot.stamp.store(second, Release);
        }
        slot
    }

    fn counts(&self, second: u64) -> Counts {
        let slot = &self.seconds[second as usize % SECONDS];
        if slot.stamp.load(Acquire) == second { slot.cells.read() } else { Counts::default() }
    }

    fn latencies(&self, second: u64, into: &mut Latencies) {
        let slot = &self.seconds[second as usize % SECONDS];
        if slot.stamp.load(Acquire) == second
            && let Some(latencies) = slot.latencies.get()
        {
            into.add(latencies);
        }
    }
}

impl Cells {
    fn count(&self, outcome: Outcome) {
        bump(&self.requests);
        match outcome {
            Outcome::Answered => (),
            Outcome::Error => bump(&self.errors),
            Outcome::Timeout => bump(&self.timeouts),
            Outcome::Broken => bump(&self.broken),
        }
    }

    fn read(&self) -> Counts {
        Counts {
            requests: self.requests.load(Relaxed),
            errors: self.errors.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            broken: self.broken.load(Relaxed),
            retried: self.retried.load(Relaxed),
        }
    }

    fn clear(&self) {
        let Self { requests, errors, timeouts, broken, retried } = self;
        for cell in [requests, errors, timeouts, broken, retried] {
            cell.store(0, Relaxed);
        }
    }
}

/// One writer: no read-modify-write is needed.
fn bump(cell: &AtomicU64) {
    cell.store(cell.load(Relaxed) + 1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let instance = InstanceId::derived(grit_types::Timestamp::from_millis(1), b"a");
        Series::new(Revision(1), instance, 2)
    }

    #[test]
    fn a_window_holds_its_seconds_and_no_others() {
        let series = series();
        for second in 1..=300 {
            series.shard(second as usize % 2).record(second, Outcome::Error, Duration::ZERO);
        }
        assert_eq!(series.counts(291..=300).requests, 10);
        assert_eq!(series.counts(291..=300).failed(), 10);
        assert_eq!(series.counts(1..=100).requests, 0);
        assert_eq!(series.totals().requests, 300);
    }

    #[test]
    fn a_second_that_comes_round_again_starts_empty() {
        let series = series();
        let shard = series.shard(0);
        shard.record(5, Outcome::Answered, Duration::from_millis(900));
        shard.record(5 + SECONDS as u64, Outcome::Answered, Duration::from_millis(1));
        let mut latencies = Latencies::default();
        series.latencies(5 + SECONDS as u64..=5 + SECONDS as u64, &mut latencies);
        assert!(latencies.percentile(100) < Duration::from_millis(2));
    }

    #[test]
    fn what_enters_leaves() {
        let series = series();
        series.shard(0).enter();
        series.shard(1).enter();
        assert_eq!(series.in_flight(), 2);
        series.shard(1).leave();
        series.shard(0).leave();
        assert_eq!(series.in_flight(), 0);
    }
}
