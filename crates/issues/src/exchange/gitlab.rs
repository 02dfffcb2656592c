//! GitLab's JSON: of the REST API's `/projects/ID/issues` and `/projects/ID/issues/IID/notes`, in
//! one document or several; notes may also stand in their issue, as exports have them.

use std::collections::BTreeMap;

use grit_types::Principal;
use serde::Deserialize;

use super::forge::{Forge, date, is_project, labels, time};
use super::json::{Id, Listed, Named, items, said};
use super::{Foreign, ForeignClosed, ForeignComment, Found, ImportError, person, word};
use crate::State;

const GITLAB: Forge = Forge { name: "gitlab", home: Some("gitlab.com"), marks: &[] };

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Titled {
    title: String,
}

#[derive(Debug, Deserialize)]
struct References {
    full: Option<String>,
}

/// An issue or a note.
#[derive(Debug, Deserialize)]
struct Item {
    id: Option<Id>,
    iid: Option<u64>,
    project_id: Option<u64>,
    title: Option<String>,
    #[serde(default, deserialize_with = "said")]
    description: Option<Option<String>>,
    state: Option<String>,
    labels: Option<Vec<Named>>,
    assignees: Option<Vec<User>>,
    #[serde(default, deserialize_with = "said")]
    milestone: Option<Option<Titled>>,
    author: Option<User>,
    created_at: Option<String>,
    closed_at: Option<String>,
    closed_by: Option<User>,
    #[serde(default, deserialize_with = "said")]
    due_date: Option<Option<String>>,
    web_url: Option<String>,
    references: Option<References>,
    #[serde(default)]
    notes: Listed<Item>,
    body: Option<String>,
    #[serde(alias = "note")]
    text: Option<String>,
    #[serde(default)]
    system: bool,
    noteable_iid: Option<u64>,
    noteable_type: Option<String>,
}

/// Reads issues with their notes. `project` is their `GROUP/PROJECT` where they do not say it.
pub fn read(text: &str, project: Option<&str>) -> Result<Found, ImportError> {
    let mut found = Found::default();
    let mut notes = Vec::new();
    // Notes name their project by its number alone.
    let mut places: BTreeMap<(Option<u64>, u64), usize> = BTreeMap::new();
    for (at, item) in items::<Item>(text)?.into_iter().enumerate() {
        let place = format!("item {} of the document", at + 1);
        if item.title.is_some() {
            let name = (item.project_id, item.iid.unwrap_or_default());
            places.insert(name, found.issues.len());
            found.issues.push(issue(item, project, &place)?);
        } else if item.noteable_type.as_deref().is_some_and(|kind| kind != "Issue") {
            continue;
        } else if item.noteable_iid.is_some() {
            notes.push(item);
        } else {
            return Err(ImportError::thing(place, "it has neither a title nor a noteable_iid"));
        }
    }
    let mut strays = 0;
    for (at, note) in notes.into_iter().enumerate() {
        let name = (note.project_id, note.noteable_iid.unwrap_or_default());
        let Some(to) = places.get(&name) else {
            strays += 1;
            continue;
        };
        let issue = &mut found.issues[*to];
        let place = format!("note {} of the document", at + 1);
        issue.comments.extend(comment(&issue.key.clone(), note, &place)?);
    }
    for issue in &mut found.issues {
        issue.comments.sort_by_key(|comment| comment.at);
    }
    if strays > 0 {
        found.left_out.push(format!("{strays} notes of issues that are not in the document"));
    }
    Ok(found)
}

fn issue(item: Item, project: Option<&str>, place: &str) -> Result<Foreign, ImportError> {
    let lacks = |what: &str| ImportError::thing(place, format!("it has no `{what}`"));
    let number = item.iid.ok_or_else(|| lacks("iid"))?;
    let named = project_of(&item).or_else(|| project.map(str::to_owned));
    let project = named.ok_or_else(|| {
        ImportError::thing(place, "it does not say of which project it is: give `--project`")
    })?;
    let key = GITLAB.key(&project, number);
    let place = key.clone();
    let created = item.created_at.as_deref().ok_or_else(|| lacks("created_at"))?;
    let title = item.title.ok_or_else(|| lacks("title"))?;
    let mut issue = Foreign::new(key, title, user(item.author), time(&place, created)?);
    issue.create_under = Some(issue.key.clone());
    issue.body = item.description.map(Option::unwrap_or_default);
    issue.labels = item.labels.map(labels);
    let people = |all: Vec<User>| all.into_iter().map(|one| user(Some(one))).collect();
    issue.assignees = item.assignees.map(people);
    issue.milestone = item.milestone.map(|one| one.and_then(|one| word(&one.title)));
    issue.due = item.due_date.map(|due| due.and_then(|due| date(&due)));
    issue.state = match item.state.as_deref() {
        Some("opened" | "reopened" | "open") => State::Open,
        Some("closed") => State::Closed,
        _ => return Err(ImportError::thing(place, "its `state` is not `opened` or `closed`")),
    };
    if let (State::Closed, Some(at)) = (issue.state, &item.closed_at) {
        let by = item.closed_by.map_or_else(|| issue.author.clone(), |by| user(Some(by)));
        let (at, reason) = (time(&place, at)?, String::new());
        issue.closed = Some(ForeignClosed { by, at, reason });
    }
    for note in item.notes.0 {
        issue.comments.extend(comment(&issue.key, note, &place)?);
    }
    Ok(issue)
}

fn project_of(item: &Item) -> Option<String> {
    let by_page = item.web_url.as_deref().and_then(|url| {
        let (host, path) = url.split_once("://")?.1.split_once('/')?;
        let (project, _) = path.split_once("/-/").or_else(|| path.split_once("/issues/"))?;
        let is_home = GITLAB.home == Some(host);
        Some(if is_home { project.to_owned() } else { format!("{host}/{project}") })
    });
    let by_name = || {
        let full = item.references.as_ref()?.full.as_deref()?;
        full.split_once('#').map(|(project, _)| project.to_owned())
    };
    by_page.or_else(by_name).filter(|project| is_project(project))
}

/// What people wrote: what GitLab notes by itself is none.
fn comment(issue: &str, note: Item, place: &str) -> Result<Option<ForeignComment>, ImportError> {
    if note.system {
        return Ok(None);
    }
    let lacks = |what: &str| ImportError::thing(place, format!("a note has no `{what}`"));
    let id = note.id.ok_or_else(|| lacks("id"))?.0;
    let created = note.created_at.as_deref().ok_or_else(|| lacks("created_at"))?;
    let project = issue.split_once(':').map_or(issue, |(_, rest)| rest);
    let project = project.rsplit_once('#').map_or(project, |(project, _)| project);
    Ok(Some(ForeignComment {
        key: GITLAB.comment_key(project, &crate::shown(&id, 100)),
        author: user(note.author),
        at: time(place, created)?,
        body: note.body.or(note.text).unwrap_or_default(),
    }))
}

fn user(user: Option<User>) -> Principal {
    let (login, name) = user.map(|user| (user.username, user.name)).unwrap_or_default();
    if login.is_empty() { person(&name, None) } else { person(&login, None) }
}
