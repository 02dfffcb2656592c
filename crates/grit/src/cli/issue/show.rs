use grit_issues::{Issue, Line, shown, shown_block};
use serde::Serialize;
use serde_json::Value;

use super::tracker::{Tracker, index_failure};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// Characters of a title above its issue.
const TITLE_CHARS: usize = 200;

pub fn run(id: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    let issue = tracker.issue(id)?;
    let events = tracker.verified(&issue.id)?;
    let unverified = events.values().filter(|verified| **verified == Some(false)).count();
    let verified = match events.values().any(Option::is_none) {
        true => None,
        false => Some(unverified == 0),
    };
    ui.data(&with_verified(&issue, verified)?, |_| {
        let count = (unverified, events.len());
        text(&issue, (unverified > 0).then_some(count))
    });
    Ok(Exit::Done)
}

/// A document, and whether what it tells is signed by who is said to have done it; none where
/// nobody asks for signatures.
fn with_verified(data: &impl Serialize, verified: Option<bool>) -> Result<Value, Failure> {
    let mut data = serde_json::to_value(data)
        .map_err(|error| Failure::because("the issue cannot be written", &error))?;
    data["verified"] = verified.into();
    Ok(data)
}

pub fn history(id: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    let id = tracker.id(id)?;
    let events = tracker.index().events(&id).map_err(index_failure)?;
    let (lines, verified) = (grit_issues::history(&id, &events), tracker.verified(&id)?);
    let of = |line: &Line| verified.get(&line.id).copied().flatten();
    let data: Vec<Value> =
        lines.iter().map(|line| with_verified(line, of(line))).collect::<Result<_, _>>()?;
    ui.data(&data, |_| {
        let row = |line: &Line| {
            let mark = if of(line) == Some(false) { " (unverified)" } else { "" };
            vec![line.at.to_string(), format!("{}{mark}", line.by), line.what.clone()]
        };
        table(&["WHEN", "WHO", "WHAT"], &lines.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

/// `unverified`: so many of its events, of so many.
fn text(issue: &Issue, unverified: Option<(usize, usize)>) -> String {
    let labels: Vec<String> = issue.labels.iter().map(|label| shown(label, TITLE_CHARS)).collect();
    let mut text = format!(
        "{}\n{}, by {} at {}{}\n",
        shown(&issue.title, TITLE_CHARS),
        issue.state,
        issue.author,
        issue.created_at,
        if labels.is_empty() { String::new() } else { format!(", {}", labels.join(", ")) },
    );
    for (name, value) in facts(issue) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if let Some((count, all)) = unverified {
        text.push_str(&format!("unverified: {count} of {all} events\n"));
    }
    text.push_str(&format!("\n{}\n", shown_block(issue.body.trim_end())));
    for comment in &issue.comments {
        let edited = if comment.edited.is_some() { ", edited" } else { "" };
        let (id, author, at) = (comment.id.short(), &comment.author, comment.at);
        text.push_str(&format!("\n{author} at {at} ({id}{edited}):\n"));
        text.push_str(&format!("{}\n", shown_block(comment.body.trim_end())));
    }
    text
}

/// What an issue has beside its text, where it has it.
fn facts(issue: &Issue) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let names: Vec<&str> = issue.assignees.iter().map(|name| name.as_str()).collect();
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    fact("assignees", (!names.is_empty()).then(|| names.join(", ")));
    fact("milestone", issue.milestone.as_ref().map(|name| shown(name, TITLE_CHARS)));
    fact("priority", issue.priority.map(|priority| priority.to_string()));
    fact("due", issue.due.map(|due| due.to_string()));
    fact("done", issue.progress.map(|p| format!("{} of {}", p.done, p.total)));
    for dependency in &issue.dependencies {
        fact("dependency", Some(format!("{} {}", dependency.kind, dependency.on.short())));
    }
    for link in &issue.links {
        fact("link", Some(shown(&format!("{} {}", link.url, link.title), TITLE_CHARS)));
    }
    for file in &issue.attachments {
        let about = format!("{} ({} bytes, {})", file.name, file.size, file.digest.short());
        fact("attachment", Some(shown(&about, TITLE_CHARS)));
    }
    let reason = issue.closed.as_ref().map(|closed| shown(&closed.reason, TITLE_CHARS));
    fact("closed", reason.filter(|reason| !reason.is_empty()));
    for conflict in &issue.conflicts {
        let (field, value) = (conflict.field, shown(&conflict.value, TITLE_CHARS));
        fact("conflict", Some(format!("{field} was also set to `{value}` by {}", conflict.by)));
    }
    facts
}
