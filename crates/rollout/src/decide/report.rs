use super::Draft;
use crate::slot::{Act, Back, Deployment, Event, Phase, Stage, Why};
use crate::{Endpoint, Group, Instance, InstanceState, Report, Trip};

impl Draft {
    pub(super) fn report(&mut self, report: &Report) {
        match report {
            Report::Instances { instances, .. } => self.instances(instances),
            Report::Tripped { trip, .. } => {
                let number = trip.fence.0;
                if self.slot.active == Some(number) {
                    self.tripped(number, trip);
                }
            }
        }
    }

    /// The edge has moved the traffic already; the controller makes it so.
    pub(super) fn tripped(&mut self, number: u64, trip: &Trip) {
        let Some(deployment) = self.slot.live(number) else { return };
        if matches!(deployment.phase, Phase::RollingBack { .. }) {
            return;
        }
        self.record(Event::Tripped { number, trip: Box::new(trip.clone()) });
        self.give_up(number, Why::Guard(Box::new(trip.clone())));
    }

    fn instances(&mut self, instances: &[Instance]) {
        if self.differs(instances) {
            self.instances_changed(instances);
        }
        self.retire_left_over();
    }

    /// What came up of a revision after its rollout had failed, because it was asked for before.
    pub(super) fn retire_left_over(&mut self) {
        let stays = |instance: &Instance| instance.state != InstanceState::Stopping;
        let records = self.slot.revisions.iter().filter(|(revision, record)| {
            !record.succeeded && !self.is_needed(**revision) && record.instances.iter().any(stays)
        });
        for revision in records.map(|(revision, _)| *revision).collect::<Vec<_>>() {
            self.retire(revision);
        }
    }

    fn instances_changed(&mut self, instances: &[Instance]) {
        let sick = self.unhealthy(instances);
        let instances = instances.to_vec();
        self.record(Event::InstancesChanged { instances, at: self.now });
        if let Some((number, why)) = sick {
            self.give_up(number, why);
        }
        self.refresh();
    }

    fn differs(&self, instances: &[Instance]) -> bool {
        let mut told: Vec<&Instance> = instances.iter().collect();
        told.sort_by_key(|instance| instance.id);
        let mut known: Vec<&Instance> =
            self.slot.revisions.values().flat_map(|record| &record.instances).collect();
        known.sort_by_key(|instance| instance.id);
        told != known
    }

    /// An instance of the new revision that died or sickened after it had been verified.
    fn unhealthy(&self, told: &[Instance]) -> Option<(u64, Why)> {
        let active = self.slot.active().filter(|active| active.verified)?;
        if matches!(active.phase, Phase::RollingBack { .. }) {
            return None;
        }
        let known = &self.slot.revisions.get(&active.revision)?.instances;
        let stays = |instance: &&Instance| !self.slot.leaving.contains(&instance.id);
        let (instance, reason) = known.iter().filter(stays).find_map(|before| {
            let now = told.iter().find(|instance| instance.id == before.id);
            sickness(before, now).map(|reason| (before.id, reason))
        })?;
        Some((active.number, Why::Health { instance, reason }))
    }

    /// Routes follow the instances: one that is not ready, or came back elsewhere, is replaced in
    /// the route at the weights in force. While an answer to a route is awaited this waits too.
    pub(super) fn refresh(&mut self) {
        let awaiting = self.slot.active().is_some_and(|active| active.awaited().is_some());
        let Some(routing) = self.slot.routing.as_ref().filter(|_| !awaiting) else { return };
        let last = routing.route.groups.clone();
        let groups: Vec<Group> = last.iter().filter_map(|group| self.refreshed(group)).collect();
        let endpoints = |groups: &[Group]| -> Vec<Vec<Endpoint>> {
            groups.iter().map(|group| group.endpoints.clone()).collect()
        };
        let starved = groups.len() != last.len() || groups.iter().any(Group::is_starved);
        if starved || endpoints(&groups) == endpoints(&last) {
            return;
        }
        if let Some(route) = self.route(groups) {
            self.set(None, route);
        }
    }

    /// While instances are being started, one that is ready early gets no requests yet: if the
    /// others fail, it is ended with them.
    fn refreshed(&self, group: &Group) -> Option<Group> {
        let keep = self.slot.active().map_or(usize::MAX, |active| kept(active, group.revision));
        let mut fresh = self.slot.group(group.revision, group.weight, group.stable, keep)?;
        if self.slot.active().is_some_and(|active| starts(active, group.revision)) {
            let routed = |endpoint: &Endpoint| {
                group.endpoints.iter().any(|known| known.instance == endpoint.instance)
            };
            fresh.endpoints.retain(routed);
            if fresh.endpoints.is_empty() {
                fresh.endpoints.clone_from(&group.endpoints);
            }
        }
        Some(fresh)
    }
}

/// Whether instances of the revision are being started.
fn starts(active: &Deployment, revision: grit_types::Revision) -> bool {
    match active.phase {
        Phase::Moving(Act::Ensuring) => active.revision == revision,
        Phase::RollingBack { back: Back::Reviving | Back::Restoring, .. } => {
            active.from == Some(revision)
        }
        _ => false,
    }
}

fn sickness(before: &Instance, now: Option<&Instance>) -> Option<String> {
    let Some(now) = now else { return Some("it is gone".to_owned()) };
    let said = |otherwise: &str| now.reason.clone().unwrap_or_else(|| otherwise.to_owned());
    match now.state {
        InstanceState::Unhealthy => Some(said("its health check fails")),
        InstanceState::Failed => Some(said("it failed for good")),
        _ if now.restarts > before.restarts => Some(said("it died")),
        InstanceState::Starting | InstanceState::Ready | InstanceState::Stopping => None,
    }
}

/// How many instances of a revision the current step routes to. Of the old one all that are not
/// chosen to end: before the step's weight is given, they are still needed.
fn kept(active: &Deployment, revision: grit_types::Revision) -> usize {
    if active.revision != revision || matches!(active.phase, Phase::RollingBack { .. }) {
        return usize::MAX;
    }
    let so_far = active.stages.iter().take(active.step + 1);
    let count = so_far.rev().find_map(|stage| match stage {
        Stage::Move { canary, .. } => usize::try_from(*canary).ok(),
        Stage::Hold { .. } | Stage::Measure(_) => None,
    });
    count.unwrap_or(usize::MAX)
}
