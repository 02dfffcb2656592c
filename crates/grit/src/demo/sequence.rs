//! What happened, without times: for comparing runs.

use grit_journal::SqliteJournal;
use grit_ledger::{Decider, Journal, join};
use grit_rollout::slot::{Event, Slot};
use grit_rollout::{Rollouts, SlotId};
use grit_types::{Sequence, Version};

use crate::compose::DataFolder;
use crate::exit::Failure;

/// Each change of status or weight of every deployment, slot by slot, from the journal itself.
pub async fn read(data: &DataFolder) -> Result<Vec<String>, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::because("the journal cannot be read", error)
    };
    let journal = SqliteJournal::open(&data.path("journal.db")).map_err(|error| failed(&error))?;
    let mut streams = Vec::new();
    let mut after = Sequence::ZERO;
    loop {
        let page = journal.tail(after, 500).await.map_err(|error| failed(&error))?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        streams.extend(page.into_iter().map(|recorded| recorded.stream));
    }
    streams.sort();
    streams.dedup();
    let mut lines = Vec::new();
    for stream in streams.iter().filter(|stream| stream.kind() == "slot") {
        let events = journal.read(stream, Version::ZERO).await.map_err(|error| failed(&error))?;
        let slot = SlotId::of_stream(stream);
        let name = slot.map(|slot| format!("{}/{}", slot.environment, slot.service));
        let events = events.iter().filter_map(|r| join(&r.event.kind, &r.event.data).ok());
        lines.extend(of_slot(&name.unwrap_or_default(), events));
    }
    Ok(lines)
}

fn of_slot(name: &str, events: impl Iterator<Item = Event>) -> Vec<String> {
    let mut slot = Slot::default();
    let mut lines: Vec<String> = Vec::new();
    let mut told = std::collections::BTreeMap::new();
    for event in events {
        slot = Rollouts::evolve(slot, &event);
        for deployment in slot.deployments.values() {
            let weight = slot.weight(deployment.revision);
            let line =
                format!("{name} {} {} {weight}", deployment.request.version, deployment.status());
            if told.insert(deployment.number, line.clone()).as_ref() != Some(&line) {
                lines.push(line);
            }
        }
    }
    lines
}
