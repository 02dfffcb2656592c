//! What is deployed in these tests.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use grit_rollout::slot::{Request, Trigger};
use grit_rollout::{
    Health, Instance, InstanceSet, InstanceState, Limits, Rolling, RunSpec, SlotId, Strategy, fake,
};
use grit_types::{Clock, CommitId, DeploymentId, Digest, Principal, Revision, Tenant, Timestamp};

/// When every test begins.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Moved by hand.
pub struct HandClock(AtomicI64);

impl Default for HandClock {
    fn default() -> Self {
        Self(AtomicI64::new(BEGIN.millis()))
    }
}

impl HandClock {
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.millis(), SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(SeqCst))
    }
}

pub fn slot() -> SlotId {
    SlotId {
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
        service: "api".parse().unwrap(),
    }
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn person(name: &str) -> Principal {
    name.parse().unwrap()
}

pub fn run(replicas: u32) -> RunSpec {
    RunSpec {
        command: vec!["./api".to_owned()],
        replicas,
        env: [].into(),
        health: Health {
            path: "/health".to_owned(),
            interval: secs(1),
            timeout: secs(1),
            healthy_threshold: 1,
            unhealthy_threshold: 2,
            deadline: secs(60),
        },
        request_timeout: secs(5),
        drain: secs(10),
        limits: Limits::default(),
    }
}

/// By hand, by alice, of a version that eve pushed.
pub fn request(version: &str, strategy: Strategy, replicas: u32) -> Request {
    Request {
        id: DeploymentId::derived(BEGIN, version.as_bytes()),
        slot: slot(),
        version: version.to_owned(),
        commit: commit(version),
        artifact: Digest::of(version.as_bytes()),
        run: run(replicas),
        strategy,
        gates: vec![],
        verify: vec![],
        trigger: Trigger::Manual,
        requested_by: person("alice"),
        authors: vec![person("eve")],
        changes: vec![],
        warm: secs(600),
    }
}

fn commit(version: &str) -> CommitId {
    Digest::of(version.as_bytes()).hex()[..40].parse().unwrap()
}

pub fn rolling() -> Strategy {
    Strategy::Rolling(Rolling { batch: 1, guard: None, soak: Duration::ZERO })
}

/// Two of a revision that are to run a version.
pub fn set(revision: u64, version: &str) -> InstanceSet {
    InstanceSet {
        slot: slot(),
        revision: Revision(revision),
        artifact: Digest::of(version.as_bytes()),
        version: version.to_owned(),
        run: run(2),
        replicas: 2,
    }
}

/// What becomes of an instance follows from the name of its version: `hung` and `failing` are none
/// that anybody gets to see.
pub fn fate(version: &str, instance: &Instance) -> Option<(Duration, fake::Turn)> {
    match instance.state {
        InstanceState::Stopping => Some((secs(1), fake::Turn::Gone)),
        InstanceState::Starting if version.contains("hung") => None,
        InstanceState::Starting if version.contains("failing") => Some((secs(2), fake::Turn::Fail)),
        InstanceState::Starting => Some((secs(1), fake::Turn::Ready)),
        InstanceState::Unhealthy => Some((secs(5), fake::Turn::Ready)),
        InstanceState::Ready | InstanceState::Failed => None,
    }
}
