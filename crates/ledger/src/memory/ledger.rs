use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grit_types::EventId;

use crate::{Changes, Cut, Entry, Event, Head, Lane, Ledger, LedgerError, SyncReport};

type Lanes = BTreeMap<String, Vec<Event>>;

/// A ledger in memory, and its remote: clones of one remote see each other after `sync`.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    lanes: Arc<Mutex<Lanes>>,
    remote: Option<Arc<Mutex<Lanes>>>,
}

impl MemoryLedger {
    /// A ledger that has `origin` as its remote.
    pub fn clone_of(origin: &Self) -> Self {
        let lanes = Arc::new(Mutex::new(locked(&origin.lanes).clone()));
        Self { lanes, remote: Some(origin.lanes.clone()) }
    }
}

/// A panic elsewhere leaves the lanes whole: each is only ever pushed to.
fn locked(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger for MemoryLedger {
    fn append(&self, lane: &Lane, event: &Event) -> Result<EventId, LedgerError> {
        locked(&self.lanes).entry(lane.path()).or_default().push(event.clone());
        Ok(event.id())
    }

    fn since(&self, known: &Cut) -> Result<Changes, LedgerError> {
        let heads = self.heads()?;
        let mut changes = Changes { heads, ..Changes::default() };
        for (lane, events) in locked(&self.lanes).iter() {
            let entries = events.iter().map(|event| {
                let id = event.id();
                Entry { lane: lane.clone(), at: id.to_string(), id, event: event.clone() }
            });
            let mut entries: Vec<Entry> = entries.collect();
            if let Some(tip) = known.get(lane) {
                match entries.iter().rposition(|entry| entry.at == *tip) {
                    Some(last) => drop(entries.drain(..=last)),
                    None => changes.restarted.push(lane.clone()),
                }
            }
            changes.entries.append(&mut entries);
        }
        Ok(changes)
    }

    fn heads(&self) -> Result<Vec<Head>, LedgerError> {
        let lanes = locked(&self.lanes);
        let head = |(lane, events): (&String, &Vec<Event>)| {
            let tip = events.last()?.id().to_string();
            Some(Head { lane: lane.clone(), tip })
        };
        Ok(lanes.iter().filter_map(head).collect())
    }

    fn sync(&self) -> Result<SyncReport, LedgerError> {
        let remote = self.remote.as_ref().ok_or(LedgerError::NoRemote)?;
        let (mut here, mut there) = (locked(&self.lanes), locked(remote));
        let received = take_longer(&mut here, &there);
        let sent = take_longer(&mut there, &here);
        Ok(SyncReport { received, sent })
    }
}

/// A lane has one writer, so of two states of it the longer one continues the shorter.
fn take_longer(into: &mut Lanes, from: &Lanes) -> usize {
    let mut moved = 0;
    for (lane, events) in from {
        let known = into.entry(lane.clone()).or_default();
        if events.len() > known.len() {
            known.clone_from(events);
            moved += 1;
        }
    }
    moved
}
