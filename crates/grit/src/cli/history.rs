use grit_insight::Summary;
use grit_ledger::{Event, Ledger, LedgerError};

use super::args::History;
use super::named;
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// From the ledger alone: no server is asked.
pub fn run(options: &History, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let events = events(place, options.offline, ui)?;
    let mut summaries = grit_insight::deployments(&events);
    if !summaries.is_empty() {
        recorded(options, &summaries)?;
    }
    summaries.retain(|summary| {
        options.service.as_ref().is_none_or(|service| summary.service == *service)
            && options.environment.as_ref().is_none_or(|name| summary.environment == *name)
    });
    if summaries.is_empty() {
        ui.status("No deployment is recorded in this repository's ledger.");
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

/// All events of this clone's ledger, after taking what the remote has.
pub fn events(place: &Place, offline: bool, ui: &Ui) -> Result<Vec<Event>, Failure> {
    let ledger = place.ledger()?;
    if !offline {
        match ledger.sync() {
            Ok(_) | Err(LedgerError::NoRemote) => {}
            // What the remote has was taken all the same.
            Err(error @ LedgerError::Refused { .. }) => {
                ui.status(format!("Warning: {}", grit_types::chain(&error)));
            }
            Err(error) => ui.status(format!(
                "Warning: only what this clone knows: {}",
                grit_types::chain(&error)
            )),
        }
    }
    ledger.read().map_err(|error| Failure::because("the ledger cannot be read", &error))
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
