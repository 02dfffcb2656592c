use grit_git::{Exchange, GitLedger};
use grit_index::Health;
use grit_issues::shown;
use grit_ledger::{Changes, Cut, Ledger, LedgerError, Quarantined, Signed};
use grit_types::{Clock, chain};
use serde::Serialize;

use super::args::Doctor;
use super::issue::{index_failure, index_path};
use super::place::{Place, git_failure};
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Something that is not as it should be.
#[derive(Serialize)]
struct Finding {
    /// Stable, for programs.
    check: &'static str,
    weight: Weight,
    message: String,
    /// The next command to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Weight {
    /// Worth knowing.
    Note,
    Problem,
    /// It was one, and was put right.
    Repaired,
}

/// Exit status 1 while a problem is left.
pub fn run(options: &Doctor, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    let failed = |error| Failure::because("the ledger cannot be read", &error);
    let changes = ledger.since(&Cut::new()).map_err(failed)?;
    let mut findings = locks(&ledger, options.repair)?;
    findings.extend(quarantined(&changes));
    findings.extend(unsigned(&changes));
    findings.extend(agreed(&ledger).map_err(failed)?);
    findings.extend(clocks(&changes));
    findings.extend(standing(&ledger, options.repair).map_err(failed)?);
    findings.extend(index(&ledger, options.repair)?);
    findings.extend(put_aside(&ledger));
    let left = findings.iter().any(|finding| finding.weight == Weight::Problem);
    ui.data(&findings, |findings| text(findings));
    Ok(if left { Exit::Failed } else { Exit::Done })
}

/// What is not staged, out of the way since a run of hooks was killed.
fn put_aside(ledger: &GitLedger) -> Option<Finding> {
    let record = ledger.repository().git_dir().join(super::run::ASIDE);
    record.is_file().then(|| Finding {
        check: "put-aside",
        weight: Weight::Problem,
        message: "what was not staged when a run of hooks was killed is out of the way".to_owned(),
        hint: Some("`grit run --hook pre-commit` puts it back first".to_owned()),
    })
}

fn locks(ledger: &GitLedger, repair: bool) -> Result<Vec<Finding>, Failure> {
    let repository = ledger.repository();
    let found = if repair { repository.clear_stale_locks() } else { repository.stale_locks() };
    let found = found.map_err(|error| git_failure(&error))?;
    let finding = |path: std::path::PathBuf| {
        let message = format!("a process that is gone left `{}`", path.display());
        repairable("stale-lock", message, repair)
    };
    Ok(found.into_iter().map(finding).collect())
}

/// Nothing is done about them: a newer Grit reads those of a newer version.
fn quarantined(changes: &Changes) -> impl Iterator<Item = Finding> {
    changes.quarantined.iter().map(|bad| Finding {
        check: "quarantined",
        weight: Weight::Problem,
        message: format!(
            "entry {} of lane {} is left out: {}",
            bad.at,
            bad.lane,
            shown(&bad.reason, 300)
        ),
        hint: Some(format!("`git show {}`", bad.at)),
    })
}

/// Only where the team wants to be warned: where it requires signatures, they are left out.
fn unsigned(changes: &Changes) -> impl Iterator<Item = Finding> {
    changes.entries.iter().filter_map(|entry| {
        let Signed::Bad(problem) = &entry.signed else { return None };
        let (event, by) = (entry.id.short(), &entry.event.actor.principal);
        Some(Finding {
            check: "unsigned",
            weight: Weight::Note,
            message: format!("event {event} by {by}: {problem}"),
            hint: Some("`grit key list`".to_owned()),
        })
    })
}

fn agreed(ledger: &GitLedger) -> Result<Vec<Finding>, LedgerError> {
    let agreed = ledger.agreed()?;
    let finding = |bad: &Quarantined| Finding {
        check: "meta-refused",
        weight: Weight::Problem,
        message: format!(
            "record {} of refs/grit/meta does not count: {}",
            bad.at,
            shown(&bad.reason, 300)
        ),
        hint: Some(format!("`git show {}`", bad.at)),
    };
    Ok(agreed.refused.iter().map(finding).collect())
}

