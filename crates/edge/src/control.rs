//! The one owner of what is routed: decides whether a route is taken, makes it durable, swaps the
//! table, and answers what is there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use grit_rollout::{Observed, RevisionStats, Route, RouterError, SlotId, Stats, Trip};
use grit_types::{Fence, InstanceId, Revision, Weight};
use tokio::sync::Notify;

use crate::check;
use crate::guard::Watch;
use crate::shared::Shared;
use crate::snapshot::{self, Snapshot, SnapshotError, SnapshotStore};
use crate::stats::{Book, Counts, Latencies, WINDOW_MAX, second_of};
use crate::table::{GroupEntry, RouteEntry, Table};
use crate::wire::{SlotState, SlotTrip, Totals, TripsAnswer};

pub(crate) struct Control {
    shared: Arc<Shared>,
    store: Box<dyn SnapshotStore>,
    slots: BTreeMap<SlotId, Slot>,
    /// Rung by a watch that trips.
    alarm: Arc<Notify>,
    trips: u64,
    /// A trip holds that could not be saved yet.
    unsaved: bool,
}

struct Slot {
    route: Route,
    trip: Option<Tripped>,
    entry: Arc<RouteEntry>,
    book: Book,
}

#[derive(Clone)]
struct Tripped {
    /// In the order in which they were noticed here.
    number: u64,
    trip: Trip,
}

impl Control {
    /// Serves what the store holds.
    pub fn open(shared: Arc<Shared>, store: Box<dyn SnapshotStore>) -> Result<Self, SnapshotError> {
        let Snapshot { routes, trips } = snapshot::load(store.as_ref())?;
        let alarm = Arc::default();
        let (slots, unsaved) = (BTreeMap::new(), false);
        let mut control = Self { shared, store, slots, alarm, trips: 0, unsaved };
        for route in routes {
            if let Some(problem) = check::problem(&route).or_else(|| control.host_taken(&route)) {
                let problem = format!("the route of {} is not usable: {problem}", route.slot);
                return Err(SnapshotError::Damaged { problem });
            }
            let mut trips = trips.iter().filter(|trip| trip.slot == route.slot);
            let trip = trips.next().map(|held| control.number(held.trip.clone()));
            control.install(route, trip);
        }
        control.publish();
        Ok(control)
    }

    /// Takes a route: durable first, then followed, then answered.
    pub fn apply(&mut self, route: Route) -> Result<Observed, RouterError> {
        self.absorb_trips();
        let mut trip = None;
        if let Some(current) = self.slots.get(&route.slot) {
            if current.route == route {
                return Ok(current.observed());
            }
            current.refuse_stale(&route)?;
            trip = current.trip.clone().filter(|held| held.trip.fence == route.fence);
        }
        let invalid = check::problem(&route)
            .or_else(|| self.host_taken(&route))
            .or_else(|| trip.as_ref().and_then(|held| gives_back(&route, &held.trip)));
        if let Some(problem) = invalid {
            return Err(RouterError::Invalid { slot: route.slot, problem });
        }
        self.save(Some((&route, trip.as_ref())))
            .map_err(|source| RouterError::Storage { slot: route.slot.clone(), source })?;
        let slot = route.slot.clone();
        self.install(route, trip);
        self.publish();
        self.absorb_trips();
        Ok(self.slots[&slot].observed())
    }

    pub fn observed(&mut self, slot: &SlotId) -> Option<Observed> {
        self.absorb_trips();
        self.slots.get(slot).map(Slot::observed)
    }

    /// What was served in the last `window`; whole seconds, so up to one more than asked for.
    pub fn stats(&self, slot: &SlotId, window: Duration) -> Stats {
        let elapsed = self.shared.epoch.elapsed();
        let from = second_of(elapsed.saturating_sub(window.min(WINDOW_MAX)));
        let covered = elapsed - Duration::from_secs(from - 1);
        let revisions = match self.slots.get(slot) {
            Some(slot) => slot.revisions(from, second_of(elapsed)),
            None => BTreeMap::new(),
        };
        Stats { window: covered, revisions }
    }

    /// Requests that the instances have in flight; `None` while a thread may still send them some.
    pub fn in_flight(&self, slot: &SlotId, instances: &[InstanceId]) -> Option<u64> {
        if !self.shared.is_settled() {
            return None;
        }
        let Some(slot) = self.slots.get(slot) else { return Some(0) };
        let of = slot.book.series().filter(|series| instances.contains(&series.instance));
        Some(of.map(|series| series.in_flight()).sum())
    }

    /// Trips that hold, by slot, numbered above `after`.
    pub fn trips(&self, edge: u64, after: u64) -> TripsAnswer {
        let held = |(slot, state): (&SlotId, &Slot)| {
            let held = state.trip.clone().filter(|held| held.number > after)?;
            Some(SlotTrip { slot: slot.clone(), trip: held.trip })
        };
        TripsAnswer { edge, last: self.trips, trips: self.slots.iter().filter_map(held).collect() }
    }

