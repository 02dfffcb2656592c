//! The guard: it watches what a revision answers and takes its traffic away by itself.
//!
//! It is asked on the thread that saw a request fail, at that moment, and needs neither the
//! controller nor a lock of anybody who might be waiting for a disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use grit_rollout::{Guard, Trip, TripCause};
use grit_types::{Fence, Revision};
use tokio::sync::Notify;

use crate::clock;
use crate::stats::{Counts, Series, WINDOW_MAX, second_of};
use crate::wire::Failure;

/// The guard of one revision under one fence.
pub(crate) struct Watch {
    pub fence: Fence,
    pub revision: Revision,
    pub guard: Guard,
    /// The second it began in, and what had been counted in that second before.
    armed: u64,
    baseline: Counts,
    /// While failures are in the window, answers are looked at too: one of them may be the request
    /// that makes the number of requests large enough.
    suspect_until: AtomicU64,
    trip: OnceLock<Trip>,
    alarm: Arc<Notify>,
}

impl Watch {
    /// Begins to watch, at `elapsed` since the epoch; `alarm` is rung when it trips.
    pub fn arm(
        (fence, revision): (Fence, Revision),
        guard: Guard,
        series: &[Arc<Series>],
        elapsed: Duration,
        alarm: Arc<Notify>,
    ) -> Self {
        let armed = second_of(elapsed);
        let baseline = sum(series, armed, armed);
        let (suspect_until, trip) = (AtomicU64::new(0), OnceLock::new());
        Self { fence, revision, guard, armed, baseline, suspect_until, trip, alarm }
    }

    /// Set once, for good.
    pub fn trip(&self) -> Option<&Trip> {
        self.trip.get()
    }

    /// Takes note of a request of the revision, and trips where that was one too many.
    pub fn saw(
        &self,
        failed: bool,
        series: &[Arc<Series>],
        evidence: &Evidence,
        elapsed: Duration,
    ) {
        let now = second_of(elapsed);
        if failed {
            self.suspect_until.store(second_of(elapsed + self.guard.window), Relaxed);
        } else if self.suspect_until.load(Relaxed) < now {
            return;
        }
        if self.trip.get().is_some() {
            return;
        }
        let from = second_of(elapsed.saturating_sub(self.guard.window.min(WINDOW_MAX)));
        let from = from.max(self.armed);
        let mut counts = sum(series, from, now);
        if from == self.armed {
            counts = counts.less(self.baseline);
        }
        if self.is_too_much(counts) && self.trip.set(self.tripped(counts, evidence, from)).is_ok() {
            self.alarm.notify_one();
        }
    }

    fn is_too_much(&self, counts: Counts) -> bool {
        let share = u64::from(self.guard.error_rate.basis_points());
        counts.requests >= self.guard.min_requests.max(1)
            && counts.failed() * 10_000 > share * counts.requests
    }

    fn tripped(&self, counts: Counts, evidence: &Evidence, from: u64) -> Trip {
        Trip {
            fence: self.fence,
            revision: self.revision,
            at: clock::wall(),
            cause: cause(counts),
            requests: counts.requests,
            failed: counts.failed(),
            first_failure: evidence.first_since(from),
        }
    }
}

fn sum(series: &[Arc<Series>], from: u64, to: u64) -> Counts {
    let mut counts = Counts::default();
    series.iter().for_each(|series| counts += series.counts(from..=to));
    counts
}

fn cause(counts: Counts) -> TripCause {
    let Counts { errors, timeouts, broken, .. } = counts;
    if errors >= timeouts && errors >= broken {
        TripCause::Errors
    } else if timeouts >= broken {
        TripCause::Timeouts
    } else {
        TripCause::Connections
    }
}

/// Which requests failed on a revision: the first of each second, the first and the last of all.
#[derive(Default)]
pub(crate) struct Evidence(Mutex<Failures>);

#[derive(Default)]
struct Failures {
    by_second: VecDeque<(u64, String)>,
    first: Option<Failure>,
    last: Option<Failure>,
}

impl Evidence {
    pub fn failed(&self, second: u64, request: String) {
        let mut failures = self.lock();
        let failure = Failure { at: clock::wall(), request };
        if failures.by_second.back().is_none_or(|(last, _)| *last < second) {
            failures.by_second.push_back((second, failure.request.clone()));
            let oldest = second.saturating_sub(WINDOW_MAX.as_secs() + 1);
            while failures.by_second.front().is_some_and(|(first, _)| *first < oldest) {
                failures.by_second.pop_front();
            }
        }
        failures.first.get_or_insert_with(|| failure.clone());
        failures.last = Some(failure);
    }

