//! What GitHub and Gitea (and with it Forgejo) have in common.

use std::collections::{BTreeMap, BTreeSet};

use grit_types::{Principal, Timestamp};
use serde::Deserialize;

use super::json::{Id, Listed, Named, items, said};
use super::{Foreign, ForeignClosed, ForeignComment, Found, ImportError, person, word};
use crate::{Date, State};

/// Which forge, and where what it says of a place stands for nothing but itself.
pub struct Forge {
    /// What keys begin with.
    pub name: &'static str,
    /// The host that keys do not name.
    pub home: Option<&'static str>,
    /// Between a project and the number, in an address.
    pub marks: &'static [&'static str],
}

impl Forge {
    /// `OWNER/REPO`, with the host before it where it is not the forge's own, and the number, from
    /// the address of an issue or of a comment.
    fn place(&self, url: &str) -> Option<(String, u64)> {
        let (_, rest) = url.split_once("://")?;
        let (path, number) = self.marks.iter().find_map(|mark| rest.split_once(mark))?;
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        Some((self.project(path)?, digits.parse().ok()?))
    }

    fn project(&self, path: &str) -> Option<String> {
        let (host, project) = path.split_once('/')?;
        let is_home = self.home.is_some_and(|home| host.eq_ignore_ascii_case(home));
        let project = project.strip_prefix("api/v1/repos/").unwrap_or(project);
        let found = if is_home { project.to_owned() } else { format!("{host}/{project}") };
        is_project(&found).then_some(found)
    }

    /// What an issue is called here.
    pub fn key(&self, project: &str, number: u64) -> String {
        format!("{}:{project}#{number}", self.name)
    }

    /// What a comment is called here.
    pub fn comment_key(&self, project: &str, id: &str) -> String {
        format!("{}:{project}#comment-{id}", self.name)
    }
}

/// One that may stand in a key.
pub fn is_project(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "._-/:".contains(c);
    (1..=500).contains(&text.len()) && text.chars().all(allowed)
}

/// A person, as both have it; accounts that are gone are `null`.
#[derive(Debug, Deserialize)]
pub struct User {
    #[serde(default)]
    login: String,
}

#[derive(Debug, Deserialize)]
struct Titled {
    title: String,
}

/// An issue or a comment, of the REST API or of `gh issue list --json`.
#[derive(Debug, Deserialize)]
struct Item {
    number: Option<u64>,
    title: Option<String>,
    #[serde(default, deserialize_with = "said")]
    body: Option<Option<String>>,
    state: Option<String>,
    #[serde(alias = "stateReason")]
    state_reason: Option<String>,
    html_url: Option<String>,
    url: Option<String>,
    repository_url: Option<String>,
    issue_url: Option<String>,
    #[serde(alias = "author")]
    user: Option<User>,
    labels: Option<Vec<Named>>,
    #[serde(default, deserialize_with = "said")]
    assignees: Option<Option<Vec<User>>>,
    #[serde(default, deserialize_with = "said")]
    milestone: Option<Option<Titled>>,
    #[serde(alias = "createdAt")]
    created_at: Option<String>,
    #[serde(alias = "closedAt")]
    closed_at: Option<String>,
    closed_by: Option<User>,
    #[serde(default, deserialize_with = "said")]
    due_date: Option<Option<String>>,
    pull_request: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    comments: Listed<Item>,
    id: Option<Id>,
}

/// Reads issues, and comments in the same or in later documents. `project` is theirs where they do
/// not say it.
pub fn read(forge: &Forge, text: &str, project: Option<&str>) -> Result<Found, ImportError> {
    let mut found = Found::default();
    let mut comments: Vec<Item> = Vec::new();
    let mut pulls = 0;
    for (at, item) in items::<Item>(text)?.into_iter().enumerate() {
        if item.pull_request.is_some() || is_pull(&item) {
            pulls += 1;
        } else if item.title.is_some() {
            let place = format!("issue {} of the document", at + 1);
            found.issues.push(issue(forge, item, project, &place)?);
        } else if item.issue_url.is_some() {
            comments.push(item);
        } else {
            let place = format!("item {} of the document", at + 1);
            return Err(ImportError::thing(place, "it has neither a title nor an issue_url"));
        }
    }
    if pulls > 0 {
        found.left_out.push(format!("{pulls} pull requests"));
    }
    attach(forge, comments, &mut found)?;
    Ok(found)
}

/// GitHub's comments of pull requests name an issue all the same; their page is another.
fn is_pull(item: &Item) -> bool {
    item.title.is_none() && item.html_url.as_ref().is_some_and(|url| url.contains("/pull"))
}

