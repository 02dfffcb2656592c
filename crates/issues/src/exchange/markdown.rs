//! One Markdown text per issue: a head of YAML between two lines `---`, the body, and the comments,
//! each behind a line that says whose it is. People may edit it and take it in again.
//!
//! What is written is read back exactly: a line of a text that looks like one of those marks gets a
//! `\` before it. A stream holds several issues, each behind a line of its own mark.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use grit_diag::decode::Fields;
use grit_diag::{Diagnostics, Source, yaml};
use grit_types::{EventId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Foreign, ForeignClosed, ForeignComment, Found, ImportError, person};
use crate::{Issue, Link, State};

/// Between the issues of a stream.
const ISSUE: &str = "<!-- grit:issue -->";
const MARK: &str = "<!-- grit:";
const COMMENT: &str = "<!-- grit:comment ";
const END: &str = " -->";

/// Characters of a title in a file's name.
const SLUG_CHARS_MAX: usize = 40;

/// What an issue is called in documents: as it was where it came from, else by its own id.
pub fn own_key(issue: &Issue) -> String {
    match &issue.imported {
        Some(imported) => imported.key.clone(),
        None => format!("grit:{}", issue.id),
    }
}

/// A name for the file of an issue, the same wherever the issue is.
pub fn file_name(issue: &Issue) -> String {
    let key = own_key(issue);
    let id = match key.strip_prefix("grit:").and_then(|id| id.parse::<EventId>().ok()) {
        Some(id) => id,
        None => EventId::of(key.as_bytes()),
    };
    let mut slug = String::new();
    for c in issue.title.chars().take(SLUG_CHARS_MAX) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let dash = if slug.is_empty() { "" } else { "-" };
    let short = &id.as_str()[..12];
    format!("{slug}{dash}{short}.md")
}

/// The text of one issue.
pub fn write(issue: &Issue) -> String {
    let mut text = head(issue);
    let _ = write!(text, "\n{}\n", escaped(&issue.body));
    // One that says nothing is none.
    for comment in issue.comments.iter().filter(|comment| !comment.body.trim().is_empty()) {
        let imported = comment.imported.as_ref().map(|imported| imported.key.clone());
        let mark = Mark {
            key: Some(imported.unwrap_or_else(|| format!("grit:{}", comment.id))),
            author: Some(comment.author.clone()),
            at: Some(comment.at.rfc3339()),
        };
        // A mark is plain data; nothing in it may end the mark.
        let mark = serde_json::to_string(&mark).unwrap_or_default().replace('>', "\\u003e");
        let _ = write!(text, "\n{COMMENT}{mark}{END}\n\n{}\n", escaped(&comment.body));
    }
    text
}

/// One text of many issues, the oldest first.
pub fn write_all<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> String {
    let mut issues: Vec<&Issue> = issues.into_iter().collect();
    // By their keys where it was the same moment: ids are others where they were taken in.
    issues.sort_by_key(|issue| (issue.created_at, own_key(issue)));
    issues.into_iter().map(|issue| format!("{ISSUE}\n{}", write(issue))).collect()
}

#[derive(Serialize, Deserialize)]
struct Mark {
    key: Option<String>,
    author: Option<Principal>,
    at: Option<String>,
}

fn head(issue: &Issue) -> String {
    let mut text = String::from("---\n");
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name}: {value}");
        }
    };
    let list = |values: Vec<String>| {
        let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        (!quoted.is_empty()).then(|| format!("[{}]", quoted.join(", ")))
    };
    line("key", Some(quoted(&own_key(issue))));
    line("title", Some(quoted(&issue.title)));
    line("state", Some(issue.state.to_string()));
    line("author", Some(quoted(issue.author.as_str())));
    line("created", Some(quoted(&issue.created_at.rfc3339())));
    line("labels", list(issue.labels.iter().cloned().collect()));
    line("assignees", list(issue.assignees.iter().map(ToString::to_string).collect()));
    line("milestone", issue.milestone.as_deref().map(quoted));
    line("priority", issue.priority.map(|priority| priority.to_string()));
    line("due", issue.due.map(|due| quoted(&due.to_string())));
    let link = |link: &Link| format!("{} {}", link.url, link.title).trim_end().to_owned();
    line("links", list(issue.links.iter().map(link).collect()));
    if let Some(closed) = &issue.closed {
        line("closed", Some(quoted(&closed.at.rfc3339())));
        line("closed_by", Some(quoted(closed.by.as_str())));
        line("reason", (!closed.reason.is_empty()).then(|| quoted(&closed.reason)));
    }
    line("create_key", issue.key.as_deref().map(quoted));
    text.push_str("---\n");
    text
}

