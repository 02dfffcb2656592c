//! A ledger whose lanes a test moves as it likes, and histories of issues.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grit_issues::{Dependency, DependencyKind, Draft, Event, Issues, Link, Priority};
use grit_ledger::{
    Addition, BytesError, Changes, Cut, Entry, Head, Hlc, Lane, Ledger, LedgerError, Quarantined,
    SyncReport, split,
};
use grit_types::{Actor, Digest, EventId, Tenant};
use proptest::prelude::*;

/// 2026-01-02T03:04:05Z.
pub const START: i64 = 1_767_323_045_000;
pub const DAY: i64 = 86_400_000;

/// Lanes by name; what is no event is quarantined.
#[derive(Default)]
pub struct Lanes(Mutex<BTreeMap<String, Vec<Item>>>);

/// Something in a lane, under a name that no other has.
struct Item {
    name: usize,
    event: Result<grit_ledger::Event, String>,
}

impl Item {
    fn new(event: Result<grit_ledger::Event, String>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self { name: COUNT.fetch_add(1, Ordering::Relaxed), event }
    }
}

impl Lanes {
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub fn push(&self, lane: &str, event: grit_ledger::Event) {
        self.0.lock().unwrap().entry(lane.to_owned()).or_default().push(Item::new(Ok(event)));
    }

    /// Puts something there that is no event; `at` counts from the lane's beginning.
    pub fn spoil(&self, lane: &str, at: usize) {
        let mut lanes = self.0.lock().unwrap();
        let item = Item::new(Err("no event".to_owned()));
        lanes.get_mut(lane).unwrap().insert(at, item);
    }

    /// What could not be read in `lane` can be from now on.
    pub fn heal(&self, lane: &str, event: grit_ledger::Event) {
        let mut lanes = self.0.lock().unwrap();
        for item in lanes.get_mut(lane).unwrap().iter_mut().filter(|item| item.event.is_err()) {
            item.event = Ok(event.clone());
        }
    }

    /// Goes back to the first entries of a lane; none at all removes it.
    pub fn rewind(&self, lane: &str, to: usize) {
        let mut lanes = self.0.lock().unwrap();
        if let Some(entries) = lanes.get_mut(lane) {
            entries.truncate(to);
            if entries.is_empty() {
                lanes.remove(lane);
            }
        }
    }

    pub fn fold(&self) -> Issues {
        Issues::fold(&self.read().unwrap())
    }
}

/// The name of a place in a lane: of all that is before it, as a commit's is.
fn place(entries: &[Item]) -> String {
    let names: Vec<usize> = entries.iter().map(|item| item.name).collect();
    EventId::of(format!("{names:?}").as_bytes()).to_string()
}

impl Ledger for Lanes {
    fn append_all(
        &self,
        lane: &Lane,
        additions: &[Addition<'_>],
    ) -> Result<Vec<EventId>, LedgerError> {
        let append = |addition: &Addition<'_>| {
            self.push(&lane.path(), addition.event.clone());
            addition.event.id()
        };
        Ok(additions.iter().map(append).collect())
    }

    fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        Err(BytesError::Unknown(*digest))
    }

    fn since(&self, known: &Cut) -> Result<Changes, LedgerError> {
        let mut changes = Changes::default();
        for (lane, entries) in &*self.0.lock().unwrap() {
            let at = |count: usize| place(&entries[..count]);
            let from =
                known.get(lane).map(|tip| (1..=entries.len()).find(|count| at(*count) == *tip));
            if from == Some(None) {
                changes.restarted.push(lane.clone());
            }
            for (number, item) in entries.iter().enumerate().skip(from.flatten().unwrap_or(0)) {
                let (lane, at) = (lane.clone(), at(number + 1));
                match item.event.clone() {
                    Ok(event) => {
                        let id = event.id();
                        let signed = grit_ledger::Signed::Unchecked;
                        changes.entries.push(Entry { lane, at, id, event, signed });
                    }
                    Err(reason) => changes.quarantined.push(Quarantined { lane, at, reason }),
                }
            }
            changes.heads.push(Head { lane: lane.clone(), tip: at(entries.len()) });
        }
        Ok(changes)
    }

    fn heads(&self) -> Result<Vec<Head>, LedgerError> {
        Ok(self.since(&Cut::new())?.heads)
    }

    fn sync(&self) -> Result<SyncReport, LedgerError> {
        Err(LedgerError::NoRemote)
    }
}

/// An event as somebody would append it.
pub fn envelope(by: &str, millis: i64, payload: &Event) -> grit_ledger::Event {
    let (kind, data) = split(payload).unwrap();
    grit_ledger::Event {
        kind,
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        subject: "issue".to_owned(),
        actor: Actor::new(by.parse().unwrap(), "cli"),
        hlc: Hlc { millis, count: 7 },
        cause: None,
        data,
    }
}

/// A new issue of that title.
pub fn created(title: &str, millis: i64) -> grit_ledger::Event {
    envelope("alice", millis, &Event::created(title, "", ["bug"]))
}

