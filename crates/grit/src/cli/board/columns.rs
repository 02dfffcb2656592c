use std::collections::BTreeSet;
use std::convert::Infallible;
use std::str::FromStr;

use grit_issues::{Command, Issue, Priority, State, shown};
use grit_types::{IssueId, Principal};
use serde::Serialize;

/// Labels that say where an issue is in its work, as most trackers' boards have them.
const STATUS: &str = "status:";

/// What the columns of a board are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Labels that begin with `status:` where there are any, else the state.
    Auto,
    State,
    Assignee,
    Milestone,
    Priority,
    /// Labels that begin so.
    Label(String),
}

impl FromStr for By {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "auto" => Self::Auto,
            "state" => Self::State,
            "assignee" => Self::Assignee,
            "milestone" => Self::Milestone,
            "priority" => Self::Priority,
            prefix => Self::Label(prefix.to_owned()),
        })
    }
}

/// Where a card is put when it is moved to a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Open,
    Closed,
    Label(String),
    /// Open, with no label of the board.
    NoLabel,
    Assignee(Option<Principal>),
    Milestone(Option<String>),
    Priority(Option<Priority>),
}

/// Cards of the same kind, in the order of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(skip)]
    pub place: Place,
    #[serde(rename = "issues")]
    pub cards: Vec<IssueId>,
}

/// The columns of these issues; one that is empty is shown where a card may be moved there.
pub fn columns(issues: &[&Issue], by: &By) -> Vec<Column> {
    let by = resolved(issues, by);
    let mut columns: Vec<Column> = places(issues, &by)
        .into_iter()
        .map(|place| Column { name: name(&place, &by), place, cards: Vec::new() })
        .collect();
    for issue in issues {
        let standing = standing(issue, &by);
        for column in &mut columns {
            if standing.contains(&column.place) {
                column.cards.push(issue.id.clone());
            }
        }
    }
    columns
}

/// What [`By::Auto`] comes to.
fn resolved(issues: &[&Issue], by: &By) -> By {
    let has_status =
        || issues.iter().any(|issue| issue.labels.iter().any(|l| l.starts_with(STATUS)));
    match by {
        By::Auto if has_status() => By::Label(STATUS.to_owned()),
        By::Auto => By::State,
        other => other.clone(),
    }
}

fn places(issues: &[&Issue], by: &By) -> Vec<Place> {
    let all: BTreeSet<Place> = issues.iter().flat_map(|issue| standing(issue, by)).collect();
    match by {
        By::State | By::Auto => vec![Place::Open, Place::Closed],
        By::Label(_) => {
            let labels = all.into_iter().filter(|place| matches!(place, Place::Label(_)));
            [Place::NoLabel].into_iter().chain(labels).chain([Place::Closed]).collect()
        }
        By::Priority => {
            let named = Priority::ALL.into_iter().rev().map(Some).chain([None]);
            named.map(Place::Priority).collect()
        }
        // What has none comes last, and is there to be moved to.
        By::Assignee => with_last(all, Place::Assignee(None)),
        By::Milestone => with_last(all, Place::Milestone(None)),
    }
}

fn with_last(mut all: BTreeSet<Place>, last: Place) -> Vec<Place> {
    all.remove(&last);
    all.into_iter().chain([last]).collect()
}

/// Where an issue stands: in several columns when it has several of their labels or people.
fn standing(issue: &Issue, by: &By) -> Vec<Place> {
    match by {
        By::State | By::Auto => vec![match issue.state {
            State::Open => Place::Open,
            State::Closed => Place::Closed,
        }],
        By::Label(_) if issue.state == State::Closed => vec![Place::Closed],
        By::Label(prefix) => {
            let labels: Vec<Place> = of_board(issue, prefix).cloned().map(Place::Label).collect();
            if labels.is_empty() { vec![Place::NoLabel] } else { labels }
        }
        By::Assignee if issue.assignees.is_empty() => vec![Place::Assignee(None)],
        By::Assignee => issue.assignees.iter().cloned().map(Some).map(Place::Assignee).collect(),
        By::Milestone => vec![Place::Milestone(issue.milestone.clone())],
        By::Priority => vec![Place::Priority(issue.priority)],
    }
}

fn of_board<'a>(issue: &'a Issue, prefix: &str) -> impl Iterator<Item = &'a String> {
    issue.labels.iter().filter(move |label| label.starts_with(prefix))
}

fn name(place: &Place, by: &By) -> String {
    match place {
        Place::Open => "open".to_owned(),
        Place::Closed => "closed".to_owned(),
        Place::NoLabel => "open, no label".to_owned(),
        Place::Label(label) => match by {
            By::Label(prefix) if label.len() > prefix.len() => label[prefix.len()..].to_owned(),
            _ => label.clone(),
        },
        Place::Assignee(who) => who.as_ref().map_or("nobody".to_owned(), ToString::to_string),
        Place::Milestone(name) => name.clone().unwrap_or_else(|| "no milestone".to_owned()),
        Place::Priority(one) => one.map_or("no priority".to_owned(), |one| one.to_string()),
    }
}

/// What takes an issue from one column to another: of several labels or people only the one it is
/// taken from goes.
pub fn moving(issue: &Issue, from: &Place, to: &Place) -> Vec<Command> {
    let mut commands = Vec::new();
    match from {
        Place::Label(label) if *to != Place::Closed => {
            commands.push(Command::RemoveLabel(label.clone()));
        }
        Place::Assignee(Some(who)) => commands.push(Command::Unassign(who.clone())),
        _ => {}
    }
    if *to != Place::Closed && matches!(to, Place::Open | Place::NoLabel | Place::Label(_)) {
        commands.extend((issue.state == State::Closed).then_some(Command::Reopen));
    }
    match to {
        Place::Closed => commands.push(Command::Close { reason: String::new() }),
        // One that was closed on a board of labels comes back without those that it had.
        Place::NoLabel | Place::Open => {}
        Place::Label(label) => commands.push(Command::AddLabel(label.clone())),
        Place::Assignee(who) => commands.extend(who.clone().map(Command::Assign)),
        Place::Milestone(name) => commands.push(Command::SetMilestone(name.clone())),
        Place::Priority(one) => commands.push(Command::SetPriority(*one)),
    }
    commands
}

/// What a card shows beside its title, safe for a terminal.
pub fn marks(issue: &Issue) -> String {
    let mut marks: Vec<String> = issue.labels.iter().map(|label| shown(label, 30)).collect();
    marks.extend(issue.priority.map(|priority| format!("!{priority}")));
    marks.extend(issue.assignees.iter().map(|who| format!("@{who}")));
    marks.extend(issue.progress.map(|progress| format!("{}/{}", progress.done, progress.total)));
    marks.join(" ")
}
