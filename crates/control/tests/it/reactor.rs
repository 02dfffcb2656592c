//! The reactor's core by hand: each answer of the journal given when the test says so.

use futures_util::FutureExt;
use grit_control::aggregate::Command;
use grit_control::reactor::{Action, Core, Input, Receipt, SubmitError, Ticket};
use grit_control::repo::{self, RefUpdate};
use grit_ledger::{
    Append, AppendError, Appended, Journal, MemoryJournal, PendingEffect, StorageError, StreamId,
};
use grit_types::{Actor, EventId, Tenant, Timestamp, Version};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A core and its journal, with what it wants done waiting in a row.
struct Desk {
    core: Core,
    journal: MemoryJournal,
    wanted: Vec<Action>,
    tickets: u64,
}

impl Desk {
    fn open() -> Self {
        Self::with(MemoryJournal::default())
    }

    /// A reactor that starts on what another one left.
    fn with(journal: MemoryJournal) -> Self {
        let mut core = Core::new(Tenant::local());
        let wanted = core.begin();
        Self { core, journal, wanted, tickets: 0 }
    }

    fn tell(&mut self, input: Input) {
        let wanted = self.core.step(NOW, input);
        self.wanted.extend(wanted);
    }

    fn push(&mut self, digit: char) -> Ticket {
        self.submit(stream(), Command::Repo(push(digit)))
    }

    fn submit(&mut self, stream: StreamId, command: Command) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let actor = Actor::new("alice".parse().unwrap(), "test");
        self.tell(Input::Submit { ticket, stream, command, actor });
        ticket
    }

    fn planned(&mut self, effect: &PendingEffect) {
        let commit = "1".repeat(40).parse().unwrap();
        let result = Err(vec!["ci.yml:1:1: no".to_owned()]);
        let command = Command::Repo(repo::Command::Planned { commit, result });
        let (effect, stream) = (effect.id.clone(), effect.stream.clone());
        self.tell(Input::Outcome { effect, stream, command });
    }

    fn take<T>(&mut self, wanted: impl Fn(&Action) -> Option<T>) -> Option<T> {
        let (at, found) =
            self.wanted.iter().enumerate().find_map(|(at, a)| Some((at, wanted(a)?)))?;
        self.wanted.remove(at);
        Some(found)
    }

    fn append(&mut self) -> Option<Append> {
        self.take(|action| match action {
            Action::Append(append) => Some((**append).clone()),
            _ => None,
        })
    }

    fn carried(&mut self) -> Option<PendingEffect> {
        self.take(|action| match action {
            Action::Carry(effect) => Some(effect.clone()),
            _ => None,
        })
    }

    fn answer(&mut self, of: Ticket) -> Option<Result<Receipt, SubmitError>> {
        self.take(|action| match action {
            Action::Answer { ticket, result } if *ticket == of => Some(result.clone()),
            _ => None,
        })
    }

    /// Does whatever is wanted of the journal, until nothing is.
    fn settle(&mut self) {
        while self.load() || self.recover() || self.write() {}
    }

    fn load(&mut self) -> bool {
        let stream = self.take(|action| match action {
            Action::Load { stream } => Some(stream.clone()),
            _ => None,
        });
        let Some(stream) = stream else { return false };
        let events = self.journal.read(&stream, Version::ZERO).now_or_never().unwrap();
        self.tell(Input::Loaded { stream, events });
        true
    }

    fn is_recovering(&mut self) -> bool {
        self.take(|action| matches!(action, Action::Recover).then_some(())).is_some()
    }

    fn pending(&self) -> Vec<PendingEffect> {
        self.journal.pending().now_or_never().unwrap().unwrap()
    }

    fn recover(&mut self) -> bool {
        let recovers = self.is_recovering();
        if recovers {
            let effects = Ok(self.pending());
            self.tell(Input::Pending { effects });
        }
        recovers
    }

    fn write(&mut self) -> bool {
        let Some(append) = self.append() else { return false };
        let result = self.store(append.clone());
        self.tell(Input::Appended { stream: append.stream, result });
        true
    }

    fn store(&self, append: Append) -> Result<Appended, AppendError> {
        self.journal.append(append).now_or_never().unwrap()
    }
}

fn stream() -> StreamId {
    "repo/local/shop".parse().unwrap()
}

fn push(digit: char) -> repo::Command {
    let name = format!("refs/tags/v{digit}").parse().unwrap();
    let new = Some(digit.to_string().repeat(40).parse().unwrap());
    repo::Command::Push { updates: vec![RefUpdate { name, old: None, new }] }
}

fn broken(full: bool) -> StorageError {
    let source = Box::new(std::io::Error::other("no"));
    StorageError { action: "append".to_owned(), full, source }
}

#[test]
fn what_is_answered_is_durable_and_its_effects_are_handed_out_once() {
    let mut desk = Desk::open();
    let ticket = desk.push('1');
    desk.settle();
    let receipt = desk.answer(ticket).unwrap().unwrap();
    let recorded = desk.journal.read(&stream(), Version::ZERO).now_or_never().unwrap().unwrap();
    let ids: Vec<EventId> = recorded.into_iter().map(|recorded| recorded.id).collect();
    assert_eq!(receipt.events, ids);
    assert!(!ids.is_empty());

    let effect = desk.carried().unwrap();
    assert_eq!(desk.pending(), [effect]);
    let effects = Ok(desk.pending());
    desk.tell(Input::Pending { effects });
    assert_eq!(desk.carried(), None, "it is being carried out already");
}

