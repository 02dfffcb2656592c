use grit_git::{Exchange, GitLedger};
use grit_insight::Summary;
use grit_ledger::{Ledger, LedgerError};
use grit_types::chain;

use super::args::History;
use super::named;
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// From this clone alone: neither a server nor, unless it is wanted, the remote is asked.
pub fn run(options: &History, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    if options.sync {
        sync(&ledger, ui);
    }
    let failed = |error| Failure::because("the ledger cannot be read", &error);
    let events = ledger.read().map_err(failed)?;
    let mut summaries = grit_insight::deployments(&events);
    if !summaries.is_empty() {
        recorded(options, &summaries)?;
    }
    summaries.retain(|summary| {
        options.service.as_ref().is_none_or(|service| summary.service == *service)
            && options.environment.as_ref().is_none_or(|name| summary.environment == *name)
    });
    if summaries.is_empty() {
        let fetch = match lacks_audit(&ledger).map_err(failed)? {
            true => " The servers' records come with `grit sync --audit`.",
            false => "",
        };
        ui.status(format!("No deployment is recorded in this clone.{fetch}"));
    }
    ui.data(&summaries, |summaries| text(summaries));
    Ok(Exit::Done)
}

fn look(failure: Failure) -> Failure {
    failure.hint("`grit history` shows all that is recorded")
}

fn recorded(options: &History, summaries: &[Summary]) -> Result<(), Failure> {
    if let Some(name) = &options.service {
        let there = summaries.iter().map(|summary| summary.service.as_str());
        named::known("no deployment is recorded of", name.as_str(), there).map_err(look)?;
    }
    if let Some(name) = &options.environment {
        let there = summaries.iter().map(|summary| summary.environment.as_str());
        named::known("no deployment is recorded in", name.as_str(), there).map_err(look)?;
    }
    Ok(())
}

/// Takes what the remote has; what this clone knows is told even if it cannot be had.
fn sync(ledger: &GitLedger, ui: &Ui) {
    match ledger.exchange(&Exchange { send: true, audit: true }) {
        // What the remote has was taken all the same.
        Ok(_) | Err(LedgerError::NoRemote) => {}
        Err(error @ LedgerError::Refused { .. }) => {
            ui.status(format!("Warning: {}", chain(&error)))
        }
        Err(error) => {
            ui.status(format!("Warning: only what this clone knows: {}", chain(&error)));
        }
    }
}

/// No server has written anything that this clone has.
fn lacks_audit(ledger: &GitLedger) -> Result<bool, LedgerError> {
    Ok(!ledger.heads()?.iter().any(|head| head.lane.starts_with("audit/")))
}

/// The deployments' numbers are what `grit rollback` takes.
fn text(summaries: &[Summary]) -> String {
    let row = |summary: &Summary| {
        vec![
            summary.number.to_string(),
            summary.service.to_string(),
            summary.environment.to_string(),
            summary.version.clone(),
            summary.status.as_str().to_owned(),
            summary.completed_at.rfc3339(),
            summary.reason.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = summaries.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["REVISION", "SERVICE", "ENVIRONMENT", "VERSION", "STATUS", "WHEN", "WHY"], &rows)
}
