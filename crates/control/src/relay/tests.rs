//! What the relay writes, grit-insight must be able to read: they agree on names alone.

use grit_ledger::{Append, Cut, Decider, Hlc, Ledger, MemoryJournal, MemoryLedger, split};
use grit_rollout::Rollouts;
use grit_rollout::slot::{Event as SlotEvent, PauseReason, Slot, Status, Why};
use grit_types::{CommitId, ObjectId, RefName, Revision, Sequence, Timestamp, Version};
use serde_json::json;

use super::*;
use crate::ports::{LockChanges, Logged};
use crate::view::DeploymentView;

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A source that has a ledger and a `grit.yaml`, and nothing else.
pub(crate) struct OnlyALedger(pub Arc<MemoryLedger>, pub &'static str);

impl Source for OnlyALedger {
    fn resolve(&self, _: &RepoId, _: &str) -> Result<Option<CommitId>, SourceError> {
        Ok(None)
    }

    fn tags(&self, _: &RepoId) -> Result<Vec<(String, CommitId)>, SourceError> {
        Ok(vec![])
    }

    fn read(&self, _: &RepoId, _: &CommitId, _: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(Some(self.1.as_bytes().to_vec()).filter(|text| !text.is_empty()))
    }

    fn list(&self, _: &RepoId, _: &CommitId, _: &str) -> Result<Vec<String>, SourceError> {
        Ok(vec![])
    }

    fn object(&self, _: &RepoId, _: &CommitId, _: &str) -> Result<Option<ObjectId>, SourceError> {
        Ok(None)
    }

    fn changes(
        &self,
        _: &RepoId,
        _: Option<&CommitId>,
        _: &CommitId,
        _: usize,
    ) -> Result<Vec<grit_rollout::slot::Change>, SourceError> {
        Ok(vec![])
    }

    fn default_branch(&self, _: &RepoId) -> Result<Option<(RefName, CommitId)>, SourceError> {
        Ok(None)
    }

    fn changed(
        &self,
        _: &RepoId,
        _: &CommitId,
        _: &CommitId,
    ) -> Result<Option<Vec<String>>, SourceError> {
        Ok(None)
    }

    fn merge_base(
        &self,
        _: &RepoId,
        _: &CommitId,
        _: &CommitId,
    ) -> Result<Option<CommitId>, SourceError> {
        Ok(None)
    }

    fn log(
        &self,
        _: &RepoId,
        _: Option<&CommitId>,
        _: &CommitId,
        _: usize,
    ) -> Result<Vec<Logged>, SourceError> {
        Ok(vec![])
    }

    fn ledger(&self, _: &RepoId) -> Result<Arc<dyn Ledger>, SourceError> {
        Ok(self.0.clone())
    }

    fn locks(&self, _: &RepoId, _: &Cut) -> Result<LockChanges, SourceError> {
        Ok(LockChanges::default())
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn requested(number: u64, trigger: Value) -> SlotEvent {
    let request = json!({
        "id": format!("dep_000000000000000000000000{number:02}"),
        "slot": {
            "tenant": "local", "repo": "shop", "environment": "production", "service": "api",
        },
        "version": format!("v1.{number}.0"),
        "commit": COMMIT,
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
        "gates": [], "verify": [], "trigger": trigger, "requested_by": "dana",
        "authors": ["dana"],
        "changes": [{ "commit": COMMIT, "at": 5, "subject": "api: version" }],
        "warm": 1,
    });
    let request = Box::new(serde_json::from_value(request).unwrap());
    SlotEvent::Requested { number, request, at: at(10) }
}

/// The ways in which a deployment is started and ends.
fn endings() -> Vec<(Value, bool, Status, Option<Why>)> {
    let aborted = Why::Aborted { by: "lee".parse().unwrap(), reason: "no".to_owned() };
    let lost = Why::StableLost { reason: "gone".to_owned() };
    let never = Why::NeverReady { reason: "exit 1".to_owned() };
    let route = Why::Route { reason: "stale".to_owned() };
    let rollback = json!({ "rollback": { "to": Revision(1) } });
    vec![
        (json!("push"), true, Status::Succeeded, None),
        (json!("manual"), true, Status::RolledBack, Some(aborted)),
        (json!({ "retry": { "of": 1 } }), true, Status::Failed, Some(never)),
        (rollback, true, Status::Degraded, Some(lost)),
        (json!("push"), false, Status::Cancelled, Some(route)),
        (json!("push"), false, Status::Superseded, Some(Why::Superseded { by: 7 })),
    ]
}

/// A journal in which these deployments have ended, and how they are shown there.
async fn journal() -> (Arc<MemoryJournal>, Vec<DeploymentView>) {
    let journal = Arc::new(MemoryJournal::default());
    let stream: grit_ledger::StreamId = "slot/local/shop/production/api".parse().unwrap();
    let (mut slot, mut version, mut views) = (Slot::default(), Version::ZERO, Vec::new());
    for (number, (trigger, starts, status, reason)) in (1..).zip(endings()) {
        let mut events = vec![requested(number, trigger)];
        if starts {
            let (revision, stages) = (Revision(number), vec![]);
            events.push(SlotEvent::Started { number, revision, stages, at: at(20) });
            let reason = PauseReason::Inconclusive;
            events.push(SlotEvent::Paused { number, reason, at: at(25) });
        }
        let ended = at(30 + i64::try_from(number).unwrap());
        events.push(SlotEvent::Finished { number, status, reason, at: ended });
        slot = events.iter().fold(slot, Rollouts::evolve);
        let envelope = |event: &SlotEvent| {
            let (kind, data) = split(event).unwrap();
            Event {
                kind,
                tenant: "local".parse().unwrap(),
                repo: "shop".parse().unwrap(),
                subject: stream.to_string(),
                actor: Actor::grit("control"),
                hlc: Hlc { millis: ended.millis(), count: 0 },
                cause: None,
                data,
            }
        };
        let append = Append {
            rows: crate::project::slot(&slot),
            ..Append::events(stream.clone(), version, events.iter().map(envelope).collect())
        };
        version = journal.append(append).await.unwrap().version;
        views.push(DeploymentView::new(&slot, &slot.deployments[&number]));
    }
    (journal, views)
}

#[tokio::test]
async fn insight_reads_every_deployment_as_the_relay_wrote_it() {
    let (journal, mut views) = journal().await;
    let ledger = Arc::new(MemoryLedger::default());
    let source = Arc::new(OnlyALedger(ledger.clone(), ""));
    let relay = Relay::new(journal.clone(), source, "local".to_owned());
    relay.catch_up().await.unwrap();
    // Whoever is killed before the cursor is written starts over: nothing may come twice.
    for recorded in journal.tail(Sequence::ZERO, 1_000).await.unwrap() {
        relay.relay(&recorded).await.unwrap();
    }

    let summaries = grit_insight::deployments(&ledger.read().unwrap());
    views.reverse();
    assert_eq!(summaries.len(), views.len(), "newest first: {summaries:#?}");
    for (summary, view) in summaries.iter().zip(&views) {
        let named = (&summary.tenant_id, &summary.repo, &summary.service, &summary.environment);
        assert_eq!(named, (&view.tenant_id, &view.repo, &view.service, &view.environment));
        assert_eq!((summary.id, summary.number), (view.id, view.number));
        let built = (&summary.version, &summary.commit, summary.artifact);
        assert_eq!(built, (&view.version, &view.commit, view.artifact));
        assert_eq!(summary.status.as_str(), view.status.as_str());
        assert_eq!(
            (&summary.strategy, &summary.requested_by),
            (&view.strategy, &view.requested_by)
        );
        assert_eq!((&summary.reason, &summary.issue), (&view.reason, &view.issue));
        let times = (summary.created_at, summary.started_at, Some(summary.completed_at));
        assert_eq!(times, (view.created_at, view.started_at, view.completed_at));
        let brought =
            |commit: &CommitId, at, subject: &str| (commit.clone(), at, subject.to_owned());
        let read = summary.changes.iter().map(|c| brought(&c.commit, c.at, &c.subject));
        let shown = view.changes.iter().map(|c| brought(&c.commit, c.at, &c.subject));
        assert!(read.eq(shown), "{summary:#?}");
    }
    let triggers: Vec<&str> = summaries.iter().rev().map(|s| s.trigger.as_str()).collect();
    assert_eq!(triggers, ["push", "manual", "retry", "rollback", "push", "push"]);
    let rollbacks = summaries.iter().filter(|summary| summary.trigger.is_rollback()).count();
    assert_eq!(rollbacks, 1);
}

#[tokio::test]
async fn the_four_keys_follow_from_what_the_relay_wrote() {
    let (journal, _) = journal().await;
    let ledger = Arc::new(MemoryLedger::default());
    let source = Arc::new(OnlyALedger(ledger.clone(), ""));
    Relay::new(journal, source, "local".to_owned()).catch_up().await.unwrap();
    let input = grit_insight::from_ledger(&ledger.read().unwrap());
    let window = grit_insight::dora::Window::new(at(0), at(1_000)).unwrap();
    let keys = grit_insight::dora::keys(&input, window);
    assert!(keys.deployment_total > 0, "{keys:#?}");
    assert!(keys.deployment_failed > 0 && keys.change_failure_rate.is_some(), "{keys:#?}");
    assert!(keys.lead_time_samples > 0, "{keys:#?}");
}

const FOLLOWED: &str = "environments: { production: {}, staging: {} }\n\
    issues: { deployment: { environments: production, labels: [watched] } }\n";

#[tokio::test]
async fn a_deployment_has_one_issue_however_often_it_is_told() {
    let (journal, _) = journal().await;
    let ledger = Arc::new(MemoryLedger::default());
    let source = Arc::new(OnlyALedger(ledger.clone(), FOLLOWED));
    let relay = Relay::new(journal.clone(), source, "local".to_owned());
    relay.catch_up().await.unwrap();
    let told = ledger.read().unwrap().len();
    // Whoever is killed before the cursor is written starts over, from anywhere.
    for recorded in journal.tail(Sequence::ZERO, 1_000).await.unwrap() {
        relay.tell(&recorded).await.unwrap();
        relay.tell(&recorded).await.unwrap();
    }
    assert_eq!(ledger.read().unwrap().len(), told, "nothing may be said twice");
    let issues = grit_issues::Issues::fold(&ledger.read().unwrap());
    let mut shown: Vec<_> = issues.all().collect();
    shown.sort_by(|one, other| one.title.cmp(&other.title));
    let states: Vec<String> = shown.iter().map(|issue| issue.state.to_string()).collect();
    // Of the six, four were started; one of them succeeded.
    assert_eq!(states, ["closed", "open", "open", "open"]);
    assert_eq!(shown[0].title, "Deploy v1.1.0 of api to production");
    assert!(shown[0].labels.contains("watched") && shown[0].labels.contains("production"));
    let said: Vec<&str> = shown[1].comments.iter().map(|comment| comment.body.as_str()).collect();
    assert_eq!(said[0], "Paused: the analysis says nothing, a person decides");
    assert!(said[1].starts_with("Deployment rolled back: "), "{said:?}");
}

#[tokio::test]
async fn without_a_word_in_grit_yaml_no_deployment_has_an_issue() {
    let (journal, _) = journal().await;
    for text in
        ["", "issues: { deployment: { environments: staging } }\nenvironments: { staging: {} }\n"]
    {
        let ledger = Arc::new(MemoryLedger::default());
        let source = Arc::new(OnlyALedger(ledger.clone(), text));
        let relay = Relay::new(journal.clone(), source, "local".to_owned());
        for recorded in journal.tail(Sequence::ZERO, 1_000).await.unwrap() {
            relay.tell(&recorded).await.unwrap();
        }
        assert!(ledger.read().unwrap().is_empty());
    }
}
