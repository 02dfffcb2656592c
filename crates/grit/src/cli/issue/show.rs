use grit_issues::{Issue, shown, shown_block};

use super::tracker::{Tracker, index_failure};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// Characters of a title above its issue.
const TITLE_CHARS: usize = 200;

pub fn run(id: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    ui.data(&Tracker::open(place)?.issue(id)?, text);
    Ok(Exit::Done)
}

pub fn history(id: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    let id = tracker.id(id)?;
    let events = tracker.index().events(&id).map_err(index_failure)?;
    let lines = grit_issues::history(&id, &events);
    ui.data(&lines, |lines| {
        let row = |line: &grit_issues::Line| {
            vec![line.at.to_string(), line.by.to_string(), line.what.clone()]
        };
        table(&["WHEN", "WHO", "WHAT"], &lines.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

fn text(issue: &Issue) -> String {
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