#[test]
fn an_effect_is_owed_until_its_outcome_is_durable() {
    let mut desk = Desk::open();
    desk.push('1');
    desk.settle();
    let effect = desk.carried().unwrap();

    let mut desk = Desk::with(desk.journal);
    desk.settle();
    assert_eq!(desk.carried(), Some(effect.clone()), "whoever comes next is told of it");
    desk.planned(&effect);
    assert_eq!(desk.pending(), std::slice::from_ref(&effect), "its outcome is only decided on");
    desk.settle();
    assert_eq!(desk.pending(), []);
    let mut desk = Desk::with(desk.journal);
    desk.settle();
    assert_eq!(desk.carried(), None);
}

#[test]
fn an_outcome_told_twice_is_recorded_once() {
    let mut desk = Desk::open();
    desk.push('1');
    desk.settle();
    let effect = desk.carried().unwrap();
    desk.planned(&effect);
    desk.planned(&effect);
    desk.settle();
    let tail = desk.journal.tail(grit_types::Sequence::ZERO, 100).now_or_never().unwrap().unwrap();
    let rejected = tail.iter().filter(|recorded| recorded.event.kind == "commit.rejected");
    assert_eq!(rejected.count(), 1);
}

#[test]
fn what_is_settled_while_a_recovery_reads_is_not_handed_out_again() {
    let mut desk = Desk::open();
    desk.push('1');
    desk.settle();
    let effect = desk.carried().unwrap();
    // An append whose answer is lost makes it look at what is owed.
    let ticket = desk.push('2');
    let append = desk.append().unwrap();
    desk.store(append).unwrap();
    desk.tell(Input::Appended { stream: stream(), result: Err(broken(false).into()) });
    assert!(desk.answer(ticket).unwrap().is_err());
    assert!(desk.is_recovering());
    let read_before = desk.pending();

    desk.planned(&effect);
    while desk.load() || desk.write() {}
    desk.tell(Input::Pending { effects: Ok(read_before) });
    let carried: Vec<PendingEffect> = std::iter::from_fn(|| desk.carried()).collect();
    assert!(!carried.contains(&effect), "its outcome was recorded meanwhile");
    assert_eq!(carried.len(), 1, "the lost answer's own effect is not lost with it");
}

#[test]
fn after_a_failed_append_the_stream_is_read_again() {
    let mut desk = Desk::open();
    let ticket = desk.push('1');
    desk.load();
    let append = desk.append().unwrap();
    let stored = desk.store(append).unwrap();
    desk.tell(Input::Appended { stream: stream(), result: Err(broken(true).into()) });
    let Some(Err(SubmitError::Storage(error))) = desk.answer(ticket) else { panic!() };
    assert!(error.full);

    // It was written all the same; the next command is decided on top of it.
    let ticket = desk.push('2');
    desk.settle();
    let receipt = desk.answer(ticket).unwrap().unwrap();
    assert!(receipt.version > stored.version);
}

#[test]
fn a_conflict_is_decided_anew() {
    let mut desk = Desk::open();
    let ticket = desk.push('1');
    desk.load();
    let append = desk.append().unwrap();
    let conflict =
        AppendError::Conflict { stream: stream(), expected: append.expected, actual: Version(7) };
    desk.tell(Input::Appended { stream: stream(), result: Err(conflict) });
    assert!(desk.answer(ticket).is_none(), "nobody needs to know");
    desk.settle();
    assert!(desk.answer(ticket).unwrap().is_ok());
}

#[test]
fn people_are_told_at_once_and_outcomes_wait_for_the_store() {
    let mut desk = Desk::open();
    desk.push('1');
    desk.settle();
    let effect = desk.carried().unwrap();
    desk.planned(&effect);
    desk.append().unwrap();
    let waiting = desk.push('2');
    desk.tell(Input::Appended { stream: stream(), result: Err(broken(true).into()) });
    assert!(matches!(desk.answer(waiting), Some(Err(SubmitError::Storage(_)))));
    assert_eq!(desk.pending(), [effect]);

    desk.tell(Input::Retry { stream: Some(stream()) });
    desk.settle();
    assert_eq!(desk.pending(), [], "the outcome was kept");
}

#[test]
fn a_stream_of_no_known_kind_is_refused_and_the_others_go_on() {
    let mut desk = Desk::open();
    let odd = desk.submit("weather/local/shop".parse().unwrap(), Command::Repo(push('1')));
    let misplaced = desk.submit("slot/local/shop/a/b".parse().unwrap(), Command::Repo(push('1')));
    let fine = desk.push('1');
    desk.settle();
    assert!(matches!(desk.answer(odd), Some(Err(SubmitError::Unreadable(_)))));
    assert!(matches!(desk.answer(misplaced), Some(Err(SubmitError::Refused(_)))));
    assert!(desk.answer(fine).unwrap().is_ok());
}
