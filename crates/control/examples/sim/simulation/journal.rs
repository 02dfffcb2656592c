//! The controller's questions to its journal, and how their answers fail.

use grit_control::reactor::Input;
use grit_ledger::{Append, AppendError};

use super::store::failure;
use super::tally::Fault;
use super::world::{Item, Moment, Query, World};

impl World {
    pub(super) fn ask(&mut self, query: Query) {
        let appends = matches!(query, Query::Append(_));
        let (input, delay) = match query {
            Query::Load(stream) => {
                let events = self.store.read(&stream);
                self.unreadable(events.is_err());
                (Input::Loaded { stream, events }, self.rng.between(0, 10))
            }
            Query::Pending => {
                let effects = self.store.pending();
                self.unreadable(effects.is_err());
                let slow = if self.rng.chance(20) { 2_000 } else { 20 };
                (Input::Pending { effects }, self.rng.between(0, slow))
            }
            Query::Append(append) => (self.append(*append), self.rng.between(0, 20)),
        };
        self.queue(delay, Item::Input(self.life, Box::new(input)));
        if appends && self.dies_in(Moment::Appended) {
            self.crash();
        }
    }

    fn unreadable(&mut self, failed: bool) {
        if failed && self.troubled("unreadable") {
            self.tally.fault(Fault::JournalUnreadable);
        }
    }

    fn append(&mut self, append: Append) -> Input {
        let stream = append.stream.clone();
        let mut result = self.store.append(append.clone());
        match &result {
            Ok(appended) => {
                for id in &appended.ids {
                    self.digest(id.as_str().as_bytes());
                }
                self.recorded(&append);
                if !self.is_calm() && self.rng.permille(30) {
                    self.tally.fault(Fault::LostAnswer);
                    result = Err(failure("append", false).into());
                }
            }
            Err(AppendError::Storage(_)) => {
                if self.troubled("full") {
                    self.tally.fault(Fault::JournalFull);
                }
            }
            Err(AppendError::Conflict { .. }) => {
                self.fail(format!("two writers: {stream} was appended to by somebody else"));
            }
            Err(AppendError::Acknowledged { .. }) => {}
        }
        Input::Appended { stream, result }
    }

    /// Events are there now: the oracle judges them, and gates are asked again.
    fn recorded(&mut self, append: &Append) {
        if let Err(broken) = self.oracle.recorded(append, &self.edge, &mut self.tally) {
            self.fail(broken);
        }
        let asking: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.asks()).map(|(id, _)| *id).collect();
        for call in asking {
            let soon = self.rng.between(1, 30);
            self.queue(soon, Item::Step(call));
        }
    }
}
