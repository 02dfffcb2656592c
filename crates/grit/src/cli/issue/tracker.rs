use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use grit_git::{GitLedger, Repository};
use grit_index::{Index, IndexError};
use grit_issues::{
    Command, Creation, Dependencies, Draft, Event, Issue, LookupError, Query, Record, Refusal,
    decide_each, query,
};
use grit_ledger::{BytesError, HlcClock, Lane, Ledger, split};
use grit_types::{
    Actor, Clock, Digest, Entropy, EventId, IssueId, Principal, Repo, Tenant, Timestamp,
};
use serde::Serialize;

use crate::cli::place::{Place, git_failure};
use crate::compose::{OsEntropy, SystemClock};
use crate::exit::{Exit, Failure};

/// The issues of this repository as this clone has them, and the right to add to them. Nothing is
/// asked of any remote: `grit sync` is the exchange.
pub struct Tracker {
    ledger: Arc<GitLedger>,
    index: Index,
    repo: Repo,
    actor: Actor,
    clock: HlcClock,
    /// Of the files that are about to be attached.
    bytes: BTreeMap<Digest, Vec<u8>>,
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
    /// The index, brought up to what the refs hold.
    pub fn open(place: &Place) -> Result<Self, Failure> {
        let repository = place.repository()?;
        let path = index_path(&repository);
        let repo = Place::name_of(&repository);
        let ledger = Arc::new(GitLedger::new(repository));
        let index = Index::open(&path, ledger.clone()).map_err(index_failure)?;
        let mut salt = [0; 4];
        OsEntropy.fill(&mut salt);
        let clock = HlcClock::salted(u32::from_le_bytes(salt));
        Ok(Self { ledger, index, repo, actor: place.actor(), clock, bytes: BTreeMap::new() })
    }

    /// For what is not asked here; its errors are for [`index_failure`].
    pub fn index(&self) -> &Index {
        &self.index
    }

    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    pub fn me(&self) -> &Principal {
        &self.actor.principal
    }

    /// The id that begins with `prefix`.
    pub fn id(&self, prefix: &str) -> Result<IssueId, Failure> {
        let found = self.index.find(prefix).map_err(index_failure)?;
        found.map_err(|error| lookup_failure(&error))
    }

    /// The issue whose id begins with `prefix`.
    pub fn issue(&self, prefix: &str) -> Result<Issue, Failure> {
        let id = self.id(prefix)?;
        let issue = self.index.issue(&id).map_err(index_failure)?;
        // Another process took it out in between: its lane was rewound.
        issue.ok_or_else(|| {
            lookup_failure(&LookupError::NotFound { prefix: prefix.to_owned(), nearest: None })
        })
    }

    /// Of each event of an issue whether it is signed by a key of its actor; none where nobody asks
    /// for signatures.
    pub fn verified(&self, id: &IssueId) -> Result<BTreeMap<EventId, Option<bool>>, Failure> {
        let places = self.index.places(id).map_err(index_failure)?;
        let verified = places.into_iter().map(|(id, at)| {
            let signed = self.ledger.signature(&at).map_err(|error| index_failure(error.into()))?;
            Ok((id, crate::cli::log::verified(&signed)))
        });
        verified.collect()
    }

    /// What is known of the issue of the alert with that fingerprint.
    pub fn by_fingerprint(&self, fingerprint: &str) -> Result<Option<Record>, Failure> {
        let id = self.index.by_fingerprint(fingerprint).map_err(index_failure)?;
        let record = id.map(|id| self.index.record(&id)).transpose();
        Ok(record.map_err(index_failure)?.flatten())
    }

    /// Reads a query, saved ones and `@me` included.
    pub fn query(&self, text: &str) -> Result<Query, Failure> {
        let saved = self.index.queries().map_err(index_failure)?.texts();
        let names = query::Names { saved: Some(&saved), me: Some(self.me()) };
        query::parse(text, names).map_err(|error| {
            let at = " ".repeat(error.column.saturating_sub(1));
            let message = format!("{error}\n  {}\n  {at}^", grit_issues::shown(text, 500));
            Failure::new(Exit::Usage, "query", message)
        })
    }

