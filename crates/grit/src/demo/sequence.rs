//! What happened, without times: for comparing runs.
//!
//! Deployments of different services overlap as they like, and the router may take the traffic
//! away before or after the controller has read why. So there is one line for each deployment, in
//! the order in which its slot numbered them, with the states that it passed and, apart from
//! them, the weights that its revision was given; who was first among them is not told.

use std::collections::BTreeMap;

use grit_journal::SqliteJournal;
use grit_ledger::{Decider, Journal, join};
use grit_rollout::slot::{Deployment, Event, Slot, Status};
use grit_rollout::{Rollouts, SlotId};
use grit_types::{Sequence, Timestamp, Version, Weight};

use crate::compose::DataFolder;
use crate::exit::Failure;

/// What the journal tells.
#[derive(Debug, Default)]
pub struct Story {
    /// One line for each deployment, slot by slot.
    pub lines: Vec<String>,
    /// When it was decided to go back, by version.
    pub rollbacks: BTreeMap<String, Timestamp>,
}

/// Reads the journal itself; nobody else may have it open.
pub async fn read(data: &DataFolder) -> Result<Story, Failure> {
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
    let mut story = Story::default();
    for stream in streams.iter().filter(|stream| stream.kind() == "slot") {
        let events = journal.read(stream, Version::ZERO).await.map_err(|error| failed(&error))?;
        let slot = SlotId::of_stream(stream);
        let name = slot.map(|slot| format!("{}/{}", slot.environment, slot.service));
        let events = events.iter().filter_map(|r| join(&r.event.kind, &r.event.data).ok());
        of_slot(&name.unwrap_or_default(), events, &mut story);
    }
    Ok(story)
}

/// The path of a deployment.
#[derive(Default)]
struct Path {
    version: String,
    states: Vec<Status>,
    weights: Vec<Weight>,
}

fn of_slot(name: &str, events: impl Iterator<Item = Event>, story: &mut Story) {
    let mut slot = Slot::default();
    let mut paths = BTreeMap::<u64, Path>::new();
    for event in events {
        slot = Rollouts::evolve(slot, &event);
        for deployment in slot.deployments.values() {
            paths.entry(deployment.number).or_default().goes(&slot, deployment);
        }
        if let Event::RollbackStarted { number, at, .. } = event
            && let Some(path) = paths.get(&number)
        {
            story.rollbacks.insert(path.version.clone(), at);
        }
    }
    story.lines.extend(paths.into_values().map(|path| path.line(name)));
}

impl Path {
    fn goes(&mut self, slot: &Slot, deployment: &Deployment) {
        let over = self.states.last().is_some_and(|status| status.is_final());
        if over {
            return;
        }
        self.version.clone_from(&deployment.request.version);
        let (status, weight) = (deployment.status(), slot.weight(deployment.revision));
        if self.states.last() != Some(&status) {
            self.states.push(status);
        }
        if *self.weights.last().unwrap_or(&Weight::ZERO) != weight {
            self.weights.push(weight);
        }
    }

    fn line(self, name: &str) -> String {
        let states: Vec<&str> = self.states.iter().map(|status| status.as_str()).collect();
        let weights: Vec<String> = self.weights.iter().map(ToString::to_string).collect();
        let (version, states) = (&self.version, states.join(" "));
        match weights.as_slice() {
            [] => format!("{name} {version}: {states}"),
            some => format!("{name} {version}: {states}; {}", some.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_rollout::slot::{Ending, Stage, Why};
    use grit_types::Revision;
    use serde_json::json;

    const AT: Timestamp = Timestamp::from_millis(1);

    fn requested(number: u64) -> Event {
        let request = json!({
            "id": format!("dep_0000000000000000000000000{number}"),
            "slot": slot(),
            "version": format!("v1.{number}.0"),
            "commit": "0123456789012345678901234567890123456789",
            "artifact": format!("sha256:{}", "0".repeat(64)),
            "run": {
                "command": ["./api"], "replicas": 1, "env": {},
                "health": {
                    "path": "/health", "interval": 1, "timeout": 1, "healthy_threshold": 1,
                    "unhealthy_threshold": 1, "deadline": 1,
                },
                "request_timeout": 1, "drain": 1,
                "limits": { "memory_bytes": null, "open_files": null },
            },
            "strategy": { "rolling": { "batch": 1, "guard": null, "soak": 1 } },
            "gates": [{ "after": "staging" }],
            "verify": [], "trigger": "push", "requested_by": "dana", "authors": [],
            "changes": [], "warm": 1,
        });
        let request = serde_json::from_value(request).unwrap();
        Event::Requested { number, request: Box::new(request), at: AT }
    }

    fn slot() -> serde_json::Value {
        json!({ "tenant": "local", "repo": "shop", "environment": "production", "service": "api" })
    }

    fn started(number: u64) -> Event {
        let stage = |percent| Stage::Move {
            canary: 1,
            weight: Weight::from_percent(percent).unwrap(),
            stable: 1,
        };
        let stages = vec![stage(5), Stage::Hold { duration: None }, stage(100)];
        Event::Started { number, revision: Revision(number), stages, at: AT }
    }

    /// A route for which no deployment waits, so that it changes no state.
    fn weight(revision: u64, points: u16) -> Event {
        let group = |revision: u64, weight: u16, stable| {
            json!({
                "revision": revision, "version": "", "weight": weight, "stable": stable,
                "endpoints": [],
            })
        };
        let route = json!({
            "slot": slot(), "fence": revision, "sequence": 1, "guard": null, "request_timeout": 1,
            "groups": [group(1, 10_000 - points, true), group(revision, points, false)],
        });
        let route = serde_json::from_value(route).unwrap();
        Event::WeightSet { awaited: None, route: Box::new(route), at: AT }
    }

    fn hold(number: u64) -> Event {
        Event::HoldStarted { number, step: 1, until: None }
    }

    fn back(number: u64) -> Event {
        let reason = Why::Route { reason: String::new() };
        Event::RollbackStarted { number, ending: Ending::RolledBack, reason, at: AT }
    }

    fn finished(number: u64) -> Event {
        Event::Finished { number, status: Status::RolledBack, reason: None, at: AT }
    }

    fn story(events: Vec<Event>) -> Story {
        let mut story = Story::default();
        of_slot("production/api", events.into_iter(), &mut story);
        story
    }

    #[test]
    fn a_deployment_is_one_line_of_its_states_and_its_weights() {
        let events = vec![
            requested(2),
            Event::Queued { number: 2 },
            started(2),
            weight(2, 500),
            hold(2),
            weight(2, 0),
            back(2),
            finished(2),
        ];
        let told = story(events);
        let line = "production/api v1.2.0: GATED QUEUED PAUSED ROLLING_BACK ROLLED_BACK; 5 %, 0 %";
        assert_eq!(told.lines, [line]);
        assert_eq!(told.rollbacks, BTreeMap::from([("v1.2.0".to_owned(), AT)]));
    }

    #[test]
    fn what_happens_at_the_same_time_may_come_in_any_order() {
        let one = vec![
            requested(2),
            started(2),
            weight(2, 500),
            hold(2),
            requested(3),
            back(2),
            weight(2, 0),
            finished(2),
            Event::Queued { number: 3 },
        ];
        let other = vec![
            requested(2),
            started(2),
            requested(3),
            weight(2, 500),
            hold(2),
            weight(2, 0),
            back(2),
            Event::Queued { number: 3 },
            finished(2),
        ];
        let (one, other) = (story(one).lines, story(other).lines);
        assert_eq!(one, other);
        assert_eq!(one.len(), 2);
    }
}