/// A YAML text in double quotes, which can hold anything.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_odd(c) => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What YAML may not have as it is, and what turns a line around.
fn is_odd(c: char) -> bool {
    crate::shown::is_bidi_control(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let is_mark = line.trim_start_matches('\\').starts_with(MARK);
        if is_mark { format!("\\{line}") } else { line.to_owned() }
    };
    text.split_inclusive('\n').map(line).collect()
}

fn unescaped(text: &str) -> String {
    let line = |line: &str| {
        let is_escaped = line.starts_with('\\') && line.trim_start_matches('\\').starts_with(MARK);
        (if is_escaped { &line[1..] } else { line }).to_owned()
    };
    text.split_inclusive('\n').map(line).collect()
}

/// What a text does not say itself.
pub struct Context<'a> {
    /// The file's name without `.md`, for one that has no `key`.
    pub stem: &'a str,
    /// Whose an issue or a comment is that names no author.
    pub me: &'a Principal,
    pub now: Timestamp,
}

/// Reads a file or a stream.
pub fn read(text: &str, context: &Context<'_>) -> Result<Found, ImportError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Found::default();
    let mut parts: Vec<(usize, &str)> = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == ISSUE {
            parts.extend((start < at).then(|| (start, &text[start..at])));
            start = at + line.len();
        }
        at += line.len();
    }
    parts.extend((start < at).then(|| (start, &text[start..])));
    for (start, part) in parts {
        found.issues.push(one(text, start, part, context)?);
    }
    Ok(found)
}

fn one(all: &str, start: usize, part: &str, context: &Context<'_>) -> Result<Foreign, ImportError> {
    let error = |at: usize, message: &str| ImportError::at(all, start + at, message);
    let mut lines = part.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if first.trim_end() != "---" {
        return Err(error(0, "an issue begins with a line `---`, and a head with its title"));
    }
    let mut end = first.len();
    let closing = lines.find(|line| {
        let is_end = line.trim_end() == "---";
        end += line.len();
        is_end
    });
    let closing = closing.ok_or_else(|| error(0, "the head that begins here never ends"))?;
    let source = Source::new(context.stem, &part[..end - closing.len()]);
    let mut issue = head_of(&source, context).map_err(|(line, column, message)| {
        let before = all[..start].matches('\n').count();
        let line = usize::try_from(line).unwrap_or(usize::MAX).saturating_add(before);
        ImportError::Text { line, column: usize::try_from(column).unwrap_or(1), message }
    })?;
    let mut rest = &part[end..];
    rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
    let base = start + part.len() - rest.len();
    texts(all, base, rest, context, &mut issue)?;
    Ok(issue)
}

/// The body, and the comments behind their marks.
fn texts(
    all: &str,
    base: usize,
    rest: &str,
    context: &Context<'_>,
    issue: &mut Foreign,
) -> Result<(), ImportError> {
    let mut marks: Vec<(usize, usize, Mark)> = Vec::new();
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if let Some(json) = line.strip_prefix(COMMENT) {
            let json = json.trim_end().strip_suffix(END.trim_start()).map(str::trim);
            let mark = json.and_then(|json| serde_json::from_str(json).ok());
            let message = "this is no mark such as `<!-- grit:comment {\"author\":\"bob\"} -->`";
            let mark = mark.ok_or_else(|| ImportError::at(all, base + at, message))?;
            marks.push((at, at + line.len(), mark));
        }
        at += line.len();
    }
    let end = |next: usize| marks.get(next).map_or(rest.len(), |mark| mark.0);
    issue.body = Some(text(&rest[..end(0)], !marks.is_empty()));
    for (number, (_, start, mark)) in marks.iter().enumerate() {
        let body = &rest[*start..end(number + 1)];
        let body = body.strip_prefix('\n').unwrap_or(body);
        let fallback = format!("{}#comment-{}", issue.key, number + 1);
        let at = mark.at.as_deref().map(|at| super::forge::time(&fallback, at)).transpose()?;
        issue.comments.push(ForeignComment {
            key: mark.key.clone().unwrap_or(fallback),
            author: mark.author.clone().unwrap_or_else(|| context.me.clone()),
            at: at.unwrap_or(context.now),
            body: text(body, number + 1 < marks.len()),
        });
    }
    Ok(())
}

