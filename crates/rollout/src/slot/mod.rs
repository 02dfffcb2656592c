//! The state of a slot: what is stable, what is being rolled out, what is routed.

mod command;
mod deployment;
mod effect;
mod event;

pub use command::{Command, GateVerdict, Outcome, Refusal, Request, RouteFailure, Trigger};
pub use deployment::{
    Act, Back, Change, Deployment, Ending, GateState, PauseReason, Phase, Stage, Status, Watch, Why,
};
pub use effect::{Effect, Timer};
pub use event::{Event, MeasureOf, Reading, Verdict};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use grit_types::{CommitId, DeploymentId, Digest, Fence, InstanceId, Revision, Sequence, Weight};
use serde::{Deserialize, Serialize};

use crate::{Endpoint, Group, Instance, InstanceState, Route, RunSpec, SlotId};

/// How many requests a slot knows again; one that comes a second time after so many others would
/// be taken for a new one.
pub const REQUESTS_REMEMBERED_MAX: usize = 64;

/// A slot, folded from its stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// Set by the first event.
    pub id: Option<SlotId>,
    /// Number of the newest deployment.
    pub last: u64,
    /// All deployments that are not yet over, and the one that ended last.
    pub deployments: BTreeMap<u64, Deployment>,
    /// The deployment that moves instances and traffic.
    pub active: Option<u64>,
    /// What all traffic goes to when nothing is being rolled out.
    pub stable: Option<Revision>,
    /// Every revision that ever was, so that any can be rolled back to.
    pub revisions: BTreeMap<Revision, RevisionRecord>,
    /// What the router was last told.
    pub routing: Option<Routing>,
    /// Chosen to end: they must never be routed to again.
    pub leaving: BTreeSet<InstanceId>,
    /// The newest [`REQUESTS_REMEMBERED_MAX`] requests, oldest first: delivered again, one of them
    /// deploys nothing.
    #[serde(default)]
    pub requests: VecDeque<DeploymentId>,
}

/// What a revision is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionRecord {
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub run: RunSpec,
    /// As last reported.
    pub instances: Vec<Instance>,
    /// It once carried all traffic, verified to the end.
    pub succeeded: bool,
    /// No longer needed: its instances are being ended.
    pub retiring: bool,
}

impl RevisionRecord {
    /// Those that can take requests now.
    pub fn ready(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.state == InstanceState::Ready)
    }
}

/// What the router was told, and whether it has read it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    pub fence: Fence,
    pub sequence: Sequence,
    pub route: Route,
    pub confirmed: bool,
    /// It will never follow it.
    #[serde(default)]
    pub refused: bool,
    /// Named by routes before this one, of which one may be in force until this one is read back.
    #[serde(default)]
    pub before: BTreeSet<InstanceId>,
}

impl Slot {
    /// The deployment that is being worked on.
    pub fn active(&self) -> Option<&Deployment> {
        self.deployments.get(&self.active?)
    }

    /// The deployment of that number, while it is not over.
    pub fn live(&self, number: u64) -> Option<&Deployment> {
        self.deployments.get(&number).filter(|deployment| !deployment.status().is_final())
    }

    /// Whether this request was taken already.
    pub fn has_taken(&self, request: DeploymentId) -> bool {
        let mut known = self.deployments.values().map(|deployment| deployment.request.id);
        self.requests.contains(&request) || known.any(|id| id == request)
    }

    /// The share of traffic that `revision` was last given.
    pub fn weight(&self, revision: Revision) -> Weight {
        let groups = self.routing.iter().flat_map(|routing| &routing.route.groups);
        groups
            .filter(|group| group.revision == revision)
            .map(|g| g.weight)
            .next_back()
            .unwrap_or(Weight::ZERO)
    }

    /// Whether requests may reach this instance by the last route.
    pub fn is_routed(&self, instance: InstanceId) -> bool {
        let groups = self.routing.iter().flat_map(|routing| &routing.route.groups);
        groups.flat_map(|group| &group.endpoints).any(|endpoint| endpoint.instance == instance)
    }

    /// The revision a rollback goes to unless told: the newest that succeeded before the stable.
    pub fn previous(&self) -> Option<Revision> {
        let older = |(revision, record): &(&Revision, &RevisionRecord)| {
            record.succeeded && Some(**revision) != self.stable
        };
        let mut history = self.revisions.iter().filter(older).map(|(revision, _)| *revision);
        match self.stable {
            Some(stable) => history.rfind(|revision| *revision < stable),
            None => history.max(),
        }
    }

    /// Whether the router has not yet answered to the last route: it may follow one before it.
    pub(crate) fn awaits_router(&self) -> bool {
        self.routing.as_ref().is_some_and(|routing| !routing.confirmed && !routing.refused)
    }

    /// Whether requests may reach this instance, by the last route or one that is still in force.
    pub(crate) fn may_be_reached(&self, instance: InstanceId) -> bool {
        let before =
            self.routing.as_ref().is_some_and(|routing| routing.before.contains(&instance));
        before || self.is_routed(instance)
    }

    /// The next place in the order of the slot's routes.
    pub(crate) fn next_sequence(&self) -> Sequence {
        self.routing.as_ref().map_or(Sequence(1), |routing| routing.sequence.next())
    }

    /// A group of the first `keep` ready instances of `revision`.
    ///
    /// Where none is ready, those last routed stay: an edge that retries serves better than one
    /// that has nowhere to go.
    pub(crate) fn group(
        &self,
        revision: Revision,
        weight: Weight,
        stable: bool,
        keep: usize,
    ) -> Option<Group> {
        let record = self.revisions.get(&revision)?;
        let endpoint = |instance: &Instance| Endpoint {
            instance: instance.id,
            address: instance.address.clone(),
        };
        let stays = |endpoint: &Endpoint| !self.leaving.contains(&endpoint.instance);
        let ready = record.ready().map(endpoint).filter(stays);
        let mut endpoints: Vec<Endpoint> = ready.take(keep).collect();
        if endpoints.is_empty() {
            let groups = self.routing.iter().flat_map(|routing| &routing.route.groups);
            let last = groups.filter(|group| group.revision == revision);
            let routed = last.flat_map(|group| group.endpoints.clone());
            endpoints = routed.filter(stays).take(keep).collect();
        }
        let version = record.version.clone();
        Some(Group { revision, version, weight, stable, endpoints })
    }

    /// Instances of `revision` that can take requests and are not chosen to end.
    pub(crate) fn serving(&self, revision: Revision) -> Vec<InstanceId> {
        let ready = self.revisions.get(&revision).into_iter().flat_map(RevisionRecord::ready);
        ready.map(|instance| instance.id).filter(|id| !self.leaving.contains(id)).collect()
    }
}