fn issue(
    forge: &Forge,
    item: Item,
    project: Option<&str>,
    place: &str,
) -> Result<Foreign, ImportError> {
    let lacks = |what: &str| ImportError::thing(place, format!("it has no `{what}`"));
    let number = item.number.ok_or_else(|| lacks("number"))?;
    let named = project_of(forge, &item).or_else(|| project.map(str::to_owned));
    let project = named.ok_or_else(|| {
        ImportError::thing(place, "it does not say of which repository it is: give `--project`")
    })?;
    let key = forge.key(&project, number);
    let place = key.clone();
    let created = item.created_at.as_deref().ok_or_else(|| lacks("created_at"))?;
    let title = item.title.ok_or_else(|| lacks("title"))?;
    let mut issue = Foreign::new(key, title, user(item.user), time(&place, created)?);
    issue.create_under = Some(issue.key.clone());
    issue.body = item.body.map(Option::unwrap_or_default).map(|body| body.replace("\r\n", "\n"));
    issue.labels = item.labels.map(labels);
    issue.assignees = item.assignees.map(|all| people(all.unwrap_or_default()));
    issue.milestone = item.milestone.map(|one| one.and_then(|one| word(&one.title)));
    issue.due = item.due_date.map(|due| due.and_then(|due| date(&due)));
    issue.state = state(&place, item.state.as_deref())?;
    if let (State::Closed, Some(at)) = (issue.state, &item.closed_at) {
        let reason = item.state_reason.as_deref().map(reason).unwrap_or_default();
        let by = item.closed_by.map_or_else(|| issue.author.clone(), |by| user(Some(by)));
        issue.closed = Some(ForeignClosed { by, at: time(&place, at)?, reason });
    }
    for (at, one) in item.comments.0.into_iter().enumerate() {
        let place = format!("comment {} of {place}", at + 1);
        issue.comments.push(comment(forge, &project, one, &place)?);
    }
    Ok(issue)
}

fn project_of(forge: &Forge, item: &Item) -> Option<String> {
    let pages = [&item.html_url, &item.url].into_iter().flatten();
    let by_page = pages.filter(|url| !url.contains("://api.")).find_map(|url| forge.place(url));
    by_page.map(|(project, _)| project).or_else(|| {
        let project = item.repository_url.as_ref()?.split_once("/repos/")?.1;
        is_project(project).then(|| project.to_owned())
    })
}

/// Puts comments that came beside their issues where they belong.
fn attach(forge: &Forge, comments: Vec<Item>, found: &mut Found) -> Result<(), ImportError> {
    let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
    for (at, issue) in found.issues.iter().enumerate() {
        by_key.insert(issue.key.clone(), at);
    }
    let mut strays = 0;
    for (at, item) in comments.into_iter().enumerate() {
        let place = format!("comment {} of the document", at + 1);
        let page = item.html_url.as_deref().and_then(|url| forge.place(url));
        let known = page.and_then(|(project, number)| {
            let at = by_key.get(&forge.key(&project, number))?;
            Some((project, *at))
        });
        match known {
            Some((project, to)) => {
                found.issues[to].comments.push(comment(forge, &project, item, &place)?);
            }
            None => strays += 1,
        }
    }
    for issue in &mut found.issues {
        issue.comments.sort_by_key(|comment| comment.at);
    }
    if strays > 0 {
        let message = format!("{strays} comments of issues that are not in the document");
        found.left_out.push(message);
    }
    Ok(())
}

fn comment(
    forge: &Forge,
    project: &str,
    item: Item,
    place: &str,
) -> Result<ForeignComment, ImportError> {
    let lacks = |what: &str| ImportError::thing(place, format!("it has no `{what}`"));
    // The number that both APIs of GitHub give; their `id`s differ.
    let number = |url: &String| url.split_once("#issuecomment-").map(|(_, id)| id.to_owned());
    let by_page = [&item.html_url, &item.url].into_iter().flatten().find_map(number);
    let id = by_page.or(item.id.map(|id| id.0)).ok_or_else(|| lacks("url"))?;
    let created = item.created_at.as_deref().ok_or_else(|| lacks("created_at"))?;
    let body = item.body.flatten().unwrap_or_default().replace("\r\n", "\n");
    Ok(ForeignComment {
        key: forge.comment_key(project, &crate::shown(&id, 100)),
        author: user(item.user),
        at: time(place, created)?,
        body,
    })
}

fn user(user: Option<User>) -> Principal {
    person(user.map(|user| user.login).unwrap_or_default().as_str(), None)
}

fn people(users: Vec<User>) -> BTreeSet<Principal> {
    users.into_iter().map(|one| user(Some(one))).collect()
}

pub fn labels(labels: Vec<Named>) -> BTreeSet<String> {
    labels.iter().filter_map(|label| word(&label.0)).collect()
}

pub fn time(place: &str, text: &str) -> Result<Timestamp, ImportError> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| {
        let message =
            format!("`{}` is no time such as 2026-01-02T03:04:05Z", crate::shown(text, 60));
        ImportError::thing(place, message)
    })
}

/// A day, or the day of a time.
pub fn date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

fn state(place: &str, state: Option<&str>) -> Result<State, ImportError> {
    match state.map(str::to_ascii_lowercase).as_deref() {
        Some("open" | "opened" | "reopened") => Ok(State::Open),
        Some("closed") => Ok(State::Closed),
        Some(other) => {
            let message = format!("`{}` is no state: `open` or `closed`", crate::shown(other, 60));
            Err(ImportError::thing(place, message))
        }
        None => Err(ImportError::thing(place, "it has no `state`")),
    }
}

/// `NOT_PLANNED` and `not_planned` in words.
fn reason(reason: &str) -> String {
    crate::shown(&reason.to_ascii_lowercase().replace('_', " "), 100)
}
