use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use grit_ledger::{Decider, Journal, Recorded, StorageError, StreamId, join};
use grit_rollout::Rollouts;
use grit_rollout::slot::{Event as SlotEvent, Slot};
use grit_types::Version;

use super::note::{Note, note};

/// The slots as they were when the relay came by, so that no event is folded for every one after it.
#[derive(Default)]
pub(super) struct Slots(Mutex<BTreeMap<StreamId, (Version, Slot)>>);

impl Slots {
    /// Goes on over an event of a slot: what it says of a deployment, and the slot before it.
    pub async fn pass(
        &self,
        journal: &dyn Journal,
        recorded: &Recorded,
    ) -> Result<Option<(Note, Slot)>, StorageError> {
        let before = match self.take(recorded) {
            Some(before) => before,
            None => read(journal, recorded).await?,
        };
        // One that a newer Grit wrote says nothing here.
        let Ok(event) = join::<SlotEvent>(&recorded.event.kind, &recorded.event.data) else {
            self.put(recorded, before);
            return Ok(None);
        };
        let after = Rollouts::evolve(before.clone(), &event);
        let said = note(&before, &after, &event);
        self.put(recorded, after);
        Ok(said.map(|note| (note, before)))
    }

    /// The slot right before the event, where that is what the relay saw last.
    fn take(&self, recorded: &Recorded) -> Option<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.remove(&recorded.stream);
        if recorded.version == Version::ZERO.next() {
            return Some(Slot::default());
        }
        known.filter(|(version, _)| version.next() == recorded.version).map(|(_, slot)| slot)
    }

    fn put(&self, recorded: &Recorded, after: Slot) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.insert(recorded.stream.clone(), (recorded.version, after));
    }
}

async fn read(journal: &dyn Journal, until: &Recorded) -> Result<Slot, StorageError> {
    let events = journal.read(&until.stream, Version::ZERO).await?;
    let earlier = events.iter().take_while(|earlier| earlier.version < until.version);
    let known = earlier
        .filter_map(|earlier| join::<SlotEvent>(&earlier.event.kind, &earlier.event.data).ok());
    Ok(known.fold(Slot::default(), |slot, event| Rollouts::evolve(slot, &event)))
}