pub const PEOPLE: [&str; 4] = ["alice", "Bob", "bob", "carol-2"];
pub const NAMES: [&str; 6] = ["bug", "Bug", "a,b", "v2", "nul\0A", "nul\0B"];
pub const TEXTS: [&str; 9] = [
    "timeout in test_login",
    "Time OUT",
    "out in",
    "構築失敗した ok",
    "ÜBER straße \u{1e9e} İ",
    "- [ ] one\n- [x] two @bob @Alice",
    "nul\0b \"quoted\" AND NOT *",
    "",
    "Z\0b",
];

/// What one event is made from.
#[derive(Clone, Debug)]
pub struct Seed {
    what: u8,
    lane: u8,
    by: prop::sample::Index,
    on: prop::sample::Index,
    other: prop::sample::Index,
    seen: Vec<prop::sample::Index>,
    text: prop::sample::Index,
    name: prop::sample::Index,
    millis: i64,
}

pub fn seed() -> impl Strategy<Value = Seed> {
    use proptest::collection::vec;
    let index = any::<prop::sample::Index>;
    ((0u8..24, 0u8..3, index(), index(), index()), (vec(index(), 0..3), index(), index(), 0i64..60))
        .prop_map(|((what, lane, by, on, other), (seen, text, name, day))| Seed {
            what,
            lane,
            by,
            on,
            other,
            seen,
            text,
            name,
            millis: START + day * DAY / 2,
        })
}

/// Events on lanes. They may speak of any issue of the history, those that are made later included,
/// and replace whatever was written before.
pub fn history(seeds: &[Seed]) -> Vec<(String, grit_ledger::Event)> {
    let mut made: Vec<(String, grit_ledger::Event)> = Vec::new();
    let mut issues: Vec<EventId> = Vec::new();
    let (creations, changes): (Vec<&Seed>, Vec<&Seed>) =
        seeds.iter().partition(|seed| seed.what < 5);
    for (at, seed) in creations.into_iter().chain(changes).enumerate() {
        let ids: Vec<EventId> = made.iter().map(|(_, event)| event.id()).collect();
        let payload = if seed.what < 5 || issues.is_empty() {
            Event::Created(draft(seed))
        } else {
            payload(seed, &issues, &ids)
        };
        let by: &&str = seed.by.get(&PEOPLE[..]);
        let mut event = envelope(by, seed.millis, &payload);
        event.hlc.count = u32::try_from(at).unwrap();
        if matches!(payload, Event::Created(_)) {
            issues.push(event.id());
        }
        made.push((format!("a/{}", seed.lane), event));
    }
    // The creation may come last.
    made.sort_by_key(|(_, event)| event.encode().len() % 7);
    made
}

fn draft(seed: &Seed) -> Draft {
    let name = (*seed.name.get(&NAMES[..])).to_owned();
    let sometimes = |bit: u8| seed.lane == bit % 3;
    Draft {
        title: (*seed.text.get(&TEXTS[..])).to_owned(),
        body: (*seed.other.get(&TEXTS[..])).to_owned(),
        labels: if sometimes(0) { [name.clone(), "x".to_owned()].into() } else { [].into() },
        key: sometimes(1).then(|| name.clone()),
        template: sometimes(2).then(|| name.clone()),
        fingerprint: sometimes(1).then(|| name.clone()),
        priority: sometimes(2).then(|| *seed.other.get(&Priority::ALL)),
        due: if sometimes(0) { "2026-01-10".parse().ok() } else { None },
        milestone: sometimes(1).then_some(name),
        ..Draft::default()
    }
}

fn payload(seed: &Seed, issues: &[EventId], ids: &[EventId]) -> Event {
    let issue = seed.on.get(issues).clone();
    let text = (*seed.text.get(&TEXTS[..])).to_owned();
    let name = (*seed.name.get(&NAMES[..])).to_owned();
    let seen: std::collections::BTreeSet<EventId> =
        seed.seen.iter().map(|index| index.get(ids).clone()).collect();
    let replaces = seen.clone();
    let dependency = Dependency {
        kind: *seed.name.get(&DependencyKind::ALL),
        on: seed.other.get(issues).clone(),
    };
    let comment = seed.other.get(ids).clone();
    match seed.what {
        5 => Event::Retitled { issue, title: text, replaces },
        6 => Event::BodyEdited { issue, body: text, replaces, covers: seen },
        7 | 8 => Event::Commented { issue, body: text, imported: None },
        9 => Event::CommentEdited { issue, comment, body: text, replaces },
        10 => Event::CommentDeleted { issue, comment, replaces },
        11 | 12 => Event::Closed { issue, reason: text, replaces, imported: None },
        13 => Event::Reopened { issue, replaces },
        14 => Event::Labelled { issue, label: name },
        15 => Event::Unlabelled { issue, label: name, removes: seen },
        16 => Event::Assigned { issue, assignee: seed.by.get(&PEOPLE[..]).parse().unwrap() },
        17 => Event::MilestoneSet { issue, milestone: Some(name), replaces },
        18 => Event::PrioritySet { issue, priority: None, replaces },
        19 => Event::DueSet { issue, due: "2026-01-20".parse().ok(), replaces },
        20 => {
            let link = Link { url: "https://example.org/".to_owned(), title: name };
            Event::LinkAdded { issue, link }
        }
        21 => Event::DependencyAdded { issue, dependency },
        22 => Event::DependencyRemoved { issue, dependency, removes: seen },
        _ => Event::QuerySaved { name: "q".to_owned(), query: name, replaces },
    }
}
