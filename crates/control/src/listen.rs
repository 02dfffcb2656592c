//! What happens to issues and locks starts pipelines: `grit_issue`, `grit_lock`.
//!
//! The repository's refs are looked at again and again, whoever moved them. How far they were
//! listened to is a part of the repository's own stream, recorded together with what was heard: so
//! that each event is heard once, also by another control process after this one. What a run of this
//! server did, or the server itself, starts nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grit_issues::Issues;
use grit_ledger::{Entry, Event, Hlc, Journal, LedgerError, StorageError};
use grit_locks::{Lease, State as LeaseState};
use grit_pipeline::plan::Plan;
use grit_types::{Actor, CommitId, Principal, RefName, RunId, chain};
use serde_json::{Value, json};

use crate::aggregate::Command;
use crate::pipelines;
use crate::ports::{LockRecord, RepoId, Source, SourceError};
use crate::project::{LEDGERS, RUNS, row};
use crate::reactor::{Handle, Submission, SubmitError};
use crate::repo::{self, Heard, Hearing, Trigger};

/// What happens to issues, as an event.
const ISSUE: &str = "grit_issue";
/// What happens to locks, as an event.
const LOCK: &str = "grit_lock";
/// How often the refs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So much is told to the repository at once.
const AT_ONCE: usize = 50;
/// More of a text is not told.
const TEXT_CHARS_MAX: usize = 60_000;

/// Listens to a repository; see the module.
pub struct Listener {
    pub at: RepoId,
    pub journal: Arc<dyn Journal>,
    pub source: Arc<dyn Source>,
    pub handle: Handle,
}

/// Why nothing was heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("read the journal")]
    Journal(#[from] StorageError),
    #[error("read the repository")]
    Source(#[from] SourceError),
    #[error("read the ledger")]
    Ledger(#[from] LedgerError),
    #[error("tell the repository")]
    Submit(#[from] SubmitError),
    #[error("reading the repository panicked")]
    Panicked,
}

impl Listener {
    /// Begins to listen, where nobody has: what is there now starts nothing. To be called before
    /// anybody can be asked for anything.
    pub async fn begin(&self) -> Result<(), ListenError> {
        match self.heard().await?.number {
            0 => self.listen().await,
            _ => Ok(()),
        }
    }

    /// Runs for ever; what fails is tried again.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::warn!(cause = chain(&error), "nobody listens to the ledger for now");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn listen(&self) -> Result<(), ListenError> {
        let heard = self.heard().await?;
        let (source, at) = (self.source.clone(), self.at.clone());
        let look = move || look(source.as_ref(), &at, &heard);
        let looked = tokio::task::spawn_blocking(look).await;
        let Some(looked) = looked.map_err(|_| ListenError::Panicked)?? else { return Ok(()) };
        let mut triggers = Vec::new();
        for (by, trigger) in looked.triggers {
            if !self.is_own(by).await? {
                triggers.push(trigger);
            }
        }
        // All but the last of them leave the place where it is: what is told again is known by name.
        while triggers.len() > AT_ONCE {
            let some = triggers.drain(..AT_ONCE).collect();
            self.tell(repo::Command::Triggers(some)).await?;
        }
        self.tell(repo::Command::Heard { hearing: looked.hearing, triggers }).await
    }

    async fn tell(&self, command: repo::Command) -> Result<(), ListenError> {
        let (stream, actor) = (self.at.stream(), Actor::grit("listen"));
        let command = Command::Repo(command);
        self.handle.submit(Submission { stream, command, actor }).await?;
        Ok(())
    }

    async fn heard(&self) -> Result<Heard, StorageError> {
        let (journal, key) = (self.journal.as_ref(), self.at.repo.to_string());
        Ok(row(journal, LEDGERS, &self.at.tenant, key).await?.unwrap_or_default())
    }

    /// Whether a run of this server did it.
    async fn is_own(&self, by: Option<RunId>) -> Result<bool, StorageError> {
        let Some(run) = by else { return Ok(false) };
        let journal = self.journal.as_ref();
        let found: Option<Value> = row(journal, RUNS, &self.at.tenant, run.to_string()).await?;
        Ok(found.is_some())
    }
}

/// What a look found, and by which run each was done.
struct Looked {
    hearing: Hearing,
    triggers: Vec<(Option<RunId>, Trigger)>,
}

/// `None`: nothing moved.
fn look(source: &dyn Source, at: &RepoId, heard: &Heard) -> Result<Option<Looked>, ListenError> {
    let ledger = source.ledger(at)?;
    let is_lock = |name: &&String| name.starts_with("lock/");
    let known = |lock: bool| {
        let names = heard.cut.iter().filter(move |(name, _)| is_lock(name) == lock);
        names.map(|(name, tip)| (name.clone(), tip.clone())).collect()
    };
    let changes = ledger.since(&known(false))?;
    let locks = source.locks(at, &known(true))?;
    let mut cut = changes.cut();
    cut.extend(locks.tips);
    if cut == heard.cut && heard.number > 0 {
        return Ok(None);
    }
    let latest = changes.entries.iter().map(|entry| entry.event.hlc).max();
    let gone = heard.cut.keys().filter(|name| !cut.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), None));
    let moved = cut.iter().filter(|(name, tip)| heard.cut.get(*name) != Some(*tip));
    let moved = moved.map(|(name, tip)| (name.clone(), Some(tip.clone()))).chain(gone).collect();
    let mut looked =
        Looked { hearing: Hearing { after: heard.number, moved, latest }, triggers: Vec::new() };
    if heard.number == 0 {
        return Ok(Some(looked));
    }
    let Some(listening) = Listening::read(source, at)? else { return Ok(Some(looked)) };
    if listening.wants(ISSUE) {
        let news = news(&changes.entries, &changes.restarted, heard);
        if !news.is_empty() {
            let issues = Issues::fold(&ledger.read()?);
            looked.triggers.extend(news.iter().filter_map(|(entry, event)| {
                let run = by_run(&entry.event.actor);
                listening.issue(&issues, entry, event).map(|trigger| (run, trigger))
            }));
        }
    }
    if listening.wants(LOCK) {
        for record in locks.records.iter().filter(|record| record.lease.at >= heard.since) {
            let run = record.lease.owner.run_url.as_deref().and_then(run_of_url);
            looked.triggers.extend(listening.lock(record).map(|trigger| (run, trigger)));
        }
    }
    Ok(Some(looked))
}

