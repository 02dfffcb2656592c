use std::collections::{BTreeMap, BTreeSet};

use grit_types::EventId;
use serde::{Deserialize, Serialize};

/// A set that several add to and take from without having seen each other (observed-remove).
///
/// A removal names the additions that its author had seen and undoes those only: what somebody else
/// adds meanwhile stays. Additions and removals may come in any order, and more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Ord + Serialize", deserialize = "T: Ord + Deserialize<'de>"))]
pub struct AddWins<T> {
    #[serde(with = "crate::pairs")]
    members: BTreeMap<T, Additions>,
}

/// How often one member was added, by the events that did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Additions {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    standing: BTreeSet<EventId>,
    /// Kept for ever: an addition may come later than its removal, or again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<EventId>,
}

impl<T> Default for AddWins<T> {
    fn default() -> Self {
        Self { members: BTreeMap::new() }
    }
}

impl<T: Ord> AddWins<T> {
    /// Takes an addition in; whether that changed anything.
    pub fn add(&mut self, member: T, by: EventId) -> bool {
        let additions = self.members.entry(member).or_default();
        !additions.removed.contains(&by) && additions.standing.insert(by)
    }

    /// Undoes the additions that `seen` names; whether that changed anything.
    pub fn remove(&mut self, member: T, seen: &BTreeSet<EventId>) -> bool {
        if seen.is_empty() {
            return false;
        }
        let additions = self.members.entry(member).or_default();
        let known = additions.removed.len();
        additions.removed.extend(seen.iter().cloned());
        additions.standing.retain(|id| !seen.contains(id));
        additions.removed.len() > known
    }

    /// Takes all in that another clone's set holds.
    pub fn merge(&mut self, other: Self) {
        for (member, theirs) in other.members {
            let ours = self.members.entry(member).or_default();
            ours.removed.extend(theirs.removed);
            ours.standing.extend(theirs.standing);
            ours.standing.retain(|id| !ours.removed.contains(id));
        }
    }

    /// The members, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let present = self.members.iter().filter(|(_, additions)| !additions.standing.is_empty());
        present.map(|(member, _)| member)
    }

    pub fn contains(&self, member: &T) -> bool {
        self.members.get(member).is_some_and(|additions| !additions.standing.is_empty())
    }

    /// What a removal of `member` names.
    pub fn additions(&self, member: &T) -> BTreeSet<EventId> {
        self.members.get(member).map(|additions| additions.standing.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> EventId {
        EventId::of(name.as_bytes())
    }

    fn members(set: &AddWins<&'static str>) -> Vec<&'static str> {
        set.iter().copied().collect()
    }

    #[test]
    fn an_addition_that_was_not_seen_survives_the_removal() {
        let mut set = AddWins::default();
        set.add("bug", id("alice's"));
        set.add("bug", id("bob's"));
        assert!(set.remove("bug", &[id("alice's")].into()));
        assert_eq!(members(&set), ["bug"]);
        assert!(set.remove("bug", &set.additions(&"bug")));
        assert!(members(&set).is_empty());
        set.add("bug", id("carol's"));
        assert_eq!(members(&set), ["bug"]);
    }

    #[test]
    fn an_addition_that_comes_after_its_removal_stays_away() {
        let mut set = AddWins::default();
        assert!(set.remove("bug", &[id("alice's")].into()));
        assert!(!set.add("bug", id("alice's")));
        assert!(!set.contains(&"bug"));
    }
}