fn clocks(changes: &Changes) -> impl Iterator<Item = Finding> {
    let now = SystemClock.now();
    let ahead = changes.entries.iter().filter(move |entry| entry.event.hlc.is_far_ahead(now));
    ahead.map(|entry| Finding {
        check: "clock-ahead",
        weight: Weight::Note,
        message: format!(
            "event {} by {} is from {}: that clock is ahead, or this one behind",
            entry.id.short(),
            entry.event.actor.principal,
            entry.event.hlc.timestamp()
        ),
        hint: None,
    })
}

fn standing(ledger: &GitLedger, repair: bool) -> Result<Vec<Finding>, LedgerError> {
    let standing = match ledger.standing() {
        Ok(standing) => standing,
        Err(LedgerError::NoRemote) => return Ok(vec![no_remote()]),
        Err(error) => return Err(error),
    };
    let mut findings: Vec<Finding> = standing
        .ahead
        .iter()
        .map(|(lane, entries)| Finding {
            check: "not-sent",
            weight: Weight::Note,
            message: format!("the remote lacks {entries} events of lane {lane}"),
            hint: Some("`grit sync --push`".to_owned()),
        })
        .collect();
    if standing.behind.is_empty() {
        return Ok(findings);
    }
    let taken = repair.then(|| ledger.exchange(&Exchange { send: false, audit: true }));
    for (lane, entries) in &standing.behind {
        let message = format!("lane {lane} lacks {entries} events that were fetched");
        findings.push(match &taken {
            Some(Err(error)) => Finding {
                check: "behind",
                weight: Weight::Problem,
                message: format!("{message}, and cannot take them: {}", chain(error)),
                hint: Some("`grit sync`".to_owned()),
            },
            taken => repairable("behind", message, taken.is_some()),
        });
    }
    Ok(findings)
}

/// Every command mends a broken one when it notices; here all of it is looked at.
fn index(ledger: &GitLedger, repair: bool) -> Result<Option<Finding>, Failure> {
    let path = index_path(ledger.repository());
    let name = path.display();
    Ok(match grit_index::check(&path, ledger).map_err(index_failure)? {
        Health::Absent | Health::Whole => None,
        Health::Broken(why) => {
            if repair {
                grit_index::rebuild(&path, ledger).map_err(index_failure)?;
            }
            let message = format!("the index of issues, `{name}`, is broken: {}", shown(&why, 300));
            Some(repairable("index", message, repair))
        }
        Health::Unusable(why) => Some(Finding {
            check: "index",
            weight: Weight::Note,
            message: format!(
                "the index of issues, `{name}`, cannot be used, and every command reads the whole \
                 ledger instead: {}",
                shown(&why, 300)
            ),
            hint: None,
        }),
    })
}

fn no_remote() -> Finding {
    Finding {
        check: "no-remote",
        weight: Weight::Note,
        message: "no remote is configured: what is recorded here stays here".to_owned(),
        hint: Some("`git remote add origin URL`".to_owned()),
    }
}

fn repairable(check: &'static str, message: String, repaired: bool) -> Finding {
    let weight = if repaired { Weight::Repaired } else { Weight::Problem };
    let hint = (!repaired).then(|| "`grit doctor --repair`".to_owned());
    Finding { check, weight, message, hint }
}

fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "nothing is wrong\n".to_owned();
    }
    let line = |finding: &Finding| {
        let weight = match finding.weight {
            Weight::Note => "note",
            Weight::Problem => "problem",
            Weight::Repaired => "repaired",
        };
        let hint = finding.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
        format!("{weight}: {}{hint}\n", finding.message)
    };
    findings.iter().map(line).collect()
}
