use grit_git::GitLedger;
use grit_issues::{Command, Event, Issue, Issues, LookupError, State, decide, shown, shown_block};
use grit_ledger::{HlcClock, Lane, Ledger, split};
use grit_types::{Clock, IssueId, Tenant};

use super::args::{IssueVerb, StateFilter};
use super::history::events;
use super::place::{Place, git_failure};
use crate::compose::{OsEntropy, SystemClock};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

pub fn run(verb: &IssueVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        IssueVerb::Create { title, body, labels } => {
            let id = append(place, &Event::created(title, body, labels))?;
            ui.data(&serde_json::json!({ "id": id }), |_| format!("{id}\n"));
        }
        IssueVerb::List { state, labels } => list(*state, labels, place, ui)?,
        IssueVerb::Show { id } => {
            let issues = Issues::fold(&events(place, false, ui)?);
            ui.data(find(&issues, id)?, text);
        }
        IssueVerb::Close { id, reason } => {
            let issues = Issues::fold(&events(place, false, ui)?);
            let issue = find(&issues, id)?.id.clone();
            for event in close(&issues, &issue, reason)? {
                append(place, &event)?;
            }
            ui.data(&serde_json::json!({ "id": issue }), |_| format!("{issue}\n"));
        }
    }
    Ok(Exit::Done)
}

/// What closing needs; nothing where it is closed already.
fn close(issues: &Issues, issue: &IssueId, reason: &str) -> Result<Vec<Event>, Failure> {
    let Some(record) = issues.record(issue) else { return Ok(Vec::new()) };
    let command = Command::Close { reason: reason.to_owned() };
    match decide(record, &[command], &issues.dependencies()) {
        Ok(decision) => Ok(decision.events),
        Err(refusal) => Err(Failure::new(Exit::Usage, "issue", refusal.to_string())),
    }
}

fn append(place: &Place, event: &Event) -> Result<IssueId, Failure> {
    let repository = place.repository()?;
    let lane = repository.actor(&OsEntropy).map_err(|error| git_failure(&error))?;
    let ledger = GitLedger::new(repository);
    let failed =
        |error: grit_ledger::LedgerError| Failure::because("the ledger cannot be written", &error);
    let mut clock = HlcClock::default();
    for known in ledger.read().map_err(failed)? {
        clock.see(known.hlc);
    }
    // An event is an enum tagged by its kind: it always splits.
    let (kind, data) = split(event).expect("an event has a kind");
    let event = grit_ledger::Event {
        kind,
        tenant: Tenant::local(),
        repo: place.repo_name()?,
        subject: "issue".to_owned(),
        actor: place.actor(),
        hlc: clock.tick(SystemClock.now()),
        cause: None,
        data,
    };
    ledger.append(&Lane::Actor(lane), &event).map_err(failed)
}

fn list(state: StateFilter, labels: &[String], place: &Place, ui: &Ui) -> Result<(), Failure> {
    let issues = Issues::fold(&events(place, false, ui)?);
    let wanted = |issue: &&Issue| {
        let state = match state {
            StateFilter::Open => issue.state == State::Open,
            StateFilter::Closed => issue.state == State::Closed,
            StateFilter::All => true,
        };
        state && labels.iter().all(|label| issue.labels.contains(label))
    };
    let found: Vec<&Issue> = issues.all().filter(wanted).collect();
    ui.data(&found, |found| {
        if !ui.is_terminal() {
            // One bare id per line: what `xargs` takes.
            return found.iter().map(|issue| format!("{}\n", issue.id)).collect();
        }
        let row = |issue: &&Issue| {
            let labels: Vec<&str> = issue.labels.iter().map(String::as_str).collect();
            vec![issue.id.short().to_owned(), shown(&issue.title, 80), labels.join(", ")]
        };
        table(&["ID", "TITLE", "LABELS"], &found.iter().map(row).collect::<Vec<_>>())
    });
    Ok(())
}

fn find<'a>(issues: &'a Issues, id: &str) -> Result<&'a Issue, Failure> {
    issues.find(id).map_err(|error| {
        let exit = match error {
            LookupError::NotFound { .. } => Exit::NotFound,
            LookupError::TooShort { .. } | LookupError::Ambiguous { .. } => Exit::Usage,
        };
        Failure::new(exit, "issue", error.to_string()).hint("`grit issue list --state all`")
    })
}

fn text(issue: &Issue) -> String {
    let labels: Vec<&str> = issue.labels.iter().map(String::as_str).collect();
    let state = match issue.state {
        State::Open => "open",
        State::Closed => "closed",
    };
    let mut text = format!(
        "{}\n{state}, by {} at {}{}\n\n{}\n",
        shown(&issue.title, 200),
        issue.author,
        issue.created_at,
        if labels.is_empty() { String::new() } else { format!(", {}", labels.join(", ")) },
        shown_block(issue.body.trim_end())
    );
    for comment in &issue.comments {
        text.push_str(&format!(
            "\n{} at {}:\n{}\n",
            comment.author,
            comment.at,
            shown_block(&comment.body)
        ));
    }
    text
}
