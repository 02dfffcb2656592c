//! What was seen, and what should have been and was not.

use std::collections::{BTreeMap, BTreeSet};

use grit_rollout::TripCause;
use grit_rollout::slot::Status;
use grit_types::Weight;
use serde::Serialize;

use crate::cli::args::{Demo, Fault};

/// The demo's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub repo: String,
    /// By version; empty where nothing of a service answered.
    pub versions: BTreeMap<String, VersionCount>,
    pub lost_before_the_bad_release: usize,
    pub resumed_after_ms: u64,
    pub killed_at: Weight,
    pub good: Status,
    /// The release with the fault.
    pub bad: Option<TrialView>,
    /// In the control run: the same fault again, with the guard.
    pub with_guard: Option<TrialView>,
    /// At the end all requests were answered by the version that should serve.
    pub settled: bool,
    pub own_approval_refused: bool,
    /// Of v1.0.0's api, by environment.
    pub digests: BTreeMap<String, String>,
    pub told: Told,
    /// States and weights, without times.
    pub sequence: Vec<String>,
    /// Where everything still runs, if it was asked to.
    pub kept: Option<Kept>,
    /// What was not observed; empty when all of it was.
    pub missing: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct VersionCount {
    pub requests: u64,
    pub failed: u64,
}

/// A release that should go wrong, and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialView {
    pub version: String,
    pub status: Status,
    pub reason: Option<String>,
    pub detector: Option<String>,
    pub recovery: Option<Recovery>,
}

/// From the first bad answer to the last; times in milliseconds since the load began.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    pub first_bad: Bad,
    /// When the guard tripped, or the controller decided to go back.
    pub detected_at_ms: Option<u64>,
    /// The first failed request that the guard counted.
    pub saw: Option<String>,
    pub last_bad: Bad,
    /// When the deployment was over.
    pub over_at_ms: Option<u64>,
    /// From the first bad to the last.
    pub took_ms: u64,
    pub failed: usize,
    /// Good answers that came too late.
    pub late: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bad {
    pub line: String,
    pub status: Option<u16>,
    /// When it was sent.
    pub at_ms: u64,
}

/// What a fresh clone tells.
#[derive(Debug, Serialize)]
pub struct Told {
    #[serde(skip)]
    pub lines: Vec<String>,
    pub deployments: usize,
    pub issues: usize,
    pub dora: serde_json::Value,
}

/// Where everything still runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub control: String,
    pub edge: String,
    pub folder: String,
    /// What to type to end it.
    pub end: String,
}

/// What should have been observed and was not.
pub fn missing(summary: &Summary, options: &Demo) -> Vec<String> {
    let mut missing = Vec::new();
    let mut expect = |seen: bool, what: &str| {
        if !seen {
            missing.push(what.to_owned());
        }
    };
    let digests: BTreeSet<&String> = summary.digests.values().collect();
    expect(summary.digests.len() == 3, "v1.0.0 in three environments");
    expect(digests.len() == 1, "the same digest in all of them");
    expect(summary.own_approval_refused, "the refusal of the author's own approval");
    expect(summary.good == Status::Succeeded, "v1.1.0 SUCCEEDED");
    expect(summary.lost_before_the_bad_release == 0, "no request lost up to v1.2.0");
    expect(summary.settled, "all traffic where it should be in the end");
    expect(summary.told.deployments >= 7, "the deployments in a fresh clone's ledger");
    let trials = || summary.bad.iter().chain(&summary.with_guard);
    let rolled_back = trials().filter(|trial| trial.status == Status::RolledBack).count();
    expect(summary.told.issues >= rolled_back, "an issue with the evidence of each rollback");
    let again = options.no_guard && options.fault != Fault::None;
    expect(summary.with_guard.is_some() == again, "the same release with the guard");
    let guards = [!options.no_guard, true];
    missing.extend(
        trials()
            .zip(guards)
            .filter_map(|(trial, guard)| by_its_own_detector(trial, options.fault, guard)),
    );
    missing
}

/// What the fault asked for should have been seen by its own detector.
fn by_its_own_detector(trial: &TrialView, fault: Fault, guard: bool) -> Option<String> {
    let TrialView { version, status, .. } = trial;
    let detector = trial.detector.as_deref().unwrap_or("nobody");
    let named = |cause: TripCause| format!("guard ({cause:?})").to_lowercase();
    let wanted = match (fault, guard) {
        (Fault::None, _) if *status == Status::Succeeded => return None,
        (Fault::None, _) => return Some(format!("{version} SUCCEEDED: it is {status}")),
        (Fault::Errors, true) => named(TripCause::Errors),
        (Fault::Hang, true) => named(TripCause::Timeouts),
        (Fault::Errors | Fault::Hang, false) | (Fault::Latency, _) => "analysis".to_owned(),
        (Fault::Crash, _) => "health".to_owned(),
    };
    let caught = *status == Status::RolledBack && detector == wanted;
    (!caught).then(|| format!("{version} rolled back by {wanted}: it is {status} by {detector}"))
}

