//! What a world consists of and what happens in it, drawn from its seed.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_rollout::slot::{Change, Request, Trigger};
use grit_rollout::{
    Analysis, Approval, Canary, Gate, Guard, Health, Limits, Metric, Rolling, RunSpec, SlotId,
    Step, Strategy,
};
use grit_types::{CommitId, DeploymentId, Digest, Principal, Role, Tenant, Timestamp, Weight};

use super::rng::Rng;
use super::world::Moment;

/// What a version turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    Good,
    NeverReady,
    /// Its health check never answers.
    Hung,
    /// It dies again and again.
    Crashing,
    /// Its health check fails now and then.
    Sickly,
    /// It answers 500.
    Erroring,
    Slow,
    /// Its smoke test fails.
    FailingCheck,
}

impl Quality {
    fn draw(rng: &mut Rng) -> Self {
        const OTHERS: [Quality; 7] = [
            Quality::NeverReady,
            Quality::Hung,
            Quality::Crashing,
            Quality::Sickly,
            Quality::Erroring,
            Quality::Slow,
            Quality::FailingCheck,
        ];
        if rng.chance(50) { Self::Good } else { *rng.pick(&OTHERS) }
    }
}

/// A version that somebody wrote.
#[derive(Clone, Debug)]
pub struct Release {
    pub name: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub author: Principal,
    pub quality: Quality,
}

/// A slot and how it is deployed to.
pub struct Lane {
    pub slot: SlotId,
    pub gates: Vec<Gate>,
    pub verify: Vec<String>,
    pub replicas: u32,
    pub warm: Duration,
    /// Requests per second and per hundred of weight.
    pub traffic: u64,
}

/// What happens at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Push,
    PushAgain,
    Deploy,
    /// Of a version that turns out to be this.
    DeployA(Quality),
    Steer,
    SteerWisely,
    Approve,
    CancelRun,
    Publish,
    /// A run that cannot be planned, or is asked what it cannot do.
    OddRun,
    Misplace,
    Crash,
    /// As soon as it comes to that.
    CrashIn(Moment),
    /// Somebody acts at the edge, past the controller.
    Meddle,
    LoseStable,
    KillInstance,
    JournalFull,
    JournalUnreadable,
    SlowObservation,
    EdgeRestart,
    EdgeUnreachable,
}

/// When everything that was planned is over, and people only tidy up.
pub const SPAN_MS: u64 = 150_000;

pub struct Scenario {
    pub lanes: Vec<Lane>,
    pub acts: Vec<(u64, Act)>,
    releases: BTreeMap<String, Release>,
}

pub const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

pub fn person(name: &str) -> Principal {
    name.parse().expect("a valid name")
}

impl Scenario {
    pub fn draw(rng: &mut Rng) -> Self {
        let lanes = lanes(rng);
        Self { lanes, acts: acts(rng), releases: BTreeMap::new() }
    }

    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.releases.values()
    }

    pub fn quality(&self, version: &str) -> Quality {
        self.releases.get(version).map_or(Quality::Good, |release| release.quality)
    }

    /// From now on the version never comes up.
    pub fn spoil(&mut self, version: &str) {
        if let Some(release) = self.releases.get_mut(version) {
            release.quality = Quality::NeverReady;
        }
    }

    /// Somebody writes another version.
    pub fn write(&mut self, quality: Option<Quality>, rng: &mut Rng) -> Release {
        let number = self.releases.len() + 1;
        let quality = quality.unwrap_or_else(|| Quality::draw(rng));
        let name = format!("v{number:02}");
        let release = Release {
            commit: format!("{number:040x}").parse().expect("a commit id"),
            artifact: Digest::of(name.as_bytes()),
            author: person(PEOPLE[rng.below(PEOPLE.len())]),
            name: name.clone(),
            quality,
        };
        self.releases.insert(name, release.clone());
        release
    }

    /// The request of a release for a lane.
    pub fn request(
        &self,
        lane: &Lane,
        release: &Release,
        id: DeploymentId,
        trigger: Trigger,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Request {
        // A person may deploy past all gates.
        let past = release.quality == Quality::Hung || rng.chance(90);
        let gated = trigger == Trigger::Push || !past;
        let change =
            Change { commit: release.commit.clone(), at: now, subject: release.name.clone() };
        Request {
            id,
            slot: lane.slot.clone(),
            version: release.name.clone(),
            commit: release.commit.clone(),
            artifact: release.artifact,
            run: run_spec(lane),
            strategy: strategy(rng),
            gates: if gated { lane.gates.clone() } else { vec![] },
            verify: lane.verify.clone(),
            trigger,
            requested_by: release.author.clone(),
            authors: vec![release.author.clone()],
            changes: vec![change],
            warm: lane.warm,
        }
    }
}

fn lanes(rng: &mut Rng) -> Vec<Lane> {
    let names: &[(&str, &str)] = match rng.below(4) {
        0 => &[("production", "api")],
        1 => &[("staging", "api"), ("production", "api")],
        2 => &[("production", "api"), ("production", "web")],
        _ => &[("staging", "api"), ("production", "api"), ("production", "web")],
    };
    let staged = names.iter().any(|(environment, _)| *environment == "staging");
    names.iter().map(|(environment, service)| lane(environment, service, staged, rng)).collect()
}

