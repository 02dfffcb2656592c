//! What the index answers is what folding the ledger answers.

use std::path::Path;
use std::sync::Arc;

use grit_index::{Health, Index, check};
use grit_issues::query::{
    Attribute, Filter, Interval, Moment, Phrase, Place, Relation, Sort, SortKey, Test,
};
use grit_issues::{Issue, Issues, Priority, Query, State};
use grit_ledger::Ledger;
use grit_types::{IssueId, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

use crate::world::{DAY, Lanes, NAMES, PEOPLE, START, TEXTS, history, seed};

const NOW: Timestamp = Timestamp::from_millis(START + 15 * DAY);

fn name() -> impl Strategy<Value = String> {
    select([&NAMES[..], &PEOPLE, &["BUG", "ALICE", "nul\0a", "x"]].concat()).prop_map(str::to_owned)
}

fn moment() -> impl Strategy<Value = Moment> {
    let relation = select(vec![
        Relation::Less,
        Relation::LessOrEqual,
        Relation::Equal,
        Relation::GreaterOrEqual,
        Relation::Greater,
    ]);
    let time = || {
        prop::option::of((0i64..60).prop_map(|half| Timestamp::from_millis(START + half * DAY / 2)))
    };
    let by = (0u64..40).prop_map(|half| std::time::Duration::from_millis(half * 43_200_000));
    prop_oneof![
        (time(), time()).prop_map(|(from, until)| Moment::Within(Interval { from, until })),
        (relation.clone(), by.clone()).prop_map(|(relation, by)| Moment::Ago(relation, by)),
        (relation, by).prop_map(|(relation, by)| Moment::Ahead(relation, by)),
    ]
}

fn phrase() -> impl Strategy<Value = Phrase> {
    let words = vec![
        "time", "timeout", "out", "out in", "失敗", "ü", "strasse", "b", "quoted", "in test",
        "ok i", "two",
    ];
    (select([&words[..], &TEXTS].concat()), any::<bool>())
        .prop_filter_map("says nothing", |(text, is_open)| Phrase::new(text, is_open))
}

fn attribute() -> impl Strategy<Value = Attribute> {
    select(vec![
        Attribute::Assignee,
        Attribute::Label,
        Attribute::Milestone,
        Attribute::Priority,
        Attribute::Due,
        Attribute::Comment,
        Attribute::Checklist,
        Attribute::Link,
        Attribute::Attachment,
        Attribute::Dependency,
    ])
}

fn test() -> impl Strategy<Value = Test> {
    let relation = select(vec![Relation::Less, Relation::Equal, Relation::GreaterOrEqual]);
    let place = select(vec![None, Some(Place::Title), Some(Place::Body), Some(Place::Comment)]);
    prop_oneof![
        select(vec![Test::State(State::Open), Test::State(State::Closed), Test::Overdue]),
        name().prop_map(Test::Label),
        name().prop_map(Test::Assignee),
        name().prop_map(Test::Author),
        name().prop_map(Test::Mentions),
        name().prop_map(Test::Commenter),
        name().prop_map(Test::Milestone),
        name().prop_map(Test::Key),
        name().prop_map(Test::Template),
        name().prop_map(Test::Fingerprint),
        (relation, select(Priority::ALL.to_vec())).prop_map(|(how, one)| Test::Priority(how, one)),
        moment().prop_map(Test::Created),
        moment().prop_map(Test::Updated),
        moment().prop_map(Test::Closed),
        moment().prop_map(Test::Due),
        attribute().prop_map(Test::Without),
        "[a-d2é\u{7f}]{0,2}".prop_map(Test::Id),
        (place, phrase()).prop_map(|(place, phrase)| Test::Text(place, phrase)),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let filter = test().prop_map(Filter::Test).prop_recursive(3, 12, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            some().prop_map(Filter::All),
            some().prop_map(Filter::Any),
            inner.clone().prop_map(|one| Filter::Not(Box::new(one))),
        ]
    });
    let key = select(vec![
        SortKey::Created,
        SortKey::Updated,
        SortKey::Priority,
        SortKey::Due,
        SortKey::Title,
        SortKey::Comments,
    ]);
    let sort = (key, any::<bool>()).prop_map(|(key, descending)| Sort { key, descending });
    (filter, prop::collection::vec(sort, 0..3)).prop_map(|(filter, sort)| Query { filter, sort })
}

fn open(path: &Path, ledger: &Arc<Lanes>) -> Index {
    Index::open(path, ledger.clone()).unwrap()
}