    /// A new fence begins: what failed before is no evidence under it.
    pub fn forget_window(&self) {
        self.lock().by_second.clear();
    }

    pub fn first_and_last(&self) -> (Option<Failure>, Option<Failure>) {
        let failures = self.lock();
        (failures.first.clone(), failures.last.clone())
    }

    fn first_since(&self, second: u64) -> Option<String> {
        let failures = self.lock();
        failures.by_second.iter().find(|(at, _)| *at >= second).map(|(_, line)| line.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Outcome;
    use grit_types::{InstanceId, Timestamp, Weight};

    struct Bench {
        watch: Watch,
        series: Vec<Arc<Series>>,
        evidence: Evidence,
    }

    fn bench(before: u64) -> Bench {
        let instance = InstanceId::derived(Timestamp::from_millis(1), b"a");
        let series = vec![Arc::new(Series::new(Revision(2), instance, 1))];
        for _ in 0..before {
            series[0].shard(0).record(2, Outcome::Error, Duration::ZERO);
        }
        let guard = Guard {
            error_rate: Weight::from_percent(10).unwrap(),
            window: Duration::from_secs(10),
            min_requests: 20,
        };
        let at = Duration::from_millis(1_500);
        let watch = Watch::arm((Fence(7), Revision(2)), guard, &series, at, Arc::default());
        Bench { watch, series, evidence: Evidence::default() }
    }

    impl Bench {
        fn send(&self, at: Duration, outcome: Outcome) {
            let failed = outcome != Outcome::Answered;
            self.series[0].shard(0).record(second_of(at), outcome, Duration::ZERO);
            if failed {
                self.evidence.failed(second_of(at), format!("at {}", at.as_secs()));
            }
            self.watch.saw(failed, &self.series, &self.evidence, at);
        }
    }

    #[test]
    fn too_few_requests_trip_nothing() {
        let bench = bench(0);
        (0..19).for_each(|_| bench.send(Duration::from_secs(3), Outcome::Error));
        assert!(bench.watch.trip().is_none());
        bench.send(Duration::from_secs(3), Outcome::Timeout);
        let trip = bench.watch.trip().unwrap();
        assert_eq!((trip.requests, trip.failed, trip.cause), (20, 20, TripCause::Errors));
        assert_eq!(trip.first_failure.as_deref(), Some("at 3"));
    }

    #[test]
    fn an_answer_may_be_the_request_that_was_missing() {
        let bench = bench(0);
        (0..5).for_each(|_| bench.send(Duration::from_secs(3), Outcome::Broken));
        (0..14).for_each(|_| bench.send(Duration::from_secs(4), Outcome::Answered));
        assert!(bench.watch.trip().is_none());
        bench.send(Duration::from_secs(4), Outcome::Answered);
        assert_eq!(bench.watch.trip().unwrap().cause, TripCause::Connections);
    }

    #[test]
    fn the_share_itself_is_allowed() {
        let bench = bench(0);
        (0..18).for_each(|_| bench.send(Duration::from_secs(3), Outcome::Answered));
        (0..2).for_each(|_| bench.send(Duration::from_secs(3), Outcome::Error));
        assert!(bench.watch.trip().is_none());
        bench.send(Duration::from_secs(3), Outcome::Error);
        assert!(bench.watch.trip().is_some());
    }

    #[test]
    fn failures_that_left_the_window_do_not_count() {
        let bench = bench(0);
        (0..19).for_each(|_| bench.send(Duration::from_secs(3), Outcome::Error));
        (0..19).for_each(|_| bench.send(Duration::from_secs(20), Outcome::Error));
        assert!(bench.watch.trip().is_none());
    }

    #[test]
    fn failures_from_before_it_was_armed_do_not_count() {
        let bench = bench(100);
        (0..19).for_each(|_| bench.send(Duration::from_millis(1_600), Outcome::Error));
        assert!(bench.watch.trip().is_none());
        bench.send(Duration::from_millis(1_700), Outcome::Error);
        assert_eq!(bench.watch.trip().unwrap().requests, 20);
    }
}
