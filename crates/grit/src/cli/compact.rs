use std::time::Duration;

use grit_git::Compacted;
use grit_types::Clock;
use serde::Serialize;

use super::args::Compact;
use super::place::Place;
use super::sync;
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// What was folded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    remote: Option<&'a str>,
    folded: &'a [String],
    removed: &'a [String],
    /// Lanes that have a ref of their own, now.
    left: usize,
    only_looked: bool,
}

pub fn run(options: &Compact, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let mut ledger = place.ledger()?;
    if let Some(remote) = &options.remote {
        ledger = ledger.with_remote(remote);
    }
    let idle: Duration = options.idle;
    let compact = grit_git::Compact { idle, now: SystemClock.now(), only_look: options.dry_run };
    let compacted = ledger
        .compact(&compact)
        .map_err(|error| sync::failure(&error, options.remote.as_deref(), ledger.repository()))?;
    let Compacted { remote, folded, removed, kept, left } = &compacted;
    if let Some((lane, reason)) = kept.first_key_value() {
        ui.status(format!(
            "Warning: {} refs stay though they are covered: the remote does not let {lane} go: {}",
            kept.len(),
            grit_issues::shown(reason, 200)
        ));
    }
    let (remote, left, only_looked) = (remote.as_deref(), *left, options.dry_run);
    ui.data(&View { remote, folded, removed, left, only_looked }, text);
    Ok(Exit::Done)
}

fn text(view: &View<'_>) -> String {
    let place = view.remote.unwrap_or("this repository");
    let (folded, removed, left) = (view.folded.len(), view.removed.len(), view.left);
    if view.only_looked {
        return format!("{place}: {folded} of {left} lanes would be folded\n");
    }
    format!("{place}: {folded} lanes folded, {removed} refs removed, {left} left\n")
}