/// Without the line breaks that stand between it and what follows.
fn text(part: &str, is_followed: bool) -> String {
    let part = if is_followed { part.strip_suffix('\n').unwrap_or(part) } else { part };
    unescaped(part.strip_suffix('\n').unwrap_or(part))
}

type Problem = (u32, u32, String);

fn head_of(source: &Source, context: &Context<'_>) -> Result<Foreign, Problem> {
    let mut diagnostics = Diagnostics::new(source);
    let (root, found) = yaml::parse(source);
    diagnostics.append(found);
    let issue = root.and_then(|root| {
        let mut fields = Fields::of(&root, &mut diagnostics)?;
        let issue = fields_of(&mut fields, &mut diagnostics, context)?;
        fields.finish(&mut diagnostics);
        Some(issue)
    });
    let problem = diagnostics.sorted().first().map(|one| {
        let (line, column) = source.position(one.primary.span);
        (line, column, one.message.clone())
    });
    match (issue, problem) {
        (Some(issue), None) => Ok(issue),
        (_, Some(problem)) => Err(problem),
        (None, None) => Err((1, 1, "the head has no `title`".to_owned())),
    }
}

fn fields_of(
    fields: &mut Fields<'_>,
    diagnostics: &mut Diagnostics,
    context: &Context<'_>,
) -> Option<Foreign> {
    let mut text = |name: &'static str, diagnostics: &mut Diagnostics| {
        fields.string(name, diagnostics).map(|text| (text.span, text.value.to_owned()))
    };
    macro_rules! parsed {
        ($name:literal, $read:expr, $wanted:literal) => {
            match text($name, diagnostics) {
                None => None,
                Some((span, value)) => {
                    let read = $read(value.as_str());
                    if read.is_none() {
                        let message = format!("`{}` is not {}", crate::shown(&value, 60), $wanted);
                        diagnostics.error(span, grit_diag::codes::INVALID_VALUE, message);
                    }
                    read
                }
            }
        };
    }
    let time = Timestamp::parse_rfc3339;
    let title = text("title", diagnostics)?.1;
    let key = text("key", diagnostics).map(|(_, key)| key);
    let author = text("author", diagnostics).map(|(_, name)| person(&name, None));
    let created = parsed!("created", time, "a time such as 2026-01-02T03:04:05Z");
    let key = key.unwrap_or_else(|| format!("markdown:{}", context.stem));
    let (author, created) =
        (author.unwrap_or_else(|| context.me.clone()), created.unwrap_or(context.now));
    let mut issue = Foreign::new(key, title, author, created);
    let state = |state: &str| match state {
        "open" => Some(State::Open),
        "closed" => Some(State::Closed),
        _ => None,
    };
    issue.state = parsed!("state", state, "a state: `open` or `closed`").unwrap_or(State::Open);
    let at = parsed!("closed", time, "a time such as 2026-01-02T03:04:05Z");
    let by = text("closed_by", diagnostics).map(|(_, name)| person(&name, None));
    let reason = text("reason", diagnostics).map(|(_, reason)| reason);
    issue.closed = (issue.state == State::Closed).then(|| ForeignClosed {
        by: by.unwrap_or_else(|| context.me.clone()),
        at: at.unwrap_or(context.now),
        reason: reason.unwrap_or_default(),
    });
    issue.milestone = Some(text("milestone", diagnostics).map(|(_, name)| name));
    issue.priority = Some(parsed!("priority", |text: &str| text.parse().ok(), "a priority"));
    issue.due = Some(parsed!("due", |text: &str| text.parse().ok(), "a date such as 2026-12-01"));
    issue.create_under = text("create_key", diagnostics).map(|(_, key)| key);
    let mut list = |name: &'static str| -> Vec<String> {
        let strings = fields.strings(name, diagnostics).unwrap_or_default();
        strings.into_iter().map(|one| one.value.to_owned()).collect()
    };
    issue.labels = Some(list("labels").into_iter().collect());
    issue.assignees = Some(list("assignees").iter().map(|name| person(name, None)).collect());
    issue.links = list("links").iter().map(|text| link(text)).collect::<BTreeSet<Link>>();
    Some(issue)
}

fn link(text: &str) -> Link {
    let (url, title) = text.split_once(' ').unwrap_or((text, ""));
    Link { url: url.to_owned(), title: title.to_owned() }
}
