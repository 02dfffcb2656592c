//! What occurred, and what should have.

use std::collections::{BTreeMap, BTreeSet};

use grit_control::aggregate::{Effect, Refusal};
use grit_control::repo;
use grit_pipeline::{concurrency, queue, run};
use grit_rollout::slot::{self, Status};

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The controller dies between any two actions; what was in flight is lost.
    Crash,
    /// An append is durable, and its answer says that it failed.
    LostAnswer,
    /// An outcome is delivered twice.
    DuplicatedOutcome,
    /// An effect that a dead controller was at is carried out again.
    ReissuedEffect,
    /// An outcome arrives seconds late, after what happened since.
    LateOutcome,
    /// A request of a dead controller reaches the edge after all.
    LateRequest,
    InstanceDeath,
    HungHealthCheck,
    /// Reports of instances come seconds late.
    SlowObservation,
    JournalFull,
    /// Reading the journal fails.
    JournalUnreadable,
    EdgeRestart,
    EdgeUnreachable,
}

impl Fault {
    pub const ALL: [Self; 13] = [
        Self::Crash,
        Self::LostAnswer,
        Self::DuplicatedOutcome,
        Self::ReissuedEffect,
        Self::LateOutcome,
        Self::LateRequest,
        Self::InstanceDeath,
        Self::HungHealthCheck,
        Self::SlowObservation,
        Self::JournalFull,
        Self::JournalUnreadable,
        Self::EdgeRestart,
        Self::EdgeUnreachable,
    ];
}

/// In how many of a hundred seeds every fault must fire.
const FAULT_SHARE_MIN: u64 = 90;

/// Kinds of things that are counted, and all there are of each.
const KNOWN: [(&str, &[&str]); 10] = [
    ("slot event", &SLOT_EVENTS),
    ("transition", &TRANSITIONS),
    ("run event", &RUN_EVENTS),
    ("repo event", &REPO_EVENTS),
    ("group event", &GROUP_EVENTS),
    ("queue event", &QUEUE_EVENTS),
    ("effect", &EFFECTS),
    ("refusal", &REFUSALS),
    ("run state", &["running", "cancelling", "success", "failure", "cancelled", "skipped"]),
    (
        "rollback",
        &[
            "Guard",
            "Analysis",
            "Health",
            "NeverReady",
            "Check",
            "Gate",
            "Aborted",
            "Superseded",
            "Route",
            "StableLost",
        ],
    ),
];

/// How deployments go from status to status.
const TRANSITIONS: [&str; 35] = [
    "GATED -> FAILED",
    "GATED -> QUEUED",
    "GATED -> SUPERSEDED",
    "PAUSED -> PROGRESSING",
    "PAUSED -> PROMOTING",
    "PAUSED -> PROVISIONING",
    "PAUSED -> ROLLING_BACK",
    "PENDING -> QUEUED",
    "PROGRESSING -> PAUSED",
    "PROGRESSING -> PROMOTING",
    "PROGRESSING -> PROVISIONING",
    "PROGRESSING -> ROLLING_BACK",
    "PROMOTING -> PAUSED",
    "PROMOTING -> PROGRESSING",
    "PROMOTING -> ROLLING_BACK",
    "PROMOTING -> SOAKING",
    "PROMOTING -> SUCCEEDED",
    "PROVISIONING -> PROGRESSING",
    "PROVISIONING -> PROMOTING",
    "PROVISIONING -> ROLLING_BACK",
    "PROVISIONING -> VERIFYING",
    "QUEUED -> PAUSED",
    "QUEUED -> PROGRESSING",
    "QUEUED -> PROVISIONING",
    "QUEUED -> SUPERSEDED",
    "ROLLING_BACK -> CANCELLED",
    "ROLLING_BACK -> DEGRADED",
    "ROLLING_BACK -> FAILED",
    "ROLLING_BACK -> ROLLED_BACK",
    "ROLLING_BACK -> SUPERSEDED",
    "SOAKING -> ROLLING_BACK",
    "SOAKING -> SUCCEEDED",
    "VERIFYING -> PROGRESSING",
    "VERIFYING -> PROMOTING",
    "VERIFYING -> ROLLING_BACK",
];

/// These may be missing among a few hundred seeds.
const RARE: [(&str, &str); 6] = [
    ("refusal", "run: not claimed"),
    ("transition", "GATED -> CANCELLED"),
    ("transition", "PAUSED -> SOAKING"),
    ("transition", "PAUSED -> SUCCEEDED"),
    ("transition", "QUEUED -> CANCELLED"),
    ("transition", "SOAKING -> PAUSED"),
];

