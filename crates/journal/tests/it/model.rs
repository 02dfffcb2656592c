use grit_ledger::{
    Append, AppendError, Appended, Journal, MemoryJournal, PendingEffect, Row, RowQuery,
};
use grit_types::{EffectId, Sequence, Tenant, Version};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{event, open, place, stream};

/// An append by small numbers, so that streams, effects and rows meet often.
#[derive(Clone, Debug)]
struct Step {
    stream: u8,
    expected: u64,
    events: u32,
    owes: bool,
    acknowledges: Option<u32>,
    row: Option<(u8, u8, i64)>,
}

fn step() -> impl Strategy<Value = Step> {
    let row = proptest::option::of((0u8..4, 0u8..3, 0i64..3));
    (0u8..3, 0u64..6, 0u32..3, any::<bool>(), proptest::option::of(0u32..40), row).prop_map(
        |(stream, expected, events, owes, acknowledges, row)| Step {
            stream,
            expected,
            events,
            owes,
            acknowledges,
            row,
        },
    )
}

fn effect_id(number: u32) -> EffectId {
    EffectId { event: event(&stream("effect"), number).id(), index: 0 }
}

fn append(step: &Step, number: u32) -> Append {
    let stream = stream(step.stream);
    let events = (0..step.events).map(|n| event(&stream, number * 10 + n)).collect();
    let owed = PendingEffect { id: effect_id(number), stream: stream.clone(), body: json!(number) };
    let row = |(key, status, order): (u8, u8, i64)| Row {
        table: "t".to_owned(),
        key: key.to_string(),
        tenant: Tenant::local(),
        scope: ["shop", "shop/a", "shopping", "s"][usize::from(key)].to_owned(),
        status: status.to_string(),
        order,
        body: json!(number),
    };
    Append {
        expected: Version(step.expected),
        events,
        effects: step.owes.then_some(owed).into_iter().collect(),
        acknowledges: step.acknowledges.map(effect_id),
        rows: step.row.map(row).into_iter().collect(),
        stream,
    }
}

fn comparable(answer: Result<Appended, AppendError>) -> Result<Appended, String> {
    answer.map_err(|error| match error {
        AppendError::Storage(storage) => panic!("storage: {storage:?}"),
        refused => refused.to_string(),
    })
}

async fn answers_alike(steps: &[Step], ours: &dyn Journal, model: &dyn Journal) {
    for (number, step) in (0u32..).zip(steps) {
        let append = append(step, number);
        let answer = comparable(ours.append(append.clone()).await);
        assert_eq!(answer, comparable(model.append(append).await));
    }
    for after in [0, 2] {
        let tail = ours.tail(Sequence(after), 7).await.unwrap();
        assert_eq!(tail, model.tail(Sequence(after), 7).await.unwrap());
        let read = ours.read(&stream(1), Version(after)).await.unwrap();
        assert_eq!(read, model.read(&stream(1), Version(after)).await.unwrap());
    }
    assert_eq!(ours.pending().await.unwrap(), model.pending().await.unwrap());
    let all = RowQuery { table: "t".into(), ..RowQuery::default() };
    for query in [
        all.clone(),
        RowQuery { limit: 2, status: Some("1".into()), ..all.clone() },
        RowQuery { scope: Some("shop".into()), tenant: Some(Tenant::local()), ..all },
    ] {
        assert_eq!(ours.rows(&query).await.unwrap(), model.rows(&query).await.unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_journal_in_memory_does(steps in proptest::collection::vec(step(), 1..40)) {
        let (_folder, path) = place();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(answers_alike(&steps, &open(&path), &MemoryJournal::default()));
    }
}
