//! An issue as rows.

use std::borrow::Cow;
use std::collections::BTreeSet;

use grit_issues::query::{Attribute, words};
use grit_issues::{Issue, Priority, State};
use grit_types::IssueId;
use rusqlite::{Connection, Row, params};

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: IssueId,
    pub state: State,
    pub title: String,
    pub labels: Vec<String>,
    /// Of its checklist: how many items are done, of how many.
    pub progress: Option<(u32, u32)>,
}

/// Of what an issue has many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Label = 0,
    Assignee = 1,
    Mention = 2,
    Commenter = 3,
}

/// Between two comments: no word holds it, so no phrase runs across.
const BORDER: &str = " \u{b6} ";

const COLUMNS: &str = "n, id, state, created, updated, closed, due, priority, comments, has, done, \
     total, author, milestone, template, key, fingerprint, labels, title";

/// What [`listed`] reads, of the table `issue`.
pub(crate) const LISTED: &str =
    "issue.id, issue.state, issue.title, issue.labels, issue.done, issue.total";

/// Writes all rows of the issue with number `n` anew, but its record and its events.
pub(crate) fn write(connection: &Connection, n: i64, issue: &Issue) -> crate::ingest::Done {
    clear(connection, n)?;
    let labels = serde_json::to_string(&issue.labels)?;
    let progress = issue.progress.as_ref();
    let sql = format!(
        "INSERT INTO issue ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
         ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    );
    connection.prepare_cached(&sql)?.execute(params![
        n,
        issue.id.as_str(),
        state(issue.state),
        issue.created_at.millis(),
        issue.updated_at.millis(),
        issue.closed.as_ref().map(|closed| closed.at.millis()),
        issue.due.map(|due| due.start().millis()),
        issue.priority.map(priority),
        count(issue.comments.len()),
        has(issue),
        progress.map(|progress| count(progress.done)),
        progress.map(|progress| count(progress.total)),
        low(issue.author.as_str()),
        issue.milestone.as_deref().map(low),
        issue.template.as_deref().map(low),
        issue.key,
        issue.fingerprint,
        labels,
        issue.title,
    ])?;
    let json = serde_json::to_string(issue)?;
    connection.prepare_cached("INSERT INTO view VALUES (?1, ?2)")?.execute(params![n, json])?;
    let mut tag = connection.prepare_cached("INSERT INTO tag VALUES (?1, ?2, ?3)")?;
    for (kind, value) in tags(issue) {
        tag.execute(params![kind, value, n])?;
    }
    let mut depend = connection.prepare_cached("INSERT INTO dependency VALUES (?1, ?2, ?3)")?;
    for one in &issue.dependencies {
        depend.execute(params![n, one.kind.as_str(), one.on.as_str()])?;
    }
    let comments: Vec<String> = issue.comments.iter().map(|one| spaced(&one.body)).collect();
    let sql = "INSERT INTO text (rowid, title, body, comments) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        n,
        spaced(&issue.title),
        spaced(&issue.body),
        comments.join(BORDER)
    ])?;
    Ok(())
}

fn clear(connection: &Connection, n: i64) -> rusqlite::Result<()> {
    if connection.prepare_cached("DELETE FROM issue WHERE n = ?1")?.execute([n])? == 0 {
        return Ok(());
    }
    for table in ["view", "tag", "dependency"] {
        let sql = format!("DELETE FROM {table} WHERE n = ?1");
        connection.prepare_cached(&sql)?.execute([n])?;
    }
    connection.prepare_cached("DELETE FROM text WHERE rowid = ?1")?.execute([n]).map(drop)
}

/// Reads what [`LISTED`] asks for.
pub(crate) fn listed(row: &Row<'_>) -> Result<Listed, crate::IndexError> {
    let progress: (Option<u32>, Option<u32>) = (row.get(4)?, row.get(5)?);
    Ok(Listed {
        id: id(row, 0)?,
        state: if row.get::<_, i64>(1)? == state(State::Open) {
            State::Open
        } else {
            State::Closed
        },
        title: row.get(2)?,
        labels: serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        progress: progress.0.zip(progress.1),
    })
}

/// An id in that column.
pub(crate) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<IssueId> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error: grit_types::IdError| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}

pub(crate) fn state(state: State) -> i64 {
    match state {
        State::Open => 0,
        State::Closed => 1,
    }
}

pub(crate) fn priority(priority: Priority) -> i64 {
    match priority {
        Priority::Low => 0,
        Priority::Medium => 1,
        Priority::High => 2,
        Priority::Critical => 3,
    }
}

/// Without the case of ASCII letters.
pub(crate) fn low(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// The bit that stands for it in `has`.
pub(crate) fn bit(attribute: Attribute) -> i64 {
    1 << match attribute {
        Attribute::Assignee => 0,
        Attribute::Label => 1,
        Attribute::Milestone => 2,
        Attribute::Priority => 3,
        Attribute::Due => 4,
        Attribute::Comment => 5,
        Attribute::Checklist => 6,
        Attribute::Link => 7,
        Attribute::Attachment => 8,
        Attribute::Dependency => 9,
    }
}

fn has(issue: &Issue) -> i64 {
    let all = [
        (Attribute::Assignee, !issue.assignees.is_empty()),
        (Attribute::Label, !issue.labels.is_empty()),
        (Attribute::Milestone, issue.milestone.is_some()),
        (Attribute::Priority, issue.priority.is_some()),
        (Attribute::Due, issue.due.is_some()),
        (Attribute::Comment, !issue.comments.is_empty()),
        (Attribute::Checklist, !issue.checklist.is_empty()),
        (Attribute::Link, !issue.links.is_empty()),
        (Attribute::Attachment, !issue.attachments.is_empty()),
        (Attribute::Dependency, !issue.dependencies.is_empty()),
    ];
    all.into_iter().filter(|(_, is_there)| *is_there).map(|(attribute, _)| bit(attribute)).sum()
}

/// Each once: several may be the same in lower case.
fn tags(issue: &Issue) -> BTreeSet<(i64, Cow<'_, str>)> {
    let mut tags = BTreeSet::new();
    tags.extend(issue.labels.iter().map(|one| (Tag::Label as i64, low(one))));
    tags.extend(issue.assignees.iter().map(|one| (Tag::Assignee as i64, low(one.as_str()))));
    tags.extend(issue.mentions.iter().map(|one| (Tag::Mention as i64, low(one.as_str()))));
    let authors = issue.comments.iter().map(|one| &one.author);
    tags.extend(authors.map(|one| (Tag::Commenter as i64, low(one.as_str()))));
    tags
}

fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for word in words(text) {
        if !spaced.is_empty() {
            spaced.push(' ');
        }
        spaced.push_str(&word);
    }
    spaced
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
