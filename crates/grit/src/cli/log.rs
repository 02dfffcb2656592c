use std::collections::BTreeSet;

use grit_issues::shown;
use grit_ledger::{Cut, Entry, Ledger, Signed};
use grit_types::{Clock, EventId, Timestamp};
use serde::Serialize;

use super::args::Log;
use super::named;
use super::place::Place;
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// An event as the record has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    id: EventId,
    at: String,
    by: String,
    via: String,
    kind: String,
    subject: String,
    lane: String,
    /// The clock that gave it its time is far ahead of this one.
    far_ahead: bool,
    /// Whether it is signed by a key of its actor; none where nobody asks for signatures.
    verified: Option<bool>,
}

/// From this clone alone: nobody is asked.
pub fn run(options: &Log, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let failed = |error| Failure::because("the ledger cannot be read", &error);
    let changes = place.ledger()?.since(&Cut::new()).map_err(failed)?;
    if let Some(lane) = &options.lane {
        let known = changes.heads.iter().map(|head| head.lane.as_str());
        named::known("there is no lane", lane, known)
            .map_err(|failure| failure.hint("`grit log` names the lane of each event"))?;
    }
    let mut entries = changes.entries;
    entries.retain(|entry| options.lane.as_ref().is_none_or(|lane| entry.lane == *lane));
    entries.sort_by(|a, b| (b.event.hlc, &b.id).cmp(&(a.event.hlc, &a.id)));
    // One event may stand in the lane of a CI job and in a shared one.
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.id.clone()));
    entries.truncate(options.limit.unwrap_or(usize::MAX));
    let now = SystemClock.now();
    let views: Vec<View> = entries.into_iter().map(|entry| View::new(entry, now)).collect();
    if !changes.quarantined.is_empty() {
        let count = changes.quarantined.len();
        ui.status(format!("Warning: {count} entries cannot be read: `grit doctor` names them"));
    }
    ui.data(&views, |views| text(views, ui.is_terminal()));
    Ok(Exit::Done)
}

impl View {
    fn new(entry: Entry, now: Timestamp) -> Self {
        let Entry { lane, id, event, signed, .. } = entry;
        let verified = verified(&signed);
        Self {
            id,
            at: event.hlc.timestamp().rfc3339(),
            by: event.actor.principal.to_string(),
            via: event.actor.via,
            kind: event.kind,
            subject: event.subject,
            lane,
            verified,
            far_ahead: event.hlc.is_far_ahead(now),
        }
    }
}

/// As documents say it.
pub fn verified(signed: &Signed) -> Option<bool> {
    match signed {
        Signed::Unchecked => None,
        Signed::Good(_) => Some(true),
        Signed::Bad(_) => Some(false),
    }
}

fn text(views: &[View], for_people: bool) -> String {
    if !for_people {
        return views.iter().map(|view| format!("{}\n", view.id)).collect();
    }
    let row = |view: &View| {
        let at = if view.far_ahead { format!("{} (ahead)", view.at) } else { view.at.clone() };
        let by = match view.verified {
            Some(false) => format!("{} (unverified)", view.by),
            _ => view.by.clone(),
        };
        let cells = [&at, &by, &view.kind, &view.subject, &view.lane];
        cells.into_iter().map(|cell| shown(cell, 60)).collect()
    };
    table(
        &["WHEN", "WHO", "WHAT", "SUBJECT", "LANE"],
        &views.iter().map(row).collect::<Vec<Vec<String>>>(),
    )
}
