use std::collections::{BTreeMap, BTreeSet};

use grit_types::{EventId, IssueId, Timestamp};

use crate::depend::Dependencies;
use crate::event::{Event, ReadError, Subject};
use crate::issue::{Issue, State};
use crate::lookup::{LookupError, lookup};
use crate::query::Query;
use crate::record::Record;
use crate::saved::SavedQueries;

/// All issues of a repository, and its saved queries.
///
/// Events come in any order, in any portions, and more than once: what they add up to is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issues {
    records: BTreeMap<IssueId, Record>,
    /// What people see of the records whose creation came.
    views: BTreeMap<IssueId, Issue>,
    queries: SavedQueries,
}

/// What an event did.
#[derive(Debug)]
pub enum Applied {
    /// It changed this issue, which came or was there.
    Changed(IssueId),
    /// It is about an issue whose creation did not come yet, and is kept until then.
    Waiting(IssueId),
    /// It changed the saved query of that name.
    Query(String),
    /// It was here before.
    Known,
    /// It is about other things than issues.
    Foreign,
    /// It cannot be read; everything else goes on without it.
    Unreadable(ReadError),
}

impl Issues {
    /// Folds the events of a ledger; those of other things are passed over.
    pub fn fold(events: &[grit_ledger::Event]) -> Self {
        let mut issues = Self::default();
        issues.extend(events);
        issues
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &grit_ledger::Event) -> Applied {
        // What is about other things needs no id.
        if !Event::is_ours(&event.kind) {
            return Applied::Foreign;
        }
        let applied = self.take(&event.id(), event);
        if let Applied::Changed(issue) = &applied {
            self.render(&issue.clone());
        }
        applied
    }

    /// Takes many events in; quicker than one by one.
    pub fn extend<'a>(&mut self, events: impl IntoIterator<Item = &'a grit_ledger::Event>) {
        let mut changed = BTreeSet::new();
        for event in events.into_iter().filter(|event| Event::is_ours(&event.kind)) {
            if let Applied::Changed(issue) = self.take(&event.id(), event) {
                changed.insert(issue);
            }
        }
        for issue in changed {
            self.render(&issue);
        }
    }

    fn take(&mut self, id: &EventId, event: &grit_ledger::Event) -> Applied {
        let payload = match Event::read(event) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Applied::Foreign,
            Err(error) => return Applied::Unreadable(error),
        };
        let issue = match payload.subject() {
            Subject::New => id.clone(),
            Subject::Issue(issue) => issue.clone(),
            Subject::Query(name) => {
                let name = name.to_owned();
                let is_new = self.queries.apply(id, event, payload);
                return if is_new { Applied::Query(name) } else { Applied::Known };
            }
        };
        let record =
            self.records.entry(issue.clone()).or_insert_with(|| Record::new(issue.clone()));
        match (record.apply(id, event, payload), record.created.is_some()) {
            (false, _) => Applied::Known,
            (true, true) => Applied::Changed(issue),
            (true, false) => Applied::Waiting(issue),
        }
    }

    fn render(&mut self, id: &IssueId) {
        if let Some(issue) = self.records.get(id).and_then(Record::issue) {
            self.views.insert(id.clone(), issue);
        }
    }

    /// Takes all in that another clone's issues hold.
    pub fn merge(&mut self, other: Self) {
        for (id, theirs) in other.records {
            let ours = self.records.entry(id.clone()).or_insert_with(|| Record::new(id.clone()));
            ours.merge(theirs);
            self.render(&id);
        }
        self.queries.merge(other.queries);
    }

    /// All of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &Issue> {
        let mut issues: Vec<&Issue> = self.views.values().collect();
        issues.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        issues.into_iter()
    }

    /// Those that a query asks for, in its order.
    pub fn select(&self, query: &Query, now: Timestamp) -> Vec<&Issue> {
        query.select(self.views.values(), now)
    }

    /// The issue whose id begins with `prefix`.
    pub fn find(&self, prefix: &str) -> Result<&Issue, LookupError> {
        let id = lookup(prefix, self.views.keys())?;
        Ok(&self.views[id])
    }

    pub fn get(&self, id: &IssueId) -> Option<&Issue> {
        self.views.get(id)
    }

    /// What decides on commands to an issue.
    pub fn record(&self, id: &IssueId) -> Option<&Record> {
        self.records.get(id)
    }

    /// All records, those included whose creation did not come yet.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The issue created under an idempotency key. Clones that did not know of each other can make
    /// several; the earliest is meant.
    pub fn by_key(&self, key: &str) -> Option<&Issue> {
        let under = self.views.values().filter(|issue| issue.key.as_deref() == Some(key));
        under.min_by_key(|issue| (issue.created_at, &issue.id))
    }

    /// The issue of the alert with that fingerprint: an open one before a closed one, then the
    /// latest.
    pub fn by_fingerprint(&self, fingerprint: &str) -> Option<&Issue> {
        let about =
            self.views.values().filter(|issue| issue.fingerprint.as_deref() == Some(fingerprint));
        about.max_by_key(|issue| (issue.state == State::Open, issue.created_at, &issue.id))
    }

    /// What must be done before what.
    pub fn dependencies(&self) -> Dependencies {
        let mut all = Dependencies::default();
        for issue in self.views.values() {
            for dependency in &issue.dependencies {
                all.add(&issue.id, dependency);
            }
        }
        all
    }

    /// The saved queries.
    pub fn queries(&self) -> &SavedQueries {
        &self.queries
    }
}