    /// Has the bytes go with the event that attaches them.
    pub fn bring(&mut self, bytes: Vec<u8>) {
        self.bytes.insert(Digest::of(&bytes), bytes);
    }

    /// The bytes of an attachment, checked against its digest.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        self.ledger.bytes(digest)
    }

    /// Opens an issue; the one that is there already under the draft's key is `false`.
    pub fn create(&mut self, draft: Draft) -> Result<(IssueId, bool), Failure> {
        let known = draft.key.as_deref().map(|key| self.index.by_key(key));
        let known = known.transpose().map_err(index_failure)?.flatten();
        let creation = grit_issues::create(draft, known.as_ref());
        match creation.map_err(|refusal| wish_refused(&refusal))? {
            Creation::Existing(id) => Ok((id, false)),
            Creation::New(event) => {
                let mut ids = self.append(&[event])?;
                // One was appended.
                Ok((ids.remove(0), true))
            }
        }
    }

    /// Records events: they are on disk when this answers, and then in the index.
    pub fn append(&mut self, events: &[Event]) -> Result<Vec<EventId>, Failure> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.now();
        let agreed = self.ledger.agreed().map_err(|error| index_failure(error.into()))?;
        let indexed = self.index.latest(now).map_err(index_failure)?;
        for latest in indexed.into_iter().chain(agreed.latest) {
            // From a clock that is far ahead: `grit doctor` names it, and nobody follows it.
            self.clock.hear(latest, now);
        }
        let lane = self.ledger.repository().actor(&OsEntropy);
        let lane = Lane::Actor(lane.map_err(|error| git_failure(&error))?);
        let mut ids = Vec::new();
        for event in events {
            let (event, files) = (self.envelope(event), self.files(event));
            let appended = self.ledger.append_with(&lane, &event, &files);
            let failed = |error| Failure::because("the ledger cannot be written", &error);
            ids.push(appended.map_err(failed)?);
        }
        if let Err(error) = self.index.refresh() {
            // It is in the ledger, and the next reader finds it there.
            tracing::warn!(why = grit_types::chain(&error), "the index lacks what was recorded");
        }
        Ok(ids)
    }

    /// What comes with it.
    fn files(&self, event: &Event) -> Vec<&[u8]> {
        match event {
            Event::AttachmentAdded { attachment, .. } => {
                self.bytes.get(&attachment.digest).map(Vec::as_slice).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn envelope(&mut self, event: &Event) -> grit_ledger::Event {
        // An event is an enum tagged by its kind: it always splits.
        let (kind, data) = split(event).expect("an event has a kind");
        grit_ledger::Event {
            kind,
            tenant: Tenant::local(),
            repo: self.repo.clone(),
            subject: "issue".to_owned(),
            actor: self.actor.clone(),
            hlc: self.clock.tick(self.now()),
            cause: None,
            data,
        }
    }

    /// Carries commands out on an issue: all, or none of them.
    pub fn change(&mut self, prefix: &str, commands: &[Command]) -> Result<Changed, Failure> {
        let id = self.id(prefix)?;
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
        let records: Result<Vec<_>, _> = ids.iter().map(|id| self.index.record(id)).collect();
        let records: Vec<_> = records.map_err(index_failure)?.into_iter().flatten().collect();
        let dependencies = match commands.iter().any(|one| matches!(one, Command::Depend(_))) {
            true => self.index.dependencies().map_err(index_failure)?,
            false => Dependencies::default(),
        };
        let (mut events, mut changed) = (Vec::new(), Vec::new());
        for (id, decision) in decide_each(&records, commands, &dependencies) {
            let decision = decision.map_err(|refusal| refused(&id, &refusal))?;
            let (recorded, already) = (decision.events.len(), decision.already);
            events.extend(decision.events);
            changed.push(Changed { id, recorded, already });
        }
        self.append(&events)?;
        Ok(changed)
    }
}

/// Where the index of a repository is.
pub fn index_path(repository: &Repository) -> PathBuf {
    repository.common_dir().join("grit").join("index.db")
}

pub fn index_failure(error: IndexError) -> Failure {
    match error {
        IndexError::Ledger(error) => Failure::because("the ledger cannot be read", &error),
        other => Failure::because("the issues cannot be read", &other),
    }
}

fn lookup_failure(error: &LookupError) -> Failure {
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