const SLOT_EVENTS: [&str; 33] = [
    "deployment.requested",
    "deployment.gate_passed",
    "deployment.gate_rejected",
    "deployment.approved",
    "deployment.queued",
    "deployment.started",
    "rollout.step_started",
    "rollout.scaling",
    "rollout.instances_ready",
    "rollout.check_started",
    "rollout.check_passed",
    "rollout.weight_set",
    "rollout.weight_observed",
    "rollout.route_refused",
    "rollout.drain_started",
    "rollout.drained",
    "rollout.stopping",
    "rollout.stopped",
    "rollout.hold_started",
    "rollout.hold_expired",
    "rollout.paused",
    "rollout.resumed",
    "rollout.promoted",
    "rollout.analysis_started",
    "rollout.measuring",
    "rollout.measured",
    "rollout.tripped",
    "rollout.soak_started",
    "rollout.rollback_started",
    "deployment.finished",
    "deployment.issue_opened",
    "revision.retiring",
    "instances.changed",
];

const RUN_EVENTS: [&str; 18] = [
    "run.planned",
    "run.claimed",
    "run.granted",
    "run.job_expanded",
    "run.job_skipped",
    "run.job_started",
    "run.job_prepared",
    "run.step_started",
    "run.step_finished",
    "run.step_settled",
    "run.job_cancelling",
    "run.job_interrupted",
    "run.job_finished",
    "run.job_cleaned",
    "run.cancel_requested",
    "run.slots_wanted",
    "run.slots_given",
    "run.finished",
];

const GROUP_EVENTS: [&str; 5] =
    ["group.granted", "group.queued", "group.replaced", "group.superseded", "group.released"];

const QUEUE_EVENTS: [&str; 4] = ["queue.resized", "queue.asked", "queue.given", "queue.left"];

const REPO_EVENTS: [&str; 10] = [
    "pipeline.triggered",
    "commit.refs_held",
    "push.received",
    "commit.build_requested",
    "commit.planned",
    "commit.rejected",
    "artifact.published",
    "commit.run_concluded",
    "promotion.requested",
    "promotion.made",
];

const EFFECTS: [&str; 24] = [
    "start",
    "claim",
    "release",
    "tell",
    "want_slots",
    "leave_queue",
    "give",
    "ask_gate",
    "ensure_instances",
    "run_check",
    "set_weights",
    "drain",
    "stop_instances",
    "measure",
    "wake_at",
    "open_issue",
    "prepare_job",
    "start_step",
    "cancel_job",
    "clean_job",
    "wake_run_at",
    "conclude",
    "plan",
    "promote",
];

pub fn effect(effect: &Effect) -> &'static str {
    match effect {
        Effect::Slot(effect) => match effect {
            slot::Effect::AskGate { .. } => "ask_gate",
            slot::Effect::EnsureInstances { .. } => "ensure_instances",
            slot::Effect::RunCheck { .. } => "run_check",
            slot::Effect::SetWeights(_) => "set_weights",
            slot::Effect::Drain { .. } => "drain",
            slot::Effect::StopInstances { .. } => "stop_instances",
            slot::Effect::Measure { .. } => "measure",
            slot::Effect::WakeAt { .. } => "wake_at",
            slot::Effect::OpenIssue { .. } => "open_issue",
        },
        Effect::Run(effect) => match effect {
            run::Effect::PrepareJob(_) => "prepare_job",
            run::Effect::StartStep(_) => "start_step",
            run::Effect::CancelJob { .. } => "cancel_job",
            run::Effect::CleanJob { .. } => "clean_job",
            run::Effect::WakeAt { .. } => "wake_run_at",
            run::Effect::Conclude(_) => "conclude",
            run::Effect::Claim { .. } => "claim",
            run::Effect::Release { .. } => "release",
            run::Effect::WantSlots(_) => "want_slots",
            run::Effect::LeaveQueue { .. } => "leave_queue",
        },
        Effect::Repo(effect) => match effect {
            repo::Effect::Plan { .. } => "plan",
            repo::Effect::Promote { .. } => "promote",
            repo::Effect::Start { .. } => "start",
        },
        Effect::Group(concurrency::Effect::Tell { .. }) => "tell",
        Effect::Queue(queue::Effect::Give { .. }) => "give",
    }
}

const REFUSALS: [&str; 25] = [
    "slot: unchanged",
    "slot: no rollout",
    "slot: no approval",
    "slot: nothing to approve",
    "slot: own approval",
    "slot: role",
    "slot: not now",
    "slot: no revision",
    "slot: nothing before",
    "slot: nothing to retry",
    "run: planned",
    "run: not planned",
    "run: finished",
    "run: no jobs",
    "run: no such job",
    "run: no such need",
    "run: cycle",
    "run: unknown input",
    "run: missing input",
    "run: wrong input",
    "run: too large",
    "repo: unknown commit",
    "misplaced",
    "storage: full",
    "storage: failed",
];

