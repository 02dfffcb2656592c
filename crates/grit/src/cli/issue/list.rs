use grit_index::Listed;
use grit_issues::query::{Filter, Test};
use grit_issues::{Query, State, shown};

use super::args::{List, StateFilter};
use super::tracker::{Tracker, index_failure};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// Characters of a title in a table.
const TITLE_CHARS: usize = 80;

pub fn run(options: &List, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    print(&Tracker::open(place)?, &wanted(options), options.limit, ui)
}

pub fn search(query: &str, more: &[String], place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    let words: Vec<&str> = [query].into_iter().chain(more.iter().map(String::as_str)).collect();
    let query = tracker.query(&words.join(" "))?;
    print(&tracker, &query, None, ui)
}

/// The options as a query.
fn wanted(options: &List) -> Query {
    let state = match options.state {
        StateFilter::Open => Some(State::Open),
        StateFilter::Closed => Some(State::Closed),
        StateFilter::All => None,
    };
    let mut tests: Vec<Test> = state.map(Test::State).into_iter().collect();
    tests.extend(options.labels.iter().cloned().map(Test::Label));
    tests.extend(options.assignee.clone().map(Test::Assignee));
    tests.extend(options.milestone.clone().map(Test::Milestone));
    let filter = Filter::All(tests.into_iter().map(Filter::Test).collect());
    Query { filter, ..Query::everything() }
}

fn print(tracker: &Tracker, query: &Query, limit: Option<usize>, ui: &Ui) -> Result<Exit, Failure> {
    let (index, now) = (tracker.index(), tracker.now());
    if ui.is_json() {
        ui.document(&index.json(query, now, limit).map_err(index_failure)?);
    } else if ui.is_terminal() {
        let found = index.list(query, now, limit).map_err(index_failure)?;
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        ui.raw(table(&["ID", "STATE", "TITLE", "LABELS", "DONE"], &rows).as_bytes());
    } else {
        // One bare id per line: what `xargs` takes.
        let found = index.ids(query, now, limit).map_err(index_failure)?;
        ui.raw(found.iter().map(|id| format!("{id}\n")).collect::<String>().as_bytes());
    }
    Ok(Exit::Done)
}

fn row(issue: &Listed) -> Vec<String> {
    let labels: Vec<String> = issue.labels.iter().map(|label| shown(label, TITLE_CHARS)).collect();
    let done = issue.progress.map(|(done, total)| format!("{done}/{total}"));
    vec![
        issue.id.short().to_owned(),
        issue.state.to_string(),
        shown(&issue.title, TITLE_CHARS),
        labels.join(", "),
        done.unwrap_or_default(),
    ]
}
