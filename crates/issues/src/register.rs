use std::collections::BTreeSet;

use grit_ledger::Hlc;
use grit_types::{EventId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

/// One value that somebody gave to a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write<T> {
    pub id: EventId,
    pub at: Hlc,
    pub by: Principal,
    pub value: T,
}

/// A value that several may write without having seen each other (a multi-value register).
///
/// A write names those that it replaces; they do not stand any more, whatever any clock says. Of
/// those that stand the latest by clock and id shows, and the others are kept beside it. Writes may
/// come in any order, and more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// By clock and id.
    standing: Vec<Write<T>>,
    /// Kept for ever, because a replaced write may come later than its replacement, or again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    replaced: BTreeSet<EventId>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self { standing: Vec::new(), replaced: BTreeSet::new() }
    }
}

impl<T> Write<T> {
    /// When, by the wall-clock part of its reading.
    pub fn time(&self) -> Timestamp {
        self.at.timestamp()
    }

    fn place(&self) -> (Hlc, &EventId) {
        (self.at, &self.id)
    }
}

impl<T> Register<T> {
    /// Takes a write in; whether that changed anything.
    pub fn write(&mut self, write: Write<T>, replaces: &BTreeSet<EventId>) -> bool {
        let known = self.replaced.len();
        self.replaced.extend(replaces.iter().cloned());
        let is_new = self.insert(write);
        if self.replaced.len() == known {
            return is_new;
        }
        self.standing.retain(|write| !self.replaced.contains(&write.id));
        true
    }

    fn insert(&mut self, write: Write<T>) -> bool {
        if self.replaced.contains(&write.id) {
            return false;
        }
        match self.standing.binary_search_by(|known| known.place().cmp(&write.place())) {
            Ok(_) => false,
            Err(at) => {
                self.standing.insert(at, write);
                true
            }
        }
    }

    /// Takes all in that another clone's register holds.
    pub fn merge(&mut self, other: Self) {
        self.replaced.extend(other.replaced);
        for write in other.standing {
            self.insert(write);
        }
        self.standing.retain(|write| !self.replaced.contains(&write.id));
    }

    /// The write that shows.
    pub fn shown(&self) -> Option<&Write<T>> {
        self.standing.last()
    }

    /// The writes that stand, the one that shows last. The others were written without having seen
    /// it, nor seen by it.
    pub fn writes(&self) -> &[Write<T>] {
        &self.standing
    }

    /// What a new write replaces.
    pub fn standing(&self) -> BTreeSet<EventId> {
        self.standing.iter().map(|write| write.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, millis: i64) -> Write<String> {
        Write {
            id: EventId::of(name.as_bytes()),
            at: Hlc { millis, count: 0 },
            by: "alice".parse().unwrap(),
            value: name.to_owned(),
        }
    }

    fn ids(names: &[&str]) -> BTreeSet<EventId> {
        names.iter().map(|name| EventId::of(name.as_bytes())).collect()
    }

    fn shown(register: &Register<String>) -> &str {
        &register.shown().unwrap().value
    }

    #[test]
    fn a_write_that_has_seen_another_beats_its_clock() {
        let mut register = Register::default();
        assert!(register.write(write("first", 1), &ids(&[])));
        assert!(register.write(write("tomorrow", 86_400_000), &ids(&["first"])));
        assert!(register.write(write("corrected", 5), &ids(&["tomorrow"])));
        assert_eq!(shown(&register), "corrected");
        assert_eq!(register.writes().len(), 1);
    }

    #[test]
    fn of_concurrent_writes_the_latest_shows_and_the_others_are_kept() {
        let mut register = Register::default();
        register.write(write("first", 1), &ids(&[]));
        register.write(write("later", 3), &ids(&["first"]));
        register.write(write("sooner", 2), &ids(&["first"]));
        assert_eq!(shown(&register), "later");
        assert_eq!(register.writes()[0].value, "sooner");
        assert_eq!(register.standing(), ids(&["later", "sooner"]));
    }

    #[test]
    fn what_was_replaced_before_it_came_does_not_rise_again() {
        let mut register = Register::default();
        register.write(write("new", 1), &ids(&["old"]));
        assert!(!register.write(write("old", 9), &ids(&[])));
        assert!(!register.write(write("new", 1), &ids(&["old"])));
        assert_eq!(shown(&register), "new");
    }
}
