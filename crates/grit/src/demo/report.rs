//! What was seen, and what should have been and was not.

use std::collections::BTreeMap;

use grit_rollout::TripCause;
use grit_rollout::slot::{Status, Why};
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
    pub bad: Status,
    pub reason: Option<String>,
    pub detector: Option<String>,
    /// At the end all requests were answered by the version that should serve.
    pub settled: bool,
    pub own_approval_refused: bool,
    /// Of v1.0.0's api, by environment.
    pub digests: BTreeMap<String, String>,
    pub recovery: Option<Recovery>,
    pub told: Told,
    /// States and weights, without times.
    pub sequence: Vec<String>,
    /// What was not observed; empty when all of it was.
    pub missing: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct VersionCount {
    pub requests: u64,
    pub failed: u64,
}

/// From the first bad answer to the last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    pub first_bad: Bad,
    /// What the guard saw first.
    pub guard: Option<String>,
    pub last_bad: Bad,
    pub took_ms: u64,
    pub failed: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bad {
    pub line: String,
    pub status: Option<u16>,
    /// Since the load began.
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

/// What should have been observed and was not.
pub fn missing(summary: &Summary, evidence: Option<&Why>) -> Vec<String> {
    let mut missing = Vec::new();
    let mut expect = |seen: bool, what: &str| {
        if !seen {
            missing.push(what.to_owned());
        }
    };
    let digests: std::collections::BTreeSet<&String> = summary.digests.values().collect();
    expect(summary.digests.len() == 3, "v1.0.0 in three environments");
    expect(digests.len() == 1, "the same digest in all of them");
    expect(summary.own_approval_refused, "the refusal of the author's own approval");
    expect(summary.good == Status::Succeeded, "v1.1.0 SUCCEEDED");
    expect(summary.lost_before_the_bad_release == 0, "no request lost up to v1.2.0");
    expect(summary.settled, "all traffic where it should be in the end");
    expect(summary.told.deployments >= 7, "the deployments in a fresh clone's ledger");
    let rolled_back = summary.bad == Status::RolledBack;
    let succeeded = summary.bad == Status::Succeeded;
    expect(rolled_back || succeeded, "an end of v1.2.0");
    if rolled_back {
        expect(evidence.is_some(), "the evidence of the rollback");
        expect(summary.told.issues >= 1, "the issue with the evidence");
    }
    missing
}

/// What the fault asked for should have been seen by its own detector.
fn by_its_own_detector(summary: &Summary, options: &Demo) -> Option<String> {
    let detector = summary.detector.as_deref().unwrap_or("nobody");
    let guard = |cause: TripCause| format!("guard ({cause:?})").to_lowercase();
    let wanted = match (options.fault, options.no_guard) {
        (Fault::None, _) if summary.bad == Status::Succeeded => return None,
        (Fault::None, _) => return Some(format!("v1.2.0 is healthy, and is {}", summary.bad)),
        (Fault::Errors, false) => guard(TripCause::Errors),
        (Fault::Hang, false) => guard(TripCause::Timeouts),
        (Fault::Errors | Fault::Hang, true) | (Fault::Latency, _) => "analysis".to_owned(),
        (Fault::Crash, _) => "health".to_owned(),
    };
    let caught = summary.bad == Status::RolledBack && detector == wanted;
    (!caught)
        .then(|| format!("v1.2.0 rolled back by {wanted}: it is {} by {detector}", summary.bad))
}

impl Summary {
    /// Takes what depends on the options into account.
    pub fn judge(&mut self, options: &Demo) {
        self.missing.extend(by_its_own_detector(self, options));
    }
}

/// For people.
pub fn text(summary: &Summary, options: &Demo) -> String {
    let mut text = String::from("\n");
    for (version, count) in &summary.versions {
        let name = if version.is_empty() { "no answer of a service" } else { version };
        text.push_str(&format!("{name}: {} requests, {} failed\n", count.requests, count.failed));
    }
    text.push_str(&format!(
        "v1.1.0: {}; its controller was killed at {} and answered again after {} ms; requests lost: {}\n",
        summary.good, summary.killed_at, summary.resumed_after_ms, summary.lost_before_the_bad_release
    ));
    let reason = summary.reason.as_deref().unwrap_or("healthy to the end");
    text.push_str(&format!("v1.2.0: {} - {reason}\n", summary.bad));
    if let Some(recovery) = &summary.recovery {
        let guard = recovery.guard.as_deref().unwrap_or("-");
        text.push_str(&format!(
            "first bad answer {} ms {} -> guard saw {guard} -> last bad request {} ms {}\n",
            recovery.first_bad.at_ms,
            shown(&recovery.first_bad),
            recovery.last_bad.at_ms,
            shown(&recovery.last_bad)
        ));
        text.push_str(&format!(
            "bad for {} ms in all; failed requests: {}{}\n",
            recovery.took_ms,
            recovery.failed,
            if options.no_guard { " (without the guard)" } else { "" }
        ));
    }
    for what in &summary.missing {
        text.push_str(&format!("NOT OBSERVED: {what}\n"));
    }
    text.push_str("Next: `grit init --example shop` makes the shop yours\n");
    text
}

fn shown(bad: &Bad) -> String {
    match bad.status {
        Some(status) => format!("{} {status}", bad.line),
        None => format!("{} without an answer", bad.line),
    }
}