/// For people.
pub fn text(summary: &Summary) -> String {
    let mut text = String::from("\n");
    for (version, count) in &summary.versions {
        let name = if version.is_empty() { "unanswered".to_owned() } else { format!("v{version}") };
        text.push_str(&format!("{name}: {} requests, {} failed\n", count.requests, count.failed));
    }
    text.push_str(&format!(
        "v1.1.0: {}; its controller was killed at {} and answered again after {} ms; requests lost: {}\n",
        summary.good, summary.killed_at, summary.resumed_after_ms, summary.lost_before_the_bad_release
    ));
    let trials = summary.bad.iter().chain(&summary.with_guard);
    trials.for_each(|trial| text.push_str(&trial_text(trial)));
    if let (Some(without), Some(with)) = (&summary.bad, &summary.with_guard) {
        text.push_str(&comparison(without, with));
    }
    for what in &summary.missing {
        text.push_str(&format!("NOT OBSERVED: {what}\n"));
    }
    if let Some(kept) = &summary.kept {
        text.push_str(&format!(
            "Kept: control {}, edge {}, folder {}\nTo look: grit --data {}/data status\nTo end it: {}\n",
            kept.control, kept.edge, kept.folder, kept.folder, kept.end
        ));
    }
    text.push_str("Next: `grit init --example shop` makes the shop yours\n");
    text
}

/// From the first bad answer on, line by line.
fn trial_text(trial: &TrialView) -> String {
    let reason = trial.reason.as_deref().unwrap_or("healthy to the end");
    let mut text = format!("{}: {} - {reason}\n", trial.version, trial.status);
    let Some(recovery) = &trial.recovery else {
        if trial.status == Status::RolledBack {
            text.push_str("         no request failed: the router asked another instance\n");
        }
        return text;
    };
    let since = |at: u64| at.saturating_sub(recovery.first_bad.at_ms);
    let mut line = |at: u64, what: &str, request: String| {
        let line = format!("{:>7} ms  {what:<17} {request}", since(at));
        text.push_str(&format!("{}\n", line.trim_end()));
    };
    line(recovery.first_bad.at_ms, "first bad answer", shown(&recovery.first_bad));
    if let Some(at) = recovery.detected_at_ms {
        let detector = trial.detector.as_deref().unwrap_or_default();
        let detector = detector.split(' ').next().unwrap_or_default();
        let saw = recovery.saw.as_ref().map(|saw| format!("the first that it counted: {saw}"));
        line(at, &format!("the {detector}"), saw.unwrap_or_default());
    }
    line(recovery.last_bad.at_ms, "last bad request", shown(&recovery.last_bad));
    if let Some(at) = recovery.over_at_ms {
        line(at, trial.status.as_str(), harm(recovery));
    }
    text
}

fn harm(recovery: &Recovery) -> String {
    match (recovery.failed, recovery.late) {
        (failed, 0) => format!("{failed} requests failed"),
        (0, late) => format!("{late} requests were late"),
        (failed, late) => format!("{failed} requests failed, {late} were late"),
    }
}

/// The control run's answer: the same fault, twice, under the same load.
fn comparison(without: &TrialView, with: &TrialView) -> String {
    let (Some(a), Some(b)) = (&without.recovery, &with.recovery) else { return String::new() };
    let told = |name: &str, trial: &TrialView, recovery: &Recovery| {
        let detector = trial.detector.as_deref().unwrap_or("nobody");
        let seconds = recovery.took_ms as f64 / 1_000.0;
        format!("{name} the guard: {} in {seconds:.2} s, ended by {detector}\n", harm(recovery))
    };
    let mut text = told("without", without, a) + &told("with", with, b);
    let failed = a.failed as i64 - b.failed as i64;
    let seconds = (a.took_ms as f64 - b.took_ms as f64) / 1_000.0;
    text.push_str(&match with.detector.as_deref() {
        Some(detector) if detector.starts_with("guard") => {
            format!("the guard saved {failed} failed requests and {seconds:.2} s\n")
        }
        _ => "the guard saved nothing: this fault is not its own to find\n".to_owned(),
    });
    text
}

fn shown(bad: &Bad) -> String {
    match bad.status {
        Some(status) => format!("{} {status}", bad.line),
        None => format!("{} without an answer", bad.line),
    }
}
