use std::time::Duration;

use grit_types::{EventId, Principal, Timestamp};
use serde::Serialize;

/// A clock may be this far ahead of ours before its events are flagged.
pub const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// An event from a clock that is far ahead, or that has seen one.
///
/// It counts like any other: a later edit that has seen it wins all the same, because it names what
/// it replaces. It is only pointed out, because it sorts after what is done until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ahead {
    pub id: EventId,
    pub kind: String,
    pub by: Principal,
    pub at: Timestamp,
    /// How far ahead of now.
    #[serde(rename = "aheadMillis", serialize_with = "millis")]
    pub ahead: Duration,
}

fn millis<S: serde::Serializer>(ahead: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX))
}

/// The events that are more than [`AHEAD_MAX`] ahead of `now`, the furthest last.
pub fn far_ahead<'a>(
    events: impl IntoIterator<Item = &'a grit_ledger::Event>,
    now: Timestamp,
) -> Vec<Ahead> {
    let mut found: Vec<Ahead> = events
        .into_iter()
        .filter_map(|event| {
            let at = event.hlc.timestamp();
            let ahead = at.since(now);
            let (kind, by) = (event.kind.clone(), event.actor.principal.clone());
            (ahead > AHEAD_MAX).then(|| Ahead { id: event.id(), kind, by, at, ahead })
        })
        .collect();
    found.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    found.dedup();
    found
}
