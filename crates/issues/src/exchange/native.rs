//! What git-native-issue keeps in `refs/issues/UUID` (its ISSUE-FORMAT, version 1): a chain of
//! commits, the first of which is the issue, whose trailers say what is so from then on.

use std::collections::BTreeMap;

use grit_types::{Principal, Timestamp};

use super::{Foreign, ForeignClosed, ForeignComment, Found, ImportError, person, word};
use crate::State;

/// A commit of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: String,
    pub parents: usize,
    pub name: String,
    pub email: String,
    pub at: Timestamp,
    pub message: String,
}

/// Those that only this format gives a meaning.
const TRAILERS: [&str; 13] = [
    "State",
    "Labels",
    "Assignee",
    "Priority",
    "Milestone",
    "Fixed-By",
    "Release",
    "Reason",
    "Provider-ID",
    "Provider-Comment-ID",
    "Parent-ID",
    "Title",
    "Format-Version",
];

/// Reads issues: the UUID of each, and its commits, parents first.
pub fn read(issues: &[(String, Vec<Commit>)]) -> Result<Found, ImportError> {
    let mut found = Found::default();
    for (uuid, commits) in issues {
        found.issues.push(issue(uuid, commits)?);
    }
    Ok(found)
}

fn issue(uuid: &str, commits: &[Commit]) -> Result<Foreign, ImportError> {
    let place = || format!("refs/issues/{uuid}");
    let wrong = |message: String| ImportError::thing(place(), message);
    let (root, rest) = commits.split_first().ok_or_else(|| wrong("it has no commit".to_owned()))?;
    let first = Message::of(&root.message);
    match first.trailer("Format-Version") {
        None | Some("1") => {}
        Some(other) => {
            let other = crate::shown(other, 40);
            return Err(wrong(format!("it has format version {other}, and 1 is read here")));
        }
    }
    let key = format!("git-native-issue:{uuid}");
    let mut issue = Foreign::new(key, first.subject.clone(), who(root), root.at);
    issue.body = Some(first.body.clone());
    issue.labels = Some(Default::default());
    issue.assignees = Some(Default::default());
    issue.milestone = Some(None);
    issue.priority = Some(None);
    apply(&mut issue, root, &first);
    for commit in rest {
        let message = Message::of(&commit.message);
        apply(&mut issue, commit, &message);
        issue.comments.extend(comment(uuid, commit, &message));
    }
    issue.create_under = Some(issue.key.clone());
    Ok(issue)
}

fn apply(issue: &mut Foreign, commit: &Commit, message: &Message) {
    for (name, value) in &message.trailers {
        match name.as_str() {
            "State" if value == "closed" => {
                let reason = message.trailer("Reason").unwrap_or_default().to_owned();
                // A merge repeats what is so.
                if issue.state == State::Open {
                    let (by, at) = (who(commit), commit.at);
                    issue.closed = Some(ForeignClosed { by, at, reason });
                }
                issue.state = State::Closed;
            }
            "State" => (issue.state, issue.closed) = (State::Open, None),
            "Labels" => issue.labels = Some(value.split(',').filter_map(word).collect()),
            "Assignee" => {
                let one = word(value).map(|name| person(&name, None));
                issue.assignees = Some(one.into_iter().collect());
            }
            "Milestone" => issue.milestone = Some(word(value)),
            "Priority" => issue.priority = Some(value.parse().ok()),
            "Title" => issue.title = value.clone(),
            // The same as a forge's own document calls it: imported from both, it is one.
            "Provider-ID" => issue.key = value.clone(),
            _ => {}
        }
    }
}

/// What a commit says beside what it changes: the first line of a mere change is not for people.
fn comment(uuid: &str, commit: &Commit, message: &Message) -> Option<ForeignComment> {
    let provider = message.trailer("Provider-Comment-ID");
    let is_change = !message.trailers.is_empty() && provider.is_none();
    if commit.parents > 1 || (is_change && message.body.trim().is_empty()) {
        return None;
    }
    let body = match message.body.is_empty() {
        true => message.subject.clone(),
        false => format!("{}\n\n{}", message.subject, message.body),
    };
    let key =
        provider.map_or_else(|| format!("git-native-issue:{uuid}#{}", commit.id), str::to_owned);
    Some(ForeignComment { key, author: who(commit), at: commit.at, body })
}

fn who(commit: &Commit) -> Principal {
    person(&commit.name, Some(&commit.email))
}

struct Message {
    subject: String,
    body: String,
    trailers: BTreeMap<String, String>,
}

impl Message {
    /// The last paragraph is trailers when all its lines could be, and one has a known name.
    fn of(text: &str) -> Self {
        let text = text.trim_end();
        let (subject, rest) = text.split_once('\n').unwrap_or((text, ""));
        let rest = rest.trim_start_matches('\n');
        let (body, last) = rest.rsplit_once("\n\n").unwrap_or(("", rest));
        let trailers: Option<BTreeMap<String, String>> = last.lines().map(trailer).collect();
        let is_known = |map: &BTreeMap<String, String>| {
            map.keys().any(|name| TRAILERS.contains(&name.as_str()) || name.starts_with("X-"))
        };
        match trailers.filter(is_known) {
            Some(trailers) => {
                let (subject, body) = (subject.to_owned(), body.trim_end().to_owned());
                Self { subject, body, trailers }
            }
            None => {
                let trailers = BTreeMap::new();
                Self { subject: subject.to_owned(), body: rest.to_owned(), trailers }
            }
        }
    }

    fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).map(String::as_str)
    }
}

fn trailer(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then(|| (name.to_owned(), value.trim().to_owned()))
}