/// What happened to issues since, each once: two lanes may hold the same, and one that begins anew
/// holds what was heard before.
fn news<'a>(
    entries: &'a [Entry],
    restarted: &[String],
    heard: &Heard,
) -> Vec<(&'a Entry, grit_issues::Event)> {
    let mut seen = BTreeSet::new();
    let is_old = |hlc: Hlc, lane: &String| {
        hlc.millis < heard.since.millis()
            || (restarted.contains(lane) && heard.latest.is_some_and(|latest| hlc <= latest))
    };
    let told = entries.iter().filter(|entry| !is_old(entry.event.hlc, &entry.lane));
    let told = told.filter(|entry| is_for_others(&entry.event));
    let told = told.filter_map(|entry| {
        let event = grit_issues::Event::read(&entry.event).ok().flatten()?;
        (event.imported().is_none() && seen.insert(entry.id.clone())).then_some((entry, event))
    });
    told.collect()
}

/// What the server itself writes follows from what happened already.
fn is_for_others(event: &Event) -> bool {
    event.actor.principal != Principal::grit()
}

/// What a job writes says of which run it is.
fn by_run(actor: &Actor) -> Option<RunId> {
    actor.via.strip_prefix("run/")?.parse().ok()
}

fn run_of_url(url: &str) -> Option<RunId> {
    url.rsplit('/').next()?.parse().ok()
}

/// The pipelines of the default branch, which are those that are started.
struct Listening {
    name: RefName,
    commit: CommitId,
    plans: Vec<Plan>,
}

impl Listening {
    fn read(source: &dyn Source, at: &RepoId) -> Result<Option<Self>, SourceError> {
        let Some((name, commit)) = source.default_branch(at)? else { return Ok(None) };
        let plans = pipelines::read(source, at, &commit)?.plans;
        Ok(Some(Self { name, commit, plans }))
    }

    fn wants(&self, event: &str) -> bool {
        self.plans.iter().any(|plan| plan.trigger(event).is_some())
    }

    fn trigger(&self, id: String, event: &str, actor: Principal, payload: Value) -> Trigger {
        Trigger {
            id,
            event: event.to_owned(),
            activity: payload["action"].as_str().map(str::to_owned),
            ref_name: Some(self.name.clone()),
            actor,
            payload,
            ..Trigger::none(&self.commit)
        }
    }

