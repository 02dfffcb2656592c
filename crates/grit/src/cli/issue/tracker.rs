use std::collections::BTreeMap;

use grit_git::GitLedger;
use grit_issues::{Command, Event, Issue, Issues, LookupError, Refusal, decide_each, query};
use grit_ledger::{BytesError, HlcClock, Lane, Ledger, split};
use grit_types::{Actor, Clock, Digest, Entropy, IssueId, Principal, Repo, Tenant, Timestamp};
use serde::Serialize;

use crate::cli::history;
use crate::cli::place::{Place, git_failure};
use crate::compose::{OsEntropy, SystemClock};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// The issues of this repository, and the right to add to them.
pub struct Tracker {
    ledger: GitLedger,
    lane: Lane,
    repo: Repo,
    actor: Actor,
    clock: HlcClock,
    /// Of the files that are about to be attached.
    bytes: BTreeMap<Digest, Vec<u8>>,
    /// All that the ledger holds.
    pub events: Vec<grit_ledger::Event>,
    pub issues: Issues,
}

/// What became of a wish for one issue.
#[derive(Debug, Serialize)]
pub struct Changed {
    pub id: IssueId,
    /// How many events were recorded.
    pub recorded: usize,
    /// What was so before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub already: Vec<String>,
}

impl Tracker {
    /// Reads the ledger; `exchange`: after taking what the remote has.
    pub fn open(place: &Place, exchange: bool, ui: &Ui) -> Result<Self, Failure> {
        let events = history::events(place, !exchange, ui)?;
        let repository = place.repository()?;
        let lane = repository.actor(&OsEntropy).map_err(|error| git_failure(&error))?;
        let mut salt = [0; 4];
        OsEntropy.fill(&mut salt);
        let (mut clock, now) = (HlcClock::salted(u32::from_le_bytes(salt)), SystemClock.now());
        for event in &events {
            // From a clock that is far ahead: `grit doctor` names it, and nobody follows it.
            clock.hear(event.hlc, now);
        }
        Ok(Self {
            ledger: GitLedger::new(repository),
            lane: Lane::Actor(lane),
            repo: place.repo_name()?,
            actor: place.actor(),
            clock,
            bytes: BTreeMap::new(),
            issues: Issues::fold(&events),
            events,
        })
    }

    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    pub fn me(&self) -> &Principal {
        &self.actor.principal
    }

    /// The issue whose id begins with `prefix`.
    pub fn find(&self, prefix: &str) -> Result<&Issue, Failure> {
        self.issues.find(prefix).map_err(|error| lookup_failure(&error))
    }

    /// Those that a query asks for.
    pub fn search(&self, text: &str) -> Result<Vec<&Issue>, Failure> {
        let saved = self.issues.queries().texts();
        let names = query::Names { saved: Some(&saved), me: Some(self.me()) };
        let query = query::parse(text, names).map_err(|error| {
            let at = " ".repeat(error.column.saturating_sub(1));
            let message = format!("{error}\n  {}\n  {at}^", grit_issues::shown(text, 500));
            Failure::new(Exit::Usage, "query", message)
        })?;
        Ok(self.issues.select(&query, self.now()))
    }

    /// Has the bytes go with the event that attaches them.
    pub fn bring(&mut self, bytes: Vec<u8>) {
        self.bytes.insert(Digest::of(&bytes), bytes);
    }

    /// The bytes of an attachment, checked against its digest.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        self.ledger.bytes(digest)
    }

    /// Records an event: it is on disk when this answers.
    pub fn append(&mut self, event: &Event) -> Result<IssueId, Failure> {
        let files: Vec<&[u8]> = match event {
            Event::AttachmentAdded { attachment, .. } => {
                self.bytes.get(&attachment.digest).map(Vec::as_slice).into_iter().collect()
            }
            _ => Vec::new(),
        };
        // An event is an enum tagged by its kind: it always splits.
        let (kind, data) = split(event).expect("an event has a kind");
        let event = grit_ledger::Event {
            kind,
            tenant: Tenant::local(),
            repo: self.repo.clone(),
            subject: "issue".to_owned(),
            actor: self.actor.clone(),
            hlc: self.clock.tick(self.now()),
            cause: None,
            data,
        };
        let appended = self.ledger.append_with(&self.lane, &event, &files);
        let failed = |error| Failure::because("the ledger cannot be written", &error);
        let id = appended.map_err(failed)?;
        self.issues.apply(&event);
        Ok(id)
    }

    /// Carries commands out on an issue: all, or none of them.
    pub fn change(&mut self, prefix: &str, commands: &[Command]) -> Result<Changed, Failure> {
        let id = self.find(prefix)?.id.clone();
        let mut changed = self.change_each(&[id], commands)?;
        // One was asked for.
        Ok(changed.remove(0))
    }

    /// Carries commands out on many issues: where one refuses, on none.
    pub fn change_each(
        &mut self,
        ids: &[IssueId],
        commands: &[Command],
    ) -> Result<Vec<Changed>, Failure> {
        let records = ids.iter().filter_map(|id| self.issues.record(id));
        let decided = decide_each(records, commands, &self.issues.dependencies());
        let mut wanted = Vec::new();
        for (id, decision) in decided {
            let refused = |refusal: Refusal| refused(&id, &refusal);
            wanted.push((id.clone(), decision.map_err(refused)?));
        }
        let mut changed = Vec::new();
        for (id, decision) in wanted {
            for event in &decision.events {
                self.append(event)?;
            }
            let (recorded, already) = (decision.events.len(), decision.already);
            changed.push(Changed { id, recorded, already });
        }
        Ok(changed)
    }
}

pub fn lookup_failure(error: &LookupError) -> Failure {
    let exit = match error {
        LookupError::NotFound { .. } => Exit::NotFound,
        LookupError::TooShort { .. } | LookupError::Ambiguous { .. } => Exit::Usage,
    };
    Failure::new(exit, "issue", error.to_string()).hint("`grit issue list --state all`")
}

fn refused(id: &IssueId, refusal: &Refusal) -> Failure {
    let exit = match refusal {
        Refusal::NotHere(_) | Refusal::Comment(_) | Refusal::NoItem { .. } => Exit::NotFound,
        Refusal::Cycle(_) | Refusal::Itself => Exit::Conflict,
        _ => Exit::Usage,
    };
    let message = format!("issue {}: {}", id.short(), grit_types::chain(refusal));
    Failure::new(exit, "refused", message).hint(format!("`grit issue show {}`", id.short()))
}

/// A wish that is about no issue, or about one that is not there yet.
pub fn wish_refused(refusal: &Refusal) -> Failure {
    Failure::new(Exit::Usage, "refused", grit_types::chain(refusal))
}
