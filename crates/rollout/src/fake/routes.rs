use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grit_types::{InstanceId, Revision, Timestamp, Weight};

use crate::{
    Drained, Group, Observed, RevisionStats, Route, RouterError, SlotId, Stats, Trip, TripCause,
};

/// What is routed: fences, a guard that only moves to stable, and what a test says was served.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    slots: BTreeMap<SlotId, Routed>,
    served: BTreeMap<SlotId, BTreeMap<Revision, RevisionStats>>,
    in_flight: BTreeMap<InstanceId, u64>,
}

/// A slot's route, and the trip that holds.
#[derive(Clone, Debug)]
pub struct Routed {
    pub route: Route,
    pub trip: Option<Trip>,
}

impl Routes {
    /// Takes a route that is newer; the same again is answered the same.
    pub fn apply(&mut self, route: &Route) -> Result<Observed, RouterError> {
        let mut trip = None;
        if let Some(current) = self.slots.get(&route.slot) {
            if current.route == *route {
                return Ok(current.observed());
            }
            current.refuse_stale(route)?;
            trip = current.trip.clone().filter(|trip| trip.fence == route.fence);
        }
        let gives_back = trip.as_ref().is_some_and(|trip| gives(route, trip.revision));
        let gives_back = gives_back.then(|| "the guard took it out under this fence".to_owned());
        if let Some(problem) = problem(&route.groups).or(gives_back) {
            return Err(RouterError::Invalid { slot: route.slot.clone(), problem });
        }
        let routed = Routed { route: route.clone(), trip };
        let observed = routed.observed();
        self.slots.insert(route.slot.clone(), routed);
        Ok(observed)
    }

    /// The slot's route.
    pub fn get(&self, slot: &SlotId) -> Option<&Routed> {
        self.slots.get(slot)
    }

    /// All slots that were ever routed.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotId, &Routed)> {
        self.slots.iter()
    }

    /// The guard takes the revision out that it watches. `None`: it watches none.
    pub fn trip(&mut self, slot: &SlotId, at: Timestamp) -> Option<Trip> {
        let routed = self.slots.get_mut(slot)?;
        let (revision, _) = routed.watched()?;
        let trip = Trip {
            fence: routed.route.fence,
            revision,
            at,
            cause: TripCause::Errors,
            requests: 60,
            failed: 20,
            first_failure: Some("GET /catalogue 500".to_owned()),
        };
        routed.trip = Some(trip.clone());
        Some(trip)
    }

    /// From now on this is what a revision served, in whatever window is asked for.
    pub fn serve(&mut self, slot: &SlotId, revision: Revision, stats: RevisionStats) {
        self.served.entry(slot.clone()).or_default().insert(revision, stats);
    }

    /// What was served, of revisions that are routed or were said to serve.
    pub fn stats(&self, slot: &SlotId, window: Duration) -> Stats {
        let groups = self.slots.get(slot).into_iter().flat_map(|routed| &routed.route.groups);
        let mut revisions: BTreeMap<Revision, RevisionStats> =
            groups.map(|group| (group.revision, RevisionStats::default())).collect();
        revisions.extend(self.served.get(slot).cloned().unwrap_or_default());
        Stats { window, revisions }
    }

    /// From now on an instance has so many requests to answer.
    pub fn hold(&mut self, instance: InstanceId, in_flight: u64) {
        self.in_flight.insert(instance, in_flight);
    }

    /// How many requests the instances have to answer.
    pub fn in_flight(&self, instances: &[InstanceId]) -> u64 {
        let held = |id: &InstanceId| self.in_flight.get(id).copied().unwrap_or(0);
        instances.iter().map(held).sum()
    }

    /// How a drain ends: `None` as long as it goes on, which it does until it is `late`.
    pub fn drained(&self, instances: &[InstanceId], late: bool) -> Option<Drained> {
        match self.in_flight(instances) {
            0 => Some(Drained::Empty),
            in_flight => late.then_some(Drained::Cut { in_flight }),
        }
    }
}

impl Routed {
    /// What requests follow.
    pub fn weights(&self) -> BTreeMap<Revision, Weight> {
        // A later route under the fence has no weight for what tripped, and is followed as it is.
        let tripped = self.trip.as_ref().is_some_and(|trip| gives(&self.route, trip.revision));
        let share = |group: &Group| match (tripped, group.stable) {
            (true, true) => Weight::FULL,
            (true, false) => Weight::ZERO,
            (false, _) => group.weight,
        };
        self.route.groups.iter().map(|group| (group.revision, share(group))).collect()
    }

    /// As a router reads it back.
    pub fn observed(&self) -> Observed {
        Observed {
            fence: self.route.fence,
            sequence: self.route.sequence,
            weights: self.weights(),
            trip: self.trip.clone(),
        }
    }

    /// Whether a request may reach the instance now, or at once when the guard trips.
    pub fn reaches(&self, instance: InstanceId) -> bool {
        let weights = self.weights();
        let given = |group: &&Group| {
            let weight = weights.get(&group.revision);
            group.stable || weight.is_some_and(|weight| *weight > Weight::ZERO)
        };
        let served = self.route.groups.iter().filter(given);
        served.into_iter().flat_map(|group| &group.endpoints).any(|e| e.instance == instance)
    }

    /// The revision and version that the guard watches: one with traffic, while there is a way
    /// back.
    pub fn watched(&self) -> Option<(Revision, &str)> {
        let back = self.route.groups.iter().any(|g| g.stable && !g.endpoints.is_empty());
        if self.trip.is_some() || self.route.guard.is_none() || !back {
            return None;
        }
        let canary = self.route.groups.iter().find(|g| !g.stable && g.weight > Weight::ZERO)?;
        Some((canary.revision, &canary.version))
    }

    fn refuse_stale(&self, route: &Route) -> Result<(), RouterError> {
        let (current, current_sequence) = (self.route.fence, self.route.sequence);
        if (route.fence, route.sequence) > (current, current_sequence) {
            return Ok(());
        }
        Err(RouterError::Stale { slot: route.slot.clone(), current, current_sequence })
    }
}

fn gives(route: &Route, revision: Revision) -> bool {
    route.groups.iter().any(|group| group.revision == revision && group.weight > Weight::ZERO)
}

/// Why nobody could serve it.
fn problem(groups: &[Group]) -> Option<String> {
    let sum: u32 = groups.iter().map(|group| u32::from(group.weight.basis_points())).sum();
    let (mut revisions, mut instances) = (BTreeSet::new(), BTreeSet::new());
    let mut endpoints = groups.iter().flat_map(|group| &group.endpoints);
    let problem = if sum != u32::from(Weight::FULL.basis_points()) {
        format!("its weights sum to {sum} basis points")
    } else if groups.iter().any(Group::is_starved) {
        "a revision has a weight and no endpoint".to_owned()
    } else if groups.iter().filter(|group| group.stable).count() > 1 {
        "more than one group is stable".to_owned()
    } else if !groups.iter().all(|group| revisions.insert(group.revision)) {
        "a revision is in two groups".to_owned()
    } else if !endpoints.all(|e| instances.insert(e.instance) && is_address(&e.address)) {
        "an endpoint is there twice, or is no address and port".to_owned()
    } else {
        return None;
    };
    Some(problem)
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}
