use grit_issues::{Command, Dependency, shown};
use grit_types::IssueId;

use super::args::{DepVerb, Target};
use super::change;
use super::tracker::{Tracker, index_failure};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub fn run(verb: &DepVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        DepVerb::Add(target) => change(target, Command::Depend, place, ui),
        DepVerb::Remove(target) => change(target, Command::Undepend, place, ui),
        DepVerb::List { id } => list(id, place, ui),
        DepVerb::Topo => order(place, ui),
    }
}

fn change(
    target: &Target,
    command: fn(Dependency) -> Command,
    place: &Place,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let mut tracker = Tracker::open(place)?;
    let on = tracker.id(&target.target)?;
    let command = command(Dependency { kind: target.kind, on });
    change::on(&mut tracker, &target.id, &[command], ui)
}

fn list(id: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    let id = &tracker.id(id)?;
    let all = tracker.index().dependencies().map_err(index_failure)?;
    let needs: Vec<&IssueId> = all.needs(id).collect();
    let needed_by: Vec<&IssueId> = all.needed_by(id).collect();
    let data = serde_json::json!({ "needs": needs, "neededBy": needed_by });
    ui.data(&data, |_| {
        let lines = |word: &str, ids: &[&IssueId]| -> String {
            ids.iter().map(|id| format!("{word} {}\n", named(&tracker, id))).collect()
        };
        format!("{}{}", lines("needs", &needs), lines("needed by", &needed_by))
    });
    Ok(Exit::Done)
}

fn named(tracker: &Tracker, id: &IssueId) -> String {
    let issue = tracker.index().issue(id).ok().flatten();
    let title = issue.map(|issue| shown(&issue.title, 80));
    format!("{} {}", id.short(), title.unwrap_or_else(|| "(not here yet)".to_owned()))
}

/// Open issues, each after those that it needs; a circle is told, and broken somewhere.
fn order(place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    let query = tracker.query("is:open")?;
    let open = tracker.index().ids(&query, tracker.now(), None).map_err(index_failure)?;
    let dependencies = tracker.index().dependencies().map_err(index_failure)?;
    let order = dependencies.order(&open);
    for cycle in &order.cycles {
        let short: Vec<&str> = cycle.iter().map(|id| id.short()).collect();
        ui.status(format!("Warning: these need each other: {}", short.join(" → ")));
    }
    let data = serde_json::json!({ "order": order.order, "cycles": order.cycles });
    ui.data(&data, |_| match ui.is_terminal() {
        true => order.order.iter().map(|id| format!("{}\n", named(&tracker, id))).collect(),
        false => order.order.iter().map(|id| format!("{id}\n")).collect(),
    });
    Ok(Exit::Done)
}
