use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use grit_ledger::{MemoryJournal, MemoryLedger, contract};

/// The in-memory journal never waits, so one poll must do.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an in-memory store waited"),
    }
}

#[test]
fn the_memory_journal_keeps_the_contract() {
    ready(contract::journal(&MemoryJournal::default()));
}

#[test]
fn the_memory_ledger_keeps_the_contract() {
    let origin = MemoryLedger::default();
    let (ours, theirs) = (MemoryLedger::clone_of(&origin), MemoryLedger::clone_of(&origin));
    contract::ledger(&ours, &theirs, &MemoryLedger::default());
}