/// Everything but queries, against the fold.
fn same(index: &Index, ledger: &Lanes) -> Result<(), TestCaseError> {
    let expected = ledger.fold();
    let all: Vec<&Issue> = expected.all().collect();
    prop_assert_eq!(
        &index.json(&Query::everything(), NOW, None).unwrap(),
        &serde_json::to_string(&all).unwrap()
    );
    for record in expected.records() {
        prop_assert_eq!(index.record(record.id()).unwrap(), Some(record.clone()));
        let events = index.events(record.id()).unwrap();
        let told = grit_issues::history(record.id(), &events);
        prop_assert_eq!(told, grit_issues::history(record.id(), &ledger.read().unwrap()));
    }
    for name in NAMES {
        let key = expected.by_key(name).map(|issue| issue.id.clone());
        prop_assert_eq!(index.by_key(name).unwrap(), key);
        let alert = expected.by_fingerprint(name).map(|issue| issue.id.clone());
        prop_assert_eq!(index.by_fingerprint(name).unwrap(), alert);
    }
    for issue in &all {
        for length in [1, 4, 5, 52] {
            let prefix = &issue.id.as_str()[..length];
            let found = expected.find(prefix).map(|issue| issue.id.clone());
            prop_assert_eq!(index.find(prefix).unwrap(), found);
        }
    }
    prop_assert_eq!(index.dependencies().unwrap(), expected.dependencies());
    prop_assert_eq!(&index.queries().unwrap(), expected.queries());
    let readings = ledger.read().unwrap().into_iter().map(|event| event.hlc);
    let latest = readings.filter(|reading| !reading.is_far_ahead(NOW)).max();
    prop_assert_eq!(index.latest(NOW).unwrap(), latest);
    Ok(())
}

fn selects(index: &Index, expected: &Issues, query: &Query) -> Result<(), TestCaseError> {
    let wanted: Vec<IssueId> =
        expected.select(query, NOW).into_iter().map(|issue| issue.id.clone()).collect();
    prop_assert_eq!(&index.ids(query, NOW, None).unwrap(), &wanted, "{:?}", query);
    let listed = index.list(query, NOW, Some(2)).unwrap();
    for (line, id) in listed.iter().zip(&wanted) {
        let issue = expected.get(id).unwrap();
        prop_assert_eq!((&line.id, &line.title, line.state), (id, &issue.title, issue.state));
        prop_assert!(line.labels.iter().eq(&issue.labels));
        let progress = line.progress.map(|(done, total)| format!("{done}/{total}"));
        prop_assert_eq!(progress, issue.progress.map(|progress| progress.to_string()));
    }
    prop_assert_eq!(listed.len(), wanted.len().min(2));
    let whole = index.issues(query, NOW, Some(1)).unwrap();
    prop_assert_eq!(whole.first(), wanted.first().and_then(|id| expected.get(id)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_portions_are_the_whole(
        seeds in prop::collection::vec(seed(), 1..40),
        pauses in prop::collection::vec(0u8..6, 40),
        queries in prop::collection::vec(query(), 30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Lanes::shared();
        let path = folder.path().join("index.db");
        let mut index = open(&path, &ledger);
        for ((lane, event), pause) in history(&seeds).into_iter().zip(pauses) {
            ledger.push(&lane, event);
            match pause {
                0 => index.refresh().unwrap(),
                1 => index = open(&path, &ledger),
                _ => {}
            }
        }
        index.refresh().unwrap();
        prop_assert!(index.is_on_disk());
        same(&index, &ledger)?;
        let anew = open(&folder.path().join("anew.db"), &ledger);
        same(&anew, &ledger)?;
        let expected = ledger.fold();
        for query in &queries {
            selects(&index, &expected, query)?;
            selects(&anew, &expected, query)?;
        }
        drop(index);
        prop_assert_eq!(check(&path, &*ledger).unwrap(), Health::Whole);
    }

    #[test]
    fn lanes_that_go_back_take_what_they_held_along(
        seeds in prop::collection::vec(seed(), 4..24),
        moves in prop::collection::vec((0u8..4, 0u8..3, any::<prop::sample::Index>()), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Lanes::shared();
        let index = open(&folder.path().join("index.db"), &ledger);
        let all = history(&seeds);
        for (what, lane, pick) in moves {
            let (name, (_, event)) = (format!("a/{lane}"), pick.get(&all).clone());
            match what {
                0 => ledger.rewind(&name, pick.index(4)),
                1 if ledger.heads().unwrap().iter().any(|head| head.lane == name) => {
                    ledger.spoil(&name, 0);
                }
                2 if ledger.heads().unwrap().iter().any(|head| head.lane == name) => {
                    ledger.heal(&name, event);
                }
                _ => ledger.push(&name, event),
            }
            if pick.index(3) > 0 {
                index.refresh().unwrap();
                same(&index, &ledger)?;
            }
        }
        index.refresh().unwrap();
        same(&index, &ledger)?;
    }
}

#[test]
fn a_query_may_be_as_long_as_it_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Lanes::shared();
    ledger.push("a/1", crate::world::created("T", START));
    let index = open(&folder.path().join("index.db"), &ledger);
    let word =
        |at: u32| Filter::Test(Test::Text(None, Phrase::new(&format!("w{at}"), true).unwrap()));
    let query = Query { filter: Filter::Any((0..1_000).map(word).collect()), sort: Vec::new() };
    assert_eq!(index.ids(&query, NOW, None).unwrap(), []);
    let labels = vec![Filter::Test(Test::Label("BUG".to_owned())); 1_000];
    let query = Query { filter: Filter::All(labels), sort: Vec::new() };
    assert_eq!(index.ids(&query, NOW, None).unwrap().len(), 1);
    assert!(index.is_on_disk());
}
