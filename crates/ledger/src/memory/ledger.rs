use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grit_types::{Digest, EventId};

use crate::{
    Addition, BytesError, Changes, Cut, Entry, Event, Head, Lane, Ledger, LedgerError, Signed,
    SyncReport,
};

type Lanes = BTreeMap<String, Vec<Event>>;

/// What a ledger holds.
#[derive(Clone, Debug, Default)]
struct Store {
    lanes: Lanes,
    files: BTreeMap<Digest, Vec<u8>>,
}

/// A ledger in memory, and its remote: clones of one remote see each other after `sync`.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    store: Arc<Mutex<Store>>,
    remote: Option<Arc<Mutex<Store>>>,
}

impl MemoryLedger {
    /// A ledger that has `origin` as its remote.
    pub fn clone_of(origin: &Self) -> Self {
        let store = Arc::new(Mutex::new(locked(&origin.store).clone()));
        Self { store, remote: Some(origin.store.clone()) }
    }
}

/// A panic elsewhere leaves the lanes whole: each is only ever pushed to.
fn locked(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger for MemoryLedger {
    fn append_all(
        &self,
        lane: &Lane,
        additions: &[Addition<'_>],
    ) -> Result<Vec<EventId>, LedgerError> {
        let mut store = locked(&self.store);
        for Addition { event, files } in additions {
            store.files.extend(files.iter().map(|bytes| (Digest::of(bytes), bytes.to_vec())));
            store.lanes.entry(lane.path()).or_default().push((*event).clone());
        }
        Ok(additions.iter().map(|addition| addition.event.id()).collect())
    }

    fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        locked(&self.store).files.get(digest).cloned().ok_or(BytesError::Unknown(*digest))
    }

    fn since(&self, known: &Cut) -> Result<Changes, LedgerError> {
        let heads = self.heads()?;
        let mut changes = Changes { heads, ..Changes::default() };
        for (lane, events) in &locked(&self.store).lanes {
            let entries = events.iter().map(|event| {
                let id = event.id();
                Entry {
                    lane: lane.clone(),
                    at: id.to_string(),
                    id,
                    event: event.clone(),
                    signed: Signed::Unchecked,
                }
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
        let lanes = &locked(&self.store).lanes;
        let head = |(lane, events): (&String, &Vec<Event>)| {
            let tip = events.last()?.id().to_string();
            Some(Head { lane: lane.clone(), tip })
        };
        Ok(lanes.iter().filter_map(head).collect())
    }

    fn sync(&self) -> Result<SyncReport, LedgerError> {
        let remote = self.remote.as_ref().ok_or(LedgerError::NoRemote)?;
        let (mut here, mut there) = (locked(&self.store), locked(remote));
        let received = take_longer(&mut here.lanes, &there.lanes);
        let sent = take_longer(&mut there.lanes, &here.lanes);
        here.files.extend(there.files.clone());
        there.files.clone_from(&here.files);
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
