use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::calls::Call;

/// The issues that there should be, or that there are, by id.
pub type Issues = BTreeMap<String, Issue>;

/// As much of an issue as a command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issue {
    pub title: String,
    pub body: String,
    pub labels: BTreeSet<String>,
    pub comments: Vec<String>,
    pub is_closed: bool,
}

/// From the answer of `grit issue list --state all --json`.
///
/// # Errors
/// Something that an issue has is missing.
pub fn read(answer: &str) -> Result<Issues, String> {
    let answer: Value = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    let list = answer["data"].as_array().ok_or("the answer has no list in `data`")?;
    list.iter().map(issue).collect::<Option<_>>().ok_or_else(|| format!("not issues: {answer}"))
}

fn issue(value: &Value) -> Option<(String, Issue)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let comments = value["comments"].as_array()?.iter().map(|comment| text(&comment["body"]));
    let issue = Issue {
        title: text(&value["title"])?,
        body: text(&value["body"])?,
        labels: value["labels"].as_array()?.iter().map(text).collect::<Option<_>>()?,
        comments: comments.collect::<Option<_>>()?,
        is_closed: text(&value["state"])? == "closed",
    };
    Some((text(&value["id"])?, issue))
}

/// What a call asks for becomes so. The answer is the issue that it is about.
pub fn apply(issues: &mut Issues, call: &Call) -> Option<String> {
    let words: Vec<&str> = call.argv.iter().map(String::as_str).collect();
    let id = match words[..] {
        ["issue", "create", ..] => call.id().unwrap_or_default(),
        ["issue", "comment" | "close", id, ..] | ["issue", "label", "add", id, ..] => id.to_owned(),
        _ => return None,
    };
    let issue = issues.entry(id.clone()).or_default();
    let option = |name| call.option(name).unwrap_or_default().to_owned();
    match words[1] {
        "create" => {
            let from_stdin = call.option("--body-file") == Some("-");
            issue.title = option("--title");
            issue.body = if from_stdin { call.stdin.clone() } else { option("--body") };
        }
        "comment" => issue.comments.push(option("--body")),
        "close" => issue.is_closed = true,
        _ => {}
    }
    issue.labels.extend(call.options("--label").map(str::to_owned));
    Some(id)
}

/// Whether an issue is one of those that `grit issue list` was asked for.
pub fn is_listed(issue: &Issue, call: &Call) -> bool {
    let state = match call.option("--state") {
        None | Some("open") => !issue.is_closed,
        Some("closed") => issue.is_closed,
        Some(_) => true,
    };
    state && call.options("--label").all(|label| issue.labels.contains(label))
}
