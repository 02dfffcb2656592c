use grit_types::{InstanceId, Weight};

use super::Draft;
use crate::Instance;
use crate::slot::{Deployment, Ending, Event, Phase, Status, Why};

impl Draft {
    /// Goes back, and ends as what the deployment has come to: before any traffic it failed.
    pub(super) fn give_up(&mut self, number: u64, why: Why) {
        let Some(deployment) = self.slot.live(number) else { return };
        let ending = match (&why, deployment.shifted) {
            (_, true) => Ending::RolledBack,
            (Why::Aborted { .. }, false) => Ending::Cancelled,
            (_, false) => Ending::Failed,
        };
        self.roll_back(number, ending, why);
    }

    /// All traffic to stable first, then drain, then scale. A way back that is under way goes on
    /// as it is.
    pub(super) fn roll_back(&mut self, number: u64, ending: Ending, reason: Why) {
        let Some(deployment) = self.slot.live(number) else { return };
        if matches!(deployment.phase, Phase::RollingBack { .. }) {
            return;
        }
        let (shifted, from, revision) = (deployment.shifted, deployment.from, deployment.revision);
        let lost = reason.clone();
        self.record(Event::RollbackStarted { number, ending, reason, at: self.now });
        match from {
            // What it brings is what serves: a rollback to the stable revision. It stays.
            Some(from) if from == revision => self.finish(number, ending.status(), Some(lost)),
            _ if !shifted => self.drain_canary(number),
            Some(from) if !self.slot.serving(from).is_empty() => {
                self.all_to_stable(number, Some(number))
            }
            Some(from) => self.revive(number, from),
            // Nothing to go back to: what serves, however badly, goes on.
            None => {
                let superseded = matches!(ending, Ending::Superseded { .. });
                let status = if superseded { Status::Superseded } else { Status::Degraded };
                self.finish(number, status, Some(lost));
            }
        }
    }

    fn revive(&mut self, number: u64, from: grit_types::Revision) {
        let Some(record) = self.slot.revisions.get(&from) else { return };
        let replicas = record.run.replicas;
        self.record(Event::Scaling { number, revision: from, replicas });
    }

    fn all_to_stable(&mut self, number: u64, awaited: Option<u64>) {
        let Some(deployment) = self.slot.live(number) else { return };
        let group =
            deployment.from.and_then(|from| self.slot.group(from, Weight::FULL, true, usize::MAX));
        if let Some(route) = group.and_then(|group| self.route(vec![group])) {
            self.set(awaited, route);
        }
    }

    /// Stable has all traffic, read back.
    pub(super) fn back_on_stable(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        let Some(from) = deployment.from else { return };
        let wanted = self.slot.revisions.get(&from).map_or(0, |record| record.run.replicas);
        if self.slot.serving(from).len() < usize::try_from(wanted).unwrap_or(usize::MAX) {
            self.record(Event::Scaling { number, revision: from, replicas: wanted });
        } else {
            self.drain_canary(number);
        }
    }

    /// The old revision's instances came up.
    pub(super) fn revived(&mut self, number: u64, instances: &[Instance], restoring: bool) {
        let Some(revision) = self.slot.live(number).and_then(|d| d.from) else { return };
        let instances = instances.to_vec();
        self.record(Event::InstancesReady { number, revision, instances, at: self.now });
        self.all_to_stable(number, Some(number).filter(|_| !restoring));
        if restoring {
            self.drain_canary(number);
        }
    }

    pub(super) fn drain_canary(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        let revision = deployment.revision;
        let instances = self.instances_of(deployment);
        // One that is rolled back to has served before, and may not be done with it.
        let before = self.slot.revisions.get(&revision).is_some_and(|record| record.succeeded);
        let served = deployment.shifted || before;
        if instances.is_empty() || !served {
            // None named, so that those still being started end as well.
            self.record(Event::Stopping { revision, instances: vec![] });
        } else {
            self.record(Event::DrainStarted { revision, instances });
        }
    }

    fn instances_of(&self, deployment: &Deployment) -> Vec<InstanceId> {
        let record = self.slot.revisions.get(&deployment.revision);
        record.into_iter().flat_map(|r| &r.instances).map(|instance| instance.id).collect()
    }
}
