use grit_issues::{Issue, State, shown};

use super::args::{List, StateFilter};
use super::tracker::Tracker;
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// Characters of a title in a table.
const TITLE_CHARS: usize = 80;

pub fn run(options: &List, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place, true, ui)?;
    let wanted = |issue: &&Issue| {
        let state = match options.state {
            StateFilter::Open => issue.state == State::Open,
            StateFilter::Closed => issue.state == State::Closed,
            StateFilter::All => true,
        };
        let assigned = |name: &String| issue.assignees.iter().any(|one| one.as_str() == name);
        state
            && options.labels.iter().all(|label| issue.labels.contains(label))
            && options.assignee.as_ref().is_none_or(assigned)
            && options.milestone.as_ref().is_none_or(|name| issue.milestone.as_ref() == Some(name))
    };
    let limit = options.limit.unwrap_or(usize::MAX);
    let found: Vec<&Issue> = tracker.issues.all().filter(wanted).take(limit).collect();
    print(&found, ui);
    Ok(Exit::Done)
}

pub fn search(query: &str, more: &[String], place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place, true, ui)?;
    let words: Vec<&str> = [query].into_iter().chain(more.iter().map(String::as_str)).collect();
    print(&tracker.search(&words.join(" "))?, ui);
    Ok(Exit::Done)
}

fn print(found: &[&Issue], ui: &Ui) {
    ui.data(&found, |found| {
        if !ui.is_terminal() {
            // One bare id per line: what `xargs` takes.
            return found.iter().map(|issue| format!("{}\n", issue.id)).collect();
        }
        let rows: Vec<Vec<String>> = found.iter().map(|issue| row(issue)).collect();
        table(&["ID", "STATE", "TITLE", "LABELS", "DONE"], &rows)
    });
}

fn row(issue: &Issue) -> Vec<String> {
    let labels: Vec<String> = issue.labels.iter().map(|label| shown(label, TITLE_CHARS)).collect();
    let done = issue.progress.map(|progress| format!("{}/{}", progress.done, progress.total));
    vec![
        issue.id.short().to_owned(),
        issue.state.to_string(),
        shown(&issue.title, TITLE_CHARS),
        labels.join(", "),
        done.unwrap_or_default(),
    ]
}