pub fn refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Slot(refusal) => match refusal {
            slot::Refusal::Unchanged { .. } => "slot: unchanged",
            slot::Refusal::NoRollout => "slot: no rollout",
            slot::Refusal::NoApproval { .. } => "slot: no approval",
            slot::Refusal::NothingToApprove => "slot: nothing to approve",
            slot::Refusal::OwnApproval { .. } => "slot: own approval",
            slot::Refusal::Role { .. } => "slot: role",
            slot::Refusal::NotNow { .. } => "slot: not now",
            slot::Refusal::NoRevision { .. } => "slot: no revision",
            slot::Refusal::NothingBefore => "slot: nothing before",
            slot::Refusal::NothingToRetry { .. } => "slot: nothing to retry",
        },
        Refusal::Run(refusal) => match refusal {
            run::Refusal::Planned => "run: planned",
            run::Refusal::NotPlanned => "run: not planned",
            run::Refusal::Finished => "run: finished",
            run::Refusal::NoJobs => "run: no jobs",
            run::Refusal::NoSuchJob { .. } => "run: no such job",
            run::Refusal::NoSuchNeed { .. } => "run: no such need",
            run::Refusal::Cycle(_) => "run: cycle",
            run::Refusal::UnknownInput { .. } => "run: unknown input",
            run::Refusal::MissingInput { .. } => "run: missing input",
            run::Refusal::WrongInput { .. } => "run: wrong input",
            run::Refusal::TooLarge { .. } => "run: too large",
            run::Refusal::NotClaimed(_) => "run: not claimed",
            run::Refusal::CallNotClaimed(_) => "run: call not claimed",
            run::Refusal::NoApproval(_) => "run: no approval",
            run::Refusal::Role { .. } => "run: role",
            run::Refusal::OwnRun => "run: own run",
        },
        Refusal::Group(refusal) => match *refusal {},
        Refusal::Queue(refusal) => match *refusal {},
        Refusal::Repo(repo::Refusal::UnknownCommit { .. }) => "repo: unknown commit",
        Refusal::Misplaced { .. } => "misplaced",
    }
}

/// How often what occurred, in one seed or in many.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<(&'static str, String), u64>,
    faults: BTreeMap<Fault, u64>,
    /// In how many seeds.
    seeds_with: BTreeMap<Fault, u64>,
    pub seeds: u64,
    pub events: u64,
}

impl Tally {
    pub fn count(&mut self, kind: &'static str, name: &str) {
        *self.counts.entry((kind, name.to_owned())).or_default() += 1;
    }

    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds the tally of one seed.
    pub fn add(&mut self, seed: Self) {
        for (key, count) in seed.counts {
            *self.counts.entry(key).or_default() += count;
        }
        for (fault, count) in seed.faults {
            *self.faults.entry(fault).or_default() += count;
            *self.seeds_with.entry(fault).or_default() += 1;
        }
        self.seeds += 1;
        self.events += seed.events;
    }

    /// What is known and never occurred, what occurred and is not known, and faults that fired in
    /// too few seeds.
    pub fn gaps(&self) -> Vec<String> {
        let statuses: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
        let known = KNOWN.into_iter().chain([("status", statuses.as_slice())]);
        let mut expected: BTreeSet<(&str, String)> = BTreeSet::new();
        for (kind, names) in known {
            expected.extend(names.iter().map(|name| (kind, (*name).to_owned())));
        }
        let seen: BTreeSet<(&str, String)> = self.counts.keys().cloned().collect();
        let never = expected
            .difference(&seen)
            .map(|(kind, name)| format!("{kind} `{name}` never occurred"));
        let is_rare = |(kind, name): &&(&str, String)| RARE.contains(&(*kind, name.as_str()));
        let unlisted = seen.difference(&expected).filter(|one| !is_rare(one));
        let unlisted = unlisted.map(|(kind, name)| format!("{kind} `{name}` is in no list"));
        let rare = Fault::ALL.into_iter().filter_map(|fault| {
            let seeds = self.seeds_with.get(&fault).copied().unwrap_or_default();
            (seeds * 100 < self.seeds * FAULT_SHARE_MIN)
                .then(|| format!("fault {fault:?} fired in {seeds} of {} seeds", self.seeds))
        });
        never.chain(unlisted).chain(rare).collect()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for ((kind, name), count) in &self.counts {
            writeln!(f, "{kind:<12} {name:<28} {count:>9}")?;
        }
        for fault in Fault::ALL {
            let count = self.faults.get(&fault).copied().unwrap_or_default();
            let seeds = self.seeds_with.get(&fault).copied().unwrap_or_default();
            let name = format!("{fault:?}");
            writeln!(f, "{:<12} {name:<28} {count:>9}  in {seeds} seeds", "fault")?;
        }
        Ok(())
    }
}
