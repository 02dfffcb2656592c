//! The edge, as its contract has it: durable routes, fences, a guard that only moves to stable.

use std::collections::BTreeMap;

use grit_rollout::slot::RouteFailure;
use grit_rollout::{Observed, Route, SlotId, Trip, TripCause};
use grit_types::{InstanceId, Revision, Timestamp, Weight};

#[derive(Default)]
pub struct Edge {
    pub slots: BTreeMap<SlotId, Routed>,
    /// Does not answer, and serves nobody.
    pub down: bool,
}

pub struct Routed {
    pub route: Route,
    pub trip: Option<Trip>,
}

impl Routed {
    /// What requests follow.
    pub fn weights(&self) -> BTreeMap<Revision, Weight> {
        let tripped = self.trip.as_ref().is_some_and(|trip| {
            let given =
                |g: &grit_rollout::Group| g.revision == trip.revision && g.weight > Weight::ZERO;
            // A later route under the fence has no weight for it, and is followed as it is.
            self.route.groups.iter().any(given)
        });
        let share = |stable, weight| match (tripped, stable) {
            (true, true) => Weight::FULL,
            (true, false) => Weight::ZERO,
            (false, _) => weight,
        };
        let groups = self.route.groups.iter();
        groups.map(|group| (group.revision, share(group.stable, group.weight))).collect()
    }

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
        let served = self.route.groups.iter().filter(|group| {
            group.stable
                || weights.get(&group.revision).is_some_and(|weight| *weight > Weight::ZERO)
        });
        served.into_iter().flat_map(|group| &group.endpoints).any(|e| e.instance == instance)
    }

    /// The revision that the guard watches, while it has traffic and there is a way back.
    pub fn watched(&self) -> Option<(Revision, &str)> {
        let back = self.route.groups.iter().any(|g| g.stable && !g.endpoints.is_empty());
        if self.trip.is_some() || self.route.guard.is_none() || !back {
            return None;
        }
        let canary = self.route.groups.iter().find(|g| !g.stable && g.weight > Weight::ZERO)?;
        Some((canary.revision, &canary.version))
    }
}

impl Edge {
    pub fn apply(&mut self, route: &Route) -> Result<Observed, RouteFailure> {
        let current = self.slots.get(&route.slot);
        let mut trip = None;
        if let Some(current) = current {
            if current.route == *route {
                return Ok(current.observed());
            }
            let at = (current.route.fence, current.route.sequence);
            if (route.fence, route.sequence) <= at {
                let reason = format!("already routed under fence {}, act {}", at.0, at.1);
                return Err(RouteFailure::Stale { reason });
            }
            trip = current.trip.clone().filter(|trip| trip.fence == route.fence);
        }
        let gives_back = |trip: &&Trip| {
            route.groups.iter().any(|g| g.revision == trip.revision && g.weight > Weight::ZERO)
        };
        if let Some(trip) = trip.as_ref().filter(gives_back) {
            return Err(RouteFailure::Tripped { trip: Box::new(trip.clone()) });
        }
        let routed = Routed { route: route.clone(), trip };
        let observed = routed.observed();
        self.slots.insert(route.slot.clone(), routed);
        Ok(observed)
    }

    /// The guard takes a revision out.
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
}
