//! `grit board`: the issues as cards in columns, on a terminal or as plain text.
//!
//! [`columns`] says which issue stands where and what moving it means, [`state`] turns keys into
//! wishes, [`draw`] turns the state into cells, and [`shell`] has the terminal. Only the shell
//! touches anything.

pub mod args;
mod columns;
mod draw;
mod shell;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use grit_issues::{Issue, shown};
use grit_types::IssueId;

use super::place::Place;
use crate::cli::issue::tracker::{Tracker, index_failure};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use args::Board;
use columns::{Column, columns};

/// Characters of a title in plain text.
const TITLE_CHARS: usize = 80;

pub async fn run(options: &Board, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    if !options.plain && ui.is_terminal() && shell::is_possible() {
        return shell::run(options, tracker, place).await;
    }
    let found = found(&tracker, &options.query)?;
    let all: Vec<&Issue> = found.iter().collect();
    let columns = columns(&all, &options.by);
    ui.data(&columns, |columns| {
        let by_id: BTreeMap<_, _> = found.iter().map(|issue| (&issue.id, issue)).collect();
        columns.iter().map(|column| plain(column, &by_id)).collect()
    });
    Ok(Exit::Done)
}

/// The issues that a query asks for, in its order.
fn found(tracker: &Tracker, query: &str) -> Result<Vec<Issue>, Failure> {
    let query = tracker.query(query)?;
    tracker.index().issues(&query, tracker.now(), None).map_err(index_failure)
}

/// A column as a section of text.
fn plain(column: &Column, issues: &BTreeMap<&IssueId, &Issue>) -> String {
    let mut text = format!("{} ({})\n", shown(&column.name, TITLE_CHARS), column.cards.len());
    for issue in column.cards.iter().filter_map(|id| issues.get(id)) {
        let more = columns::marks(issue);
        let more = if more.is_empty() { String::new() } else { format!("  [{more}]") };
        text.push_str(&format!(
            "  {}  {}{more}\n",
            issue.id.short(),
            shown(&issue.title, TITLE_CHARS)
        ));
    }
    text.push('\n');
    text
}
