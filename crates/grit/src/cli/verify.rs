use grit_git::GitLedger;
use grit_issues::{Event, shown};
use grit_ledger::{BytesError, Changes, Cut, Entry, Ledger, LedgerError, Policy, Signed};
use grit_types::chain;
use serde::Serialize;

use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// What was checked, and what is wrong.
#[derive(Serialize)]
struct View {
    lanes: usize,
    entries: usize,
    /// Events with a signature that counts.
    signed: usize,
    /// Whether events must be signed, here.
    policy: Policy,
    problems: Vec<String>,
}

/// Every lane is one chain, every entry's bytes are those that its id stands for, and git finds
/// everything that they name.
pub fn run(place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    let failed = |error| Failure::because("the ledger cannot be checked", &error);
    let (changes, mut problems) = checked(&ledger).map_err(failed)?;
    problems.extend(changes.quarantined.iter().map(|bad| {
        format!("bad entry {} in lane {}: {}", bad.at, bad.lane, shown(&bad.reason, 300))
    }));
    let agreed = ledger.agreed().map_err(failed)?;
    problems.extend(agreed.refused.iter().map(|bad| {
        format!("record {} of refs/grit/meta does not count: {}", bad.at, shown(&bad.reason, 300))
    }));
    problems.extend(changes.entries.iter().filter_map(|entry| attachment(&ledger, entry)));
    let policy = ledger.policy().map_err(failed)?;
    let lanes = changes.heads.iter().filter(|head| head.lane.contains('/')).count();
    let signed = changes.entries.iter().filter(|e| matches!(e.signed, Signed::Good(_))).count();
    let view = View { lanes, entries: changes.entries.len(), signed, policy, problems };
    ui.data(&view, text);
    Ok(if view.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

fn checked(ledger: &GitLedger) -> Result<(Changes, Vec<String>), LedgerError> {
    let complaints = ledger.fsck()?;
    let policy = ledger.policy()?.max(Policy::Warn);
    Ok((ledger.checked_since(&Cut::new(), policy)?, complaints))
}

/// What is wrong with the bytes that an event brought.
fn attachment(ledger: &GitLedger, entry: &Entry) -> Option<String> {
    let Ok(Some(Event::AttachmentAdded { attachment, .. })) = Event::read(&entry.event) else {
        return None;
    };
    let wrong = ledger.bytes_at(&entry.at, &attachment.digest).err()?;
    if matches!(wrong, BytesError::Unknown(_)) && ledger.bytes(&attachment.digest).is_ok() {
        // Taken in without them first, and with them since.
        return None;
    }
    let (name, event) = (shown(&attachment.name, 80), entry.id.short());
    Some(format!("attachment `{name}` of event {event}: {}", chain(&wrong)))
}

fn text(view: &View) -> String {
    let View { lanes, entries, signed, policy, problems } = view;
    let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let verdict = if problems.is_empty() { "whole" } else { "not whole" };
    let signed = match policy {
        Policy::Off if *signed == 0 => String::new(),
        _ => format!(", {signed} signed"),
    };
    text.push_str(&format!("{entries} events in {lanes} lanes{signed}: {verdict}\n"));
    text
}
