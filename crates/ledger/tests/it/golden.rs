use grit_ledger::{Cause, DecodeError, Event, Hlc};
use grit_types::{Actor, EffectId, EventId, Tenant};
use serde_json::json;

const V1: &[u8] = include_bytes!("../golden/event-v1.json");
const V1_ID: &str = include_str!("../golden/event-v1.id");

fn event() -> Event {
    Event {
        kind: "rollout.weight_set".to_owned(),
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        subject: "slot/local/shop/production/api".to_owned(),
        actor: Actor::new("alice".parse().unwrap(), "cli"),
        hlc: Hlc { millis: 1_767_323_045_678, count: 2 },
        cause: Some(Cause::Effect(EffectId { event: EventId::of(b"cause"), index: 1 })),
        data: json!({"weight": 500, "ratio": 0.1, "note": "fünf \"%\"\n", "none": null, "big": u64::MAX}),
    }
}

#[test]
fn version_1_is_written_as_it_always_was() {
    assert_eq!(
        String::from_utf8(event().encode()).unwrap(),
        String::from_utf8_lossy(V1).trim_end()
    );
    assert_eq!(event().id().as_str(), V1_ID.trim_end());
}

#[test]
fn version_1_reads_back() {
    assert_eq!(Event::decode(V1).unwrap(), event());
}

#[test]
fn a_newer_version_is_refused() {
    let newer = String::from_utf8_lossy(V1).replace("\"v\":1", "\"v\":2");
    let refused = Event::decode(newer.as_bytes());
    assert!(matches!(refused, Err(DecodeError::Newer { found: 2 })), "{refused:?}");
}

#[test]
fn what_is_no_event_is_refused() {
    for bytes in [&b""[..], b"{}", b"[]", b"{\"v\":1}", b"{\"v\":\"1\"}", b"\xff"] {
        assert!(Event::decode(bytes).is_err(), "{bytes:?}");
    }
}