    fn issue(&self, issues: &Issues, entry: &Entry, event: &grit_issues::Event) -> Option<Trigger> {
        let id = match event.issue() {
            Some(id) => id.clone(),
            None if entry.event.kind == "issue.created" => entry.id.clone(),
            None => return None,
        };
        let mut payload = json!({ "action": action(&entry.event) });
        about(event, &mut payload);
        payload["issue"] = shown(issues.get(&id)?);
        let actor = entry.event.actor.principal.clone();
        Some(self.trigger(entry.id.to_string(), ISSUE, actor, payload))
    }

    fn lock(&self, record: &LockRecord) -> Option<Trigger> {
        let lease = &record.lease;
        let action = lock_action(record)?;
        let payload = json!({
            "action": action,
            "lock": {
                "resource": lease.resource.as_str(),
                "fence": lease.fence.0,
                "holder": lease.owner.actor,
                "host": lease.owner.host,
                "reason": lease.reason,
                "state": lease.state,
                "acquired_at": lease.acquired_at.to_string(),
                "expires_at": lease.expires_at.to_string(),
                "ended_by": lease.ended_by,
            },
        });
        let actor = lease.ended_by.clone().unwrap_or_else(|| lease.owner.actor.clone());
        Some(self.trigger(format!("lock/{}", record.at), LOCK, actor, payload))
    }
}

/// One word for what happened: what the event's kind says, in the words that pipelines use.
fn action(event: &Event) -> String {
    let kind = event.kind.trim_start_matches("issue.");
    match kind {
        "created" => "opened",
        "retitled" | "body_edited" => "edited",
        "milestone_set" if event.data["milestone"].is_null() => "demilestoned",
        "milestone_set" => "milestoned",
        other => other,
    }
    .to_owned()
}

/// What an event says beside the issue.
fn about(event: &grit_issues::Event, payload: &mut Value) {
    use grit_issues::Event as Said;
    match event {
        Said::Labelled { label, .. } | Said::Unlabelled { label, .. } => {
            payload["label"] = json!({ "name": label });
        }
        Said::Assigned { assignee, .. } | Said::Unassigned { assignee, .. } => {
            payload["assignee"] = json!({ "login": assignee });
        }
        Said::Commented { body, .. } => payload["comment"] = json!({ "body": short(body) }),
        Said::Closed { reason, .. } if !reason.is_empty() => {
            payload["comment"] = json!({ "body": short(reason) });
        }
        _ => {}
    }
}

fn shown(issue: &grit_issues::Issue) -> Value {
    let login = |name: &Principal| json!({ "login": name });
    json!({
        "id": issue.id.to_string(),
        "number": issue.id.short(),
        "title": issue.title,
        "body": short(&issue.body),
        "state": issue.state.as_str(),
        "user": login(&issue.author),
        "labels": issue.labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "assignees": issue.assignees.iter().map(login).collect::<Vec<_>>(),
        "milestone": issue.milestone.as_ref().map(|title| json!({ "title": title })),
        "created_at": issue.created_at.to_string(),
        "updated_at": issue.updated_at.to_string(),
    })
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// What a record of a lock tells; a lease that only goes on tells nothing.
fn lock_action(record: &LockRecord) -> Option<&'static str> {
    let same = |before: &&Lease| before.id == record.lease.id;
    match record.lease.state {
        LeaseState::Held if record.before.as_ref().filter(same).is_some() => None,
        // Whoever had it lost it in that moment.
        LeaseState::Held => Some("acquired"),
        LeaseState::Released => Some("released"),
        LeaseState::Broken => Some("broken"),
        LeaseState::Expired => Some("expired"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_types::Timestamp;

    #[test]
    fn a_run_is_known_by_what_its_job_writes() {
        let run = RunId::derived(Timestamp::from_millis(1), b"x");
        let actor = |via: String| Actor::new("alice".parse().unwrap(), via);
        assert_eq!(by_run(&actor(format!("run/{run}"))), Some(run));
        assert_eq!(by_run(&actor("cli".to_owned())), None);
        assert_eq!(run_of_url(&format!("http://x/shop/actions/runs/{run}")), Some(run));
        assert_eq!(run_of_url("https://ci.example/17"), None);
    }
}