    pub fn state(&mut self) -> Vec<SlotState> {
        self.absorb_trips();
        self.slots.values().map(Slot::state).collect()
    }

    pub fn alarm(&self) -> Arc<Notify> {
        Arc::clone(&self.alarm)
    }

    /// Moves what tripped to stable for good; true if there was something new.
    pub fn absorb_trips(&mut self) -> bool {
        let tripped: Vec<(SlotId, Trip)> = self
            .slots
            .iter()
            .filter_map(|(id, slot)| Some((id.clone(), slot.tripped()?)))
            .collect();
        for (id, trip) in &tripped {
            tracing::warn!(
                slot = %id.stream(), revision = %trip.revision, requests = trip.requests,
                failed = trip.failed, "guard tripped, traffic is on stable"
            );
            let trip = self.number(trip.clone());
            let route = self.slots[id].route.clone();
            self.install(route, Some(trip));
        }
        if !tripped.is_empty() {
            self.publish();
            self.unsaved = true;
            self.save_trips();
        }
        !tripped.is_empty()
    }

    /// Saves trips that could not be saved; true when nothing is left to be saved.
    ///
    /// A trip is followed before it is durable: towards stable, the wait for a disk costs requests
    /// and saves none. Lost in a crash, it is found again by the next failures.
    pub fn save_trips(&mut self) -> bool {
        if self.unsaved {
            match self.save(None) {
                Ok(()) => self.unsaved = false,
                Err(error) => tracing::error!(%error, "a trip is not saved yet"),
            }
        }
        !self.unsaved
    }

    fn number(&mut self, trip: Trip) -> Tripped {
        self.trips += 1;
        Tripped { number: self.trips, trip }
    }

    fn host_taken(&self, route: &Route) -> Option<String> {
        let host = route.slot.host();
        let other = self.slots.keys().find(|slot| **slot != route.slot && slot.host() == host)?;
        Some(format!("`{host}` is the host of {}", other.stream()))
    }

    /// Saves everything, with `change` in the place of what its slot has.
    fn save(
        &mut self,
        change: Option<(&Route, Option<&Tripped>)>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let changed = change.map(|(route, _)| &route.slot);
        let others = self.slots.iter().filter(|(slot, _)| Some(*slot) != changed);
        let kept = others.map(|(_, slot)| (&slot.route, slot.trip.as_ref()));
        let mut snapshot = Snapshot::default();
        for (route, trip) in kept.chain(change) {
            let held =
                |trip: &Tripped| SlotTrip { slot: route.slot.clone(), trip: trip.trip.clone() };
            snapshot.trips.extend(trip.map(held));
            snapshot.routes.push(route.clone());
        }
        let bytes = snapshot::encode(&snapshot)?;
        self.store.save(&bytes)?;
        self.unsaved = false;
        Ok(())
    }

    /// Puts a route in its slot; followed after the next [`Control::publish`].
    fn install(&mut self, route: Route, trip: Option<Tripped>) {
        let elapsed = self.shared.epoch.elapsed();
        let old = self.slots.remove(&route.slot);
        let (mut book, old) = match old {
            Some(slot) => (slot.book, Some(slot.entry)),
            None => (Book::default(), None),
        };
        let mut build = Build {
            route: &route,
            // A later route under the fence has no weight for the revision, and is followed as is.
            tripped: trip.as_ref().is_some_and(|held| gives_back(&route, &held.trip).is_some()),
            threads: self.shared.threads(),
            elapsed,
            alarm: &self.alarm,
            old: old.as_deref(),
        };
        let entry = Arc::new(build.entry(&mut book));
        book.tidy(&route.groups, second_of(elapsed));
        self.slots.insert(route.slot.clone(), Slot { route, trip, entry, book });
    }

    fn publish(&self) {
        let hosts: HashMap<_, _> = self
            .slots
            .iter()
            .map(|(id, slot)| (id.host().into_boxed_str(), Arc::clone(&slot.entry)))
            .collect();
        self.shared.swap(Table { version: self.shared.version() + 1, hosts });
    }
}

impl Slot {
    fn refuse_stale(&self, route: &Route) -> Result<(), RouterError> {
        let (current, current_sequence) = (self.route.fence, self.route.sequence);
        if (route.fence, route.sequence) > (current, current_sequence) {
            return Ok(());
        }
        Err(RouterError::Stale { slot: route.slot.clone(), current, current_sequence })
    }

    fn observed(&self) -> Observed {
        let Route { fence, sequence, .. } = self.route;
        let weights = self.entry.groups.iter().map(|group| (group.revision, group.weight));
        let trip = self.trip.as_ref().map(|held| held.trip.clone());
        Observed { fence, sequence, weights: weights.collect(), trip }
    }

    fn tripped(&self) -> Option<Trip> {
        let served = self.entry.groups.iter().filter(|group| group.weight > Weight::ZERO);
        let mut watches = served.filter_map(|group| group.watch.as_ref());
        watches.find_map(|watch| watch.trip().cloned())
    }