fn lane(environment: &str, service: &str, staged: bool, rng: &mut Rng) -> Lane {
    let slot = SlotId {
        tenant: Tenant::local(),
        repo: "shop".parse().expect("a name"),
        environment: environment.parse().expect("a name"),
        service: service.parse().expect("a name"),
    };
    let mut gates = vec![];
    if environment == "production" && service == "api" && staged && rng.chance(60) {
        gates.push(Gate::After("staging".parse().expect("a name")));
    }
    if service == "web" && rng.chance(60) {
        gates.push(Gate::Needs(vec!["api".parse().expect("a name")]));
    }
    if rng.chance(30) {
        gates.push(Gate::Checks(vec![(*rng.pick(&["job0", "job1", "lint"])).to_owned()]));
    }
    if rng.chance(40) {
        gates.push(Gate::Approval(Approval {
            min: rng.between(1, 2) as u32,
            roles: if rng.chance(50) { vec![Role::Admin, Role::Owner] } else { vec![] },
            distinct: rng.chance(60),
        }));
    }
    Lane {
        slot,
        gates,
        verify: (0..rng.below(3)).map(|n| format!("./smoke {n}")).collect(),
        replicas: rng.between(1, 3) as u32,
        warm: Duration::from_secs(rng.between(0, 20)),
        traffic: *rng.pick(&[0, 2, 50, 50, 50]),
    }
}

fn run_spec(lane: &Lane) -> RunSpec {
    RunSpec {
        command: vec!["./serve".to_owned()],
        replicas: lane.replicas,
        env: BTreeMap::new(),
        health: Health {
            path: "/health".to_owned(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_threshold: 1,
            unhealthy_threshold: 2,
            deadline: Duration::from_secs(10),
        },
        request_timeout: Duration::from_secs(2),
        drain: Duration::from_secs(3),
        limits: Limits::default(),
    }
}

fn seconds(rng: &mut Rng, low: u64, high: u64) -> Duration {
    Duration::from_secs(rng.between(low, high))
}

fn strategy(rng: &mut Rng) -> Strategy {
    let guard = rng.chance(70).then(|| Guard {
        error_rate: Weight::from_percent(5).unwrap_or(Weight::FULL),
        window: Duration::from_secs(5),
        min_requests: 10,
    });
    let soak = if rng.chance(50) { Duration::ZERO } else { seconds(rng, 1, 10) };
    if rng.chance(30) {
        return Strategy::Rolling(Rolling { batch: rng.between(1, 2) as u32, guard, soak });
    }
    let count = rng.between(1, 5);
    let steps = (0..count).map(|_| step(rng)).collect();
    let analysis = rng.chance(40).then(|| analysis(rng, None));
    Strategy::Canary(Canary { steps, analysis, guard, soak })
}

fn step(rng: &mut Rng) -> Step {
    match rng.below(10) {
        0..=4 => {
            let percent = *rng.pick(&[0, 5, 20, 33, 50, 80, 100]);
            Step::SetWeight(Weight::from_percent(percent).unwrap_or(Weight::FULL))
        }
        5..=6 => Step::Pause(Some(seconds(rng, 1, 10))),
        7 => Step::Pause(None),
        _ => {
            let count = rng.between(1, 3) as u32;
            Step::Analysis(analysis(rng, Some(count)))
        }
    }
}

fn analysis(rng: &mut Rng, count: Option<u32>) -> Analysis {
    Analysis {
        metrics: vec![
            Metric::SuccessRate { min: Weight::from_percent(99).unwrap_or(Weight::FULL) },
            Metric::Latency { percentile: 99, max: Duration::from_millis(500) },
        ],
        interval: seconds(rng, 1, 4),
        count,
        failure_limit: rng.between(0, 1) as u32,
        inconclusive_limit: rng.between(0, 2) as u32,
        min_requests: 5,
    }
}

fn acts(rng: &mut Rng) -> Vec<(u64, Act)> {
    // How many of each at least and at most.
    const PLAN: [(Act, u64, u64); 21] = [
        (Act::Push, 2, 4),
        (Act::PushAgain, 0, 2),
        (Act::Deploy, 2, 4),
        (Act::Steer, 1, 4),
        (Act::SteerWisely, 4, 8),
        (Act::Approve, 2, 6),
        (Act::CancelRun, 0, 2),
        (Act::Publish, 0, 2),
        (Act::OddRun, 0, 4),
        (Act::Misplace, 0, 1),
        (Act::Crash, 0, 2),
        (Act::CrashIn(Moment::RequestSent), 0, 1),
        (Act::CrashIn(Moment::Appended), 1, 2),
        (Act::Meddle, 0, 1),
        (Act::LoseStable, 0, 1),
        (Act::KillInstance, 1, 3),
        (Act::JournalFull, 1, 3),
        (Act::JournalUnreadable, 1, 3),
        (Act::SlowObservation, 1, 2),
        (Act::EdgeRestart, 1, 2),
        (Act::EdgeUnreachable, 1, 2),
    ];
    let mut acts = vec![
        (100, Act::Push),
        (200, Act::DeployA(Quality::Good)),
        (20_000, Act::DeployA(Quality::Hung)),
        (40_000, Act::DeployA(Quality::Erroring)),
        (70_000, Act::DeployA(Quality::Good)),
        (95_000, Act::DeployA(Quality::Slow)),
        (120_000, Act::DeployA(Quality::Hung)),
        (rng.between(1_000, 40_000), Act::CrashIn(Moment::RequestSent)),
        (rng.between(40_000, 80_000), Act::CrashIn(Moment::RequestSent)),
    ];
    for (act, least, most) in PLAN {
        for _ in 0..rng.between(least, most) {
            acts.push((rng.between(1_000, SPAN_MS), act));
        }
    }
    acts
}
