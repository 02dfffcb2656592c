use std::collections::BTreeMap;

use grit_git::{Exchange, GitLedger};
use grit_issues::report::{self, Condition, Fate, Policy, Report};
use grit_issues::{Record, State};
use grit_ledger::LedgerError;
use grit_rollout::config::{Per, Recurring};
use grit_types::IssueId;
use serde::Serialize;

use super::tracker::{Tracker, wish_refused};
use crate::cli::place::Place;
use crate::cli::sync;
use crate::exit::Failure;
use crate::ui::Ui;

/// What became of a report.
#[derive(Debug, Serialize)]
pub struct Told {
    pub fingerprint: String,
    /// `opened`, `reopened`, `commented`, `closed` or `unchanged`.
    pub fate: &'static str,
    /// None: there is no issue about it, and none is needed.
    pub issue: Option<IssueId>,
}

/// Records reports, each on disk before the next; of several about the same thing, what is wrong
/// is told.
pub fn record(
    tracker: &mut Tracker,
    reports: Vec<Report>,
    policy: Policy,
) -> Result<Vec<Told>, Failure> {
    each_once(reports).iter().map(|report| one(tracker, report, policy)).collect()
}

fn each_once(reports: Vec<Report>) -> Vec<Report> {
    let (mut places, mut once) = (BTreeMap::<String, usize>::new(), Vec::<Report>::new());
    for report in reports {
        match places.get(&report.fingerprint) {
            Some(place) if report.condition == Condition::Wrong => {
                if once[*place].condition != Condition::Wrong {
                    once[*place] = report;
                }
            }
            Some(_) => {}
            None => {
                places.insert(report.fingerprint.clone(), once.len());
                once.push(report);
            }
        }
    }
    once
}

fn one(tracker: &mut Tracker, report: &Report, policy: Policy) -> Result<Told, Failure> {
    let mut told = Told {
        fingerprint: report.fingerprint.clone(),
        fate: Fate::Unchanged.as_str(),
        issue: None,
    };
    loop {
        let known = tracker.by_fingerprint(&report.fingerprint)?;
        let reported = report::report(report, policy, known.as_ref());
        let reported = reported.map_err(|refusal| wish_refused(&refusal))?;
        let ids = tracker.append(&reported.events)?;
        let about = report::subject(known.as_ref().map(Record::id), &reported.events, &ids);
        if reported.fate != Fate::Unchanged || told.issue.is_none() {
            (told.issue, told.fate) = (about, reported.fate.as_str());
        }
        // Clones that did not know of each other may have opened several: all of them are over.
        let known = known.and_then(|record| record.issue());
        let is_open = known.is_some_and(|issue| issue.state == State::Open);
        if reported.fate != Fate::Closed || !is_open {
            return Ok(told);
        }
    }
}

/// What `grit.yaml` says, as the tracker takes it.
pub fn policy(rule: &Recurring) -> Policy {
    Policy { reopen: rule.reopen, close: rule.close }
}

pub fn per(per: Per) -> report::Per {
    match per {
        Per::Branch => report::Per::Branch,
        Per::Workflow => report::Per::Workflow,
        Per::Commit => report::Per::Commit,
    }
}

/// Takes what the remote has, so that an issue that is there is found; without it, what this clone
/// knows is enough to go on.
pub fn take(place: &Place, ui: &Ui) -> Result<(), Failure> {
    let ledger = place.ledger()?;
    match ledger.exchange(&Exchange { send: false, audit: false }) {
        Ok(_) | Err(LedgerError::NoRemote) => {}
        Err(error) => {
            ui.status(format!("Warning: only what this clone knows: {}", grit_types::chain(&error)))
        }
    }
    Ok(())
}

/// Sends what was recorded, where there is a remote.
pub fn send(place: &Place) -> Result<(), Failure> {
    let ledger: GitLedger = place.ledger()?;
    match ledger.exchange(&Exchange { send: true, audit: false }) {
        Ok(_) | Err(LedgerError::NoRemote) => Ok(()),
        Err(error) => Err(sync::failure(&error, None, ledger.repository())),
    }
}
