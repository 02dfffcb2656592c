//! Clones of one repository that append events and exchange them when they are told to.

use grit_issues::{
    Applied, Command, Creation, Decision, Draft, Event, Issue, Issues, Refusal, create, decide,
};
use grit_ledger::{Hlc, HlcClock, split};
use grit_types::{Actor, IssueId, Tenant, Timestamp};

pub const DAY: i64 = 86_400_000;

/// 2026-01-02T03:04:05Z.
pub const START: i64 = 1_767_323_045_000;

/// An event as a clone of `by` would append it at `hlc`.
pub fn envelope(by: &str, hlc: Hlc, payload: &Event) -> grit_ledger::Event {
    let (kind, data) = split(payload).unwrap();
    grit_ledger::Event {
        kind,
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        subject: "issue".to_owned(),
        actor: Actor::new(by.parse().unwrap(), "cli"),
        hlc,
        cause: None,
        data,
    }
}

/// One clone: what it has, and a clock that may be wrong.
#[derive(Clone)]
pub struct Clone_ {
    pub name: &'static str,
    pub issues: Issues,
    pub events: Vec<grit_ledger::Event>,
    clock: HlcClock,
    /// How far its clock is ahead, in milliseconds.
    skew: i64,
    now: i64,
}

impl Clone_ {
    pub fn new(name: &'static str, skew: i64) -> Self {
        let (issues, clock) = (Issues::default(), HlcClock::default());
        Self { name, issues, events: Vec::new(), clock, skew, now: START }
    }

    /// Lets time go by.
    pub fn wait(&mut self, millis: i64) {
        self.now += millis;
    }

    pub fn append(&mut self, payload: &Event) -> IssueId {
        self.now += 1_000;
        let hlc = self.clock.tick(Timestamp::from_millis(self.now + self.skew));
        let event = envelope(self.name, hlc, payload);
        let id = event.id();
        let applied = self.issues.apply(&event);
        let is_taken = matches!(applied, Applied::Changed(_) | Applied::Query(_));
        assert!(is_taken, "{payload:?}: {applied:?}");
        self.events.push(event);
        id
    }

    pub fn create(&mut self, title: &str, body: &str, labels: &[&str]) -> IssueId {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.draft(Draft { title: title.into(), body: body.into(), labels, ..Draft::default() })
    }

    pub fn draft(&mut self, draft: Draft) -> IssueId {
        match create(draft, None).unwrap() {
            Creation::New(event) => self.append(&event),
            Creation::Existing(id) => panic!("{id} is there"),
        }
    }

    pub fn decide(&self, issue: &IssueId, commands: &[Command]) -> Result<Decision, Refusal> {
        let record = self.issues.record(issue).unwrap();
        decide(record, commands, &self.issues.dependencies())
    }

    /// Does what a command needs; how many events that were.
    pub fn try_run(&mut self, issue: &IssueId, command: Command) -> Result<usize, Refusal> {
        let decision = self.decide(issue, &[command])?;
        assert_eq!(decision.events.len() + decision.already.len(), 1);
        for event in &decision.events {
            self.append(event);
        }
        Ok(decision.events.len())
    }

    /// Does what a command needs, which must be something.
    #[track_caller]
    pub fn run(&mut self, issue: &IssueId, command: Command) {
        assert_eq!(self.try_run(issue, command.clone()).unwrap(), 1, "{command:?}");
    }

    /// Takes over all that `other` has.
    pub fn pull(&mut self, other: &Self) {
        let known: Vec<_> = self.events.iter().map(grit_ledger::Event::id).collect();
        for event in &other.events {
            if !known.contains(&event.id()) {
                self.clock.see(event.hlc);
                self.issues.apply(event);
                self.events.push(event.clone());
            }
        }
        self.now = self.now.max(other.now);
    }

    pub fn issue(&self, id: &IssueId) -> &Issue {
        self.issues.get(id).unwrap()
    }
}

/// Lets both have all that one of them has.
pub fn sync(a: &mut Clone_, b: &mut Clone_) {
    a.pull(b);
    b.pull(a);
    assert_eq!(a.issues, b.issues);
}
