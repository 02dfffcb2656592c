use grit_types::{EffectId, Sequence, Tenant, Version};
use serde_json::json;

use super::event;
use crate::{Append, AppendError, Journal, PendingEffect, Row, RowQuery, StreamId};

/// Runs the whole contract against an empty journal.
pub async fn journal(journal: &dyn Journal) {
    orders_a_stream(journal).await;
    refuses_another_version(journal).await;
    keeps_effects_until_acknowledged(journal).await;
    a_refused_append_leaves_no_trace(journal).await;
    tails_all_streams_in_one_order(journal).await;
    finds_rows(journal).await;
    moves_cursors_forward_only(journal).await;
}

fn stream(name: &str) -> StreamId {
    format!("contract/{name}").parse().expect("a valid stream")
}

async fn orders_a_stream(journal: &dyn Journal) {
    let a = stream("order");
    let first = Append::events(a.clone(), Version(0), vec![event(1), event(2)]);
    let appended = journal.append(first).await.expect("append to a new stream");
    assert_eq!(appended.version, Version(2));
    assert_eq!(appended.ids, [event(1).id(), event(2).id()]);
    let next = Append::events(a.clone(), Version(2), vec![event(3)]);
    journal.append(next).await.expect("append at the version told");
    let read = journal.read(&a, Version(0)).await.expect("read");
    let seen: Vec<_> = read.iter().map(|r| (r.version, r.event.clone(), r.id.clone())).collect();
    let expected =
        (1..=3).map(|n| (Version(u64::from(n)), event(n), event(n).id())).collect::<Vec<_>>();
    assert_eq!(seen, expected);
    let later = journal.read(&a, Version(2)).await.expect("read after a version");
    assert_eq!(later.len(), 1);
}

async fn refuses_another_version(journal: &dyn Journal) {
    let a = stream("conflict");
    let append = |expected, n| Append::events(a.clone(), Version(expected), vec![event(n)]);
    journal.append(append(0, 10)).await.expect("append");
    for wrong in [0, 2] {
        let refused = journal.append(append(wrong, 11)).await;
        let Err(AppendError::Conflict { actual: Version(1), .. }) = refused else {
            panic!("an append at version {wrong} of 1 must conflict: {refused:?}");
        };
    }
    assert_eq!(journal.read(&a, Version(0)).await.expect("read").len(), 1);
}

fn effect(index: u16) -> PendingEffect {
    let id = EffectId { event: event(20).id(), index };
    PendingEffect { id, stream: stream("effects"), body: json!({ "index": index }) }
}

async fn keeps_effects_until_acknowledged(journal: &dyn Journal) {
    let mut append = Append::events(stream("effects"), Version(0), vec![event(20)]);
    append.effects = vec![effect(0), effect(1)];
    journal.append(append).await.expect("append with effects");
    assert_eq!(journal.pending().await.expect("pending"), [effect(0), effect(1)]);
    let acknowledge = |version, index| {
        let mut append = Append::events(stream("effects"), Version(version), vec![]);
        append.acknowledges = Some(effect(index).id);
        append
    };
    journal.append(acknowledge(1, 0)).await.expect("acknowledge without events");
    assert_eq!(journal.pending().await.expect("pending"), [effect(1)]);
    let twice = journal.append(acknowledge(1, 0)).await;
    assert!(matches!(twice, Err(AppendError::Acknowledged { .. })), "{twice:?}");
    journal.append(acknowledge(1, 1)).await.expect("acknowledge the other");
    assert_eq!(journal.pending().await.expect("pending"), []);
}

async fn a_refused_append_leaves_no_trace(journal: &dyn Journal) {
    let a = stream("trace");
    let mut append = Append::events(a.clone(), Version(0), vec![event(30)]);
    append.acknowledges = Some(EffectId { event: event(31).id(), index: 0 });
    append.effects = vec![effect(7)];
    append.rows = vec![row("traced", 1, "x")];
    let refused = journal.append(append).await;
    assert!(matches!(refused, Err(AppendError::Acknowledged { .. })), "{refused:?}");
    assert_eq!(journal.read(&a, Version(0)).await.expect("read"), []);
    assert_eq!(journal.pending().await.expect("pending"), []);
    let query = RowQuery { table: "things".into(), ..RowQuery::default() };
    assert_eq!(journal.rows(&query).await.expect("rows"), []);
}

async fn tails_all_streams_in_one_order(journal: &dyn Journal) {
    let all = journal.tail(Sequence(0), 1_000).await.expect("tail");
    assert!(all.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let kinds: Vec<&str> = all.iter().map(|r| r.stream.as_str()).collect();
    assert_eq!(
        kinds[..4],
        ["contract/order"; 3].into_iter().chain(["contract/conflict"]).collect::<Vec<_>>()[..]
    );
    let mut paged = Vec::new();
    let mut after = Sequence(0);
    loop {
        let page = journal.tail(after, 2).await.expect("a page of the tail");
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.sequence;
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

fn row(key: &str, order: i64, status: &str) -> Row {
    let scope = if order > 2 { "shop/production" } else { "shopping" };
    Row {
        table: "things".to_owned(),
        key: key.to_owned(),
        tenant: Tenant::local(),
        scope: scope.to_owned(),
        status: status.to_owned(),
        order,
        body: json!({ "key": key, "status": status }),
    }
}

async fn finds_rows(journal: &dyn Journal) {
    let mut append = Append::events(stream("rows"), Version(0), vec![event(40)]);
    append.rows = vec![row("a", 1, "open"), row("b", 3, "open"), row("c", 2, "done")];
    journal.append(append).await.expect("append with rows");
    let mut append = Append::events(stream("rows"), Version(1), vec![event(41)]);
    append.rows = vec![row("a", 4, "done")];
    journal.append(append).await.expect("append replaces a row");
    let keys = async |query: RowQuery| -> Vec<String> {
        let query = RowQuery { table: "things".into(), ..query };
        journal.rows(&query).await.expect("rows").into_iter().map(|row| row.key).collect()
    };
    assert_eq!(keys(RowQuery::default()).await, ["a", "b", "c"]);
    assert_eq!(keys(RowQuery { limit: 1, ..RowQuery::default() }).await, ["a"]);
    assert_eq!(
        keys(RowQuery { status: Some("done".into()), ..RowQuery::default() }).await,
        ["a", "c"]
    );
    assert_eq!(keys(RowQuery { key: Some("b".into()), ..RowQuery::default() }).await, ["b"]);
    assert_eq!(
        keys(RowQuery { scope: Some("shop".into()), ..RowQuery::default() }).await,
        ["a", "b"]
    );
    let other = "other".parse().expect("a valid tenant");
    assert_eq!(keys(RowQuery { tenant: Some(other), ..RowQuery::default() }).await, [""; 0]);
}

async fn moves_cursors_forward_only(journal: &dyn Journal) {
    let cursor = async |to| journal.cursor("relay", to).await.expect("cursor");
    assert_eq!(cursor(None).await, Sequence(0));
    assert_eq!(cursor(Some(Sequence(3))).await, Sequence(3));
    assert_eq!(cursor(Some(Sequence(2))).await, Sequence(3));
    assert_eq!(journal.cursor("other", None).await.expect("cursor"), Sequence(0));
}
