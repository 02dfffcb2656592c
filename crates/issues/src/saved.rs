use std::collections::BTreeMap;

use grit_types::EventId;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Ids};
use crate::register::{Register, Write};

/// The saved queries of a repository, by name. Stored by an index as one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SavedQueries {
    /// `None` where it was removed.
    by_name: BTreeMap<String, Register<Option<String>>>,
}

impl SavedQueries {
    /// Takes in what `event` says, `payload` read from it; whether that changed anything.
    pub fn apply(&mut self, id: &EventId, event: &grit_ledger::Event, payload: Event) -> bool {
        let (name, value, replaces) = match payload {
            Event::QuerySaved { name, query, replaces } => (name, Some(query), replaces),
            Event::QueryRemoved { name, replaces } => (name, None, replaces),
            _ => return false,
        };
        let by = event.actor.principal.clone();
        let write = Write { id: id.clone(), at: event.hlc, by, value };
        self.by_name.entry(name).or_default().write(write, &replaces)
    }

    /// Takes all in that another clone's queries hold.
    pub fn merge(&mut self, other: Self) {
        for (name, theirs) in other.by_name {
            self.by_name.entry(name).or_default().merge(theirs);
        }
    }

    /// The text of each, by name.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let shown = |(name, register): (&String, &Register<Option<String>>)| {
            Some((name.clone(), register.shown()?.value.clone()?))
        };
        self.by_name.iter().filter_map(shown).collect()
    }

    /// The text of the one called `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.by_name.get(name)?.shown()?.value.as_deref()
    }

    /// What a new text of `name` replaces.
    pub(crate) fn standing(&self, name: &str) -> Ids {
        self.by_name.get(name).map(Register::standing).unwrap_or_default()
    }
}