    fn revisions(&self, from: u64, to: u64) -> BTreeMap<Revision, RevisionStats> {
        let mut sums: BTreeMap<Revision, (Counts, u64, Latencies)> = BTreeMap::new();
        for group in &self.entry.groups {
            sums.entry(group.revision).or_default();
        }
        for series in self.book.series() {
            let (counts, in_flight) = (series.counts(from..=to), series.in_flight());
            if counts == Counts::default() && in_flight == 0 {
                continue;
            }
            let sum = sums.entry(series.revision).or_default();
            sum.0 += counts;
            sum.1 += in_flight;
            series.latencies(from..=to, &mut sum.2);
        }
        sums.into_iter().map(|(revision, sum)| (revision, revision_stats(sum))).collect()
    }

    fn state(&self) -> SlotState {
        let totals = self.book.totals().into_iter().map(|(revision, (counts, in_flight, log))| {
            let Counts { requests, errors, timeouts, broken, retried } = counts;
            let (first_failure, last_failure) =
                log.map(|log| log.first_and_last()).unwrap_or_default();
            let totals = Totals {
                requests,
                errors,
                timeouts,
                broken,
                retried,
                in_flight,
                first_failure,
                last_failure,
            };
            (revision, totals)
        });
        SlotState {
            host: self.route.slot.host(),
            route: self.route.clone(),
            observed: self.observed(),
            totals: totals.collect(),
        }
    }
}

fn revision_stats((counts, in_flight, latencies): (Counts, u64, Latencies)) -> RevisionStats {
    let Counts { requests, errors, timeouts, broken, .. } = counts;
    let [p50, p95, p99] = [50, 95, 99].map(|percent| latencies.percentile(percent));
    RevisionStats { requests, errors, timeouts, broken, in_flight, p50, p95, p99 }
}

/// Under the fence it tripped under, a revision stays without traffic.
fn gives_back(route: &Route, trip: &Trip) -> Option<String> {
    let back = |group: &grit_rollout::Group| {
        group.revision == trip.revision && group.weight > Weight::ZERO
    };
    let Trip { revision, fence, .. } = trip;
    route.groups.iter().any(back).then(|| {
        format!("the guard took revision {revision} out under fence {fence}; a new one may try it")
    })
}

/// Makes a route ready for requests.
struct Build<'a> {
    route: &'a Route,
    tripped: bool,
    threads: usize,
    elapsed: Duration,
    alarm: &'a Arc<Notify>,
    old: Option<&'a RouteEntry>,
}

impl Build<'_> {
    fn entry(&mut self, book: &mut Book) -> RouteEntry {
        let groups = &self.route.groups;
        let fallback = groups.iter().position(|group| group.stable && !group.endpoints.is_empty());
        let groups: Vec<GroupEntry> =
            (0..groups.len()).map(|index| self.group(index, fallback, book)).collect();
        let weights: Vec<u32> =
            groups.iter().map(|group| u32::from(group.weight.basis_points())).collect();
        let routed: Vec<_> = groups.iter().flat_map(|group| &group.series).collect();
        RouteEntry {
            slot: self.route.slot.clone(),
            turns: crate::smooth::turns(&weights),
            prior: book.requests_outside(&routed),
            timeout_ms: u64::try_from(self.route.request_timeout.as_millis()).unwrap_or(u64::MAX),
            groups,
            fallback,
        }
    }

    fn group(&self, index: usize, fallback: Option<usize>, book: &mut Book) -> GroupEntry {
        let group = &self.route.groups[index];
        let series = book.open(group, self.threads);
        let evidence = (!group.stable).then(|| book.evidence(group.revision));
        let weight = match fallback {
            Some(stable) if self.tripped && stable == index => Weight::FULL,
            Some(_) if self.tripped => Weight::ZERO,
            _ => group.weight,
        };
        // Without a stable group there is nowhere to move traffic to.
        let guard = self.route.guard.as_ref().filter(|_| fallback.is_some() && !group.stable);
        let watch = guard.map(|guard| {
            self.kept_watch(group.revision, guard).unwrap_or_else(|| {
                evidence.iter().for_each(|evidence| evidence.forget_window());
                let identity = (self.route.fence, group.revision);
                let alarm = Arc::clone(self.alarm);
                Arc::new(Watch::arm(identity, guard.clone(), &series, self.elapsed, alarm))
            })
        });
        let parsed = |endpoint: &grit_rollout::Endpoint| check::address(&endpoint.address);
        let addresses = group.endpoints.iter().filter_map(parsed).collect();
        GroupEntry { revision: group.revision, weight, addresses, series, watch, evidence }
    }

    /// Under one fence, what was counted goes on counting across changes of weight.
    fn kept_watch(&self, revision: Revision, guard: &grit_rollout::Guard) -> Option<Arc<Watch>> {
        let (fence, old): (Fence, _) = (self.route.fence, self.old?);
        let mut watches = old.groups.iter().filter_map(|group| group.watch.as_ref());
        let same = |watch: &&Arc<Watch>| {
            watch.fence == fence && watch.revision == revision && watch.guard == *guard
        };
        watches.find(same).cloned()
    }
}
