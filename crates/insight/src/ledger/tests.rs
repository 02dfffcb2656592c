use grit_ledger::Hlc;
use grit_types::{Actor, EffectId, Tenant};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::deployments;
use crate::dora::{Window, keys};

const SHA: &str = "1111111111111111111111111111111111111111";

fn event(kind: &str, millis: i64, cause: Option<Cause>, data: Value) -> Event {
    Event {
        kind: kind.to_owned(),
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        subject: "test".to_owned(),
        actor: Actor::grit("test"),
        hlc: Hlc { millis, count: 0 },
        cause,
        data,
    }
}

/// What the server writes, with members that are not read here.
fn view(number: u64, environment: &str, status: &str, completed: i64) -> Value {
    json!({
        "id": format!("dep_{number:026}"),
        "tenantId": "local",
        "repo": "shop",
        "service": "api",
        "environment": environment,
        "number": number,
        "version": format!("v1.{number}.0"),
        "commit": SHA,
        "artifact": format!("sha256:{}", "0".repeat(64)),
        "status": status,
        "strategy": "canary",
        "trigger": "push",
        "requestedBy": "alice",
        "authors": ["alice"],
        "gates": [{"gate": "after staging", "passed": "yes", "approvals": [], "needsPerson": false}],
        "step": 1,
        "steps": 4,
        "doing": "",
        "weight": 0,
        "revision": number,
        "from": null,
        "reason": null,
        "evidence": null,
        "issue": null,
        "createdAt": completed - 500,
        "startedAt": completed - 400,
        "completedAt": completed,
        "changes": [{"commit": SHA, "at": completed - 1_000, "subject": "cart: sums"}],
    })
}

fn ended(number: u64) -> EventId {
    EventId::of(&number.to_be_bytes())
}

fn summary(number: u64, view: Value) -> Event {
    let millis = view["completedAt"].as_i64().unwrap();
    event("deployment.summary", millis, Some(Cause::Event(ended(number))), view)
}

fn deployed(number: u64, environment: &str, status: &str, completed: i64) -> Event {
    summary(number, view(number, environment, status, completed))
}

fn opened(millis: i64, labels: &[&str], by: Option<u64>) -> Event {
    let cause = by.map(|number| Cause::Effect(EffectId { event: ended(number), index: 1 }));
    event("issue.created", millis, cause, json!({"title": "t", "body": "b", "labels": labels}))
}

fn about(kind: &str, millis: i64, issue: &Event) -> Event {
    event(kind, millis, None, json!({"issue": issue.id(), "reason": "done"}))
}

#[test]
fn what_did_not_reach_the_environment_is_no_deployment() {
    let mut gated = view(5, "production", "FAILED", 50_000);
    gated["startedAt"] = Value::Null;
    let mut back = view(6, "production", "SUCCEEDED", 60_000);
    back["trigger"] = json!({"rollback": {"to": 1}});
    back["changes"] = json!([]);
    let events = [
        deployed(1, "production", "SUCCEEDED", 10_000),
        deployed(2, "production", "CANCELLED", 20_000),
        deployed(3, "production", "SUPERSEDED", 30_000),
        deployed(4, "production", "DEGRADED", 40_000),
        summary(5, gated),
        summary(6, back),
        event("deployment.summary", 1, None, json!({"from": "a newer Grit"})),
    ];
    let input = from_ledger(&events);
    let seen: Vec<_> = input.deployments.iter().map(|one| (one.outcome, one.unplanned)).collect();
    let expected =
        [(Outcome::Succeeded, false), (Outcome::Failed, false), (Outcome::Succeeded, true)];
    assert_eq!(seen, expected);
    assert_eq!(input.commits.len(), 1, "a commit is known once");
    let history = deployments(&events);
    assert_eq!(history.iter().map(|one| one.number).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
    assert_eq!(history[0].trigger.as_str(), "rollback");
    assert_eq!(history[3].status.to_string(), "SUPERSEDED");
}

#[test]
fn an_issue_is_linked_to_the_deployment_whose_end_opened_it() {
    let bad = opened(20_000, &["api", "incident", "production"], Some(2));
    let events = [
        deployed(1, "production", "SUCCEEDED", 10_000),
        deployed(2, "production", "ROLLED_BACK", 20_000),
        about("issue.closed", 50_000, &bad),
        bad,
    ];
    let input = from_ledger(&events);
    assert_eq!(input.incidents.len(), 1);
    assert_eq!(input.incidents[0].deployment, Some(input.deployments[1].id.clone()));
    assert_eq!(input.incidents[0].resolved_at, Some(Timestamp::from_millis(50_000)));
    let window = Window::new(Timestamp::from_millis(0), Timestamp::from_millis(100_000)).unwrap();
    let keys = keys(&input, window);
    assert_eq!(keys.change_failure_rate, Some(0.5));
    assert_eq!(keys.failed_deployment_recovery_median_s, Some(30.0));
    assert_eq!((keys.lead_time_samples, keys.lead_time_median_s), (1, Some(1.0)));
}

#[test]
fn a_summary_that_names_its_issue_links_it() {
    let issue = opened(20_000, &["incident"], None);
    let mut later = view(2, "production", "ROLLED_BACK", 20_000);
    later["issue"] = json!(issue.id());
    let events = [deployed(2, "production", "ROLLED_BACK", 20_000), summary(2, later), issue];
    let input = from_ledger(&events);
    assert_eq!(input.deployments.len(), 1, "two summaries of one deployment");
    assert_eq!(input.incidents[0].deployment, Some(input.deployments[0].id.clone()));
    assert_eq!(input.incidents[0].service.as_ref().map(Service::as_str), Some("api"));
}

#[test]
fn a_person_names_service_and_environment_by_label() {
    let of_staging = deployed(3, "staging", "ROLLED_BACK", 5_000);
    let events = [
        deployed(1, "production", "SUCCEEDED", 10_000),
        of_staging,
        opened(11_000, &["incident", "api"], None),
        opened(12_000, &["incident", "nobody"], None),
        opened(13_000, &["incident", "api", "staging"], None),
        opened(14_000, &["incident", "production", "staging"], None),
        opened(15_000, &["incident", "production"], Some(3)),
        opened(16_000, &["api", "production"], None),
    ];
    let seen: Vec<_> = from_ledger(&events)
        .incidents
        .iter()
        .map(|one| (one.opened_at.millis(), one.service.is_some(), one.deployment.is_some()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(seen, [(11_000, true, false), (12_000, false, false), (14_000, false, false)]);
}

#[test]
fn an_incident_is_over_when_it_is_closed_for_the_last_time() {
    let issue = opened(10_000, &["incident"], None);
    let resolved = |more: &[Event]| {
        let events: Vec<Event> = more.iter().cloned().chain([issue.clone()]).collect();
        from_ledger(&events).incidents[0].resolved_at.map(Timestamp::millis)
    };
    let closed = |millis| about("issue.closed", millis, &issue);
    let reopened = about("issue.reopened", 30_000, &issue);
    assert_eq!(resolved(&[]), None);
    assert_eq!(resolved(&[closed(20_000), closed(25_000)]), Some(20_000));
    assert_eq!(resolved(&[closed(20_000), reopened.clone()]), None);
    assert_eq!(resolved(&[closed(20_000), reopened, closed(40_000)]), Some(40_000));
    assert_eq!(resolved(&[closed(5_000)]), Some(10_000), "a clock was behind");
}

fn a_ledger() -> Vec<Event> {
    let issue = opened(20_000, &["incident", "api"], Some(2));
    vec![
        deployed(1, "production", "SUCCEEDED", 10_000),
        deployed(2, "production", "ROLLED_BACK", 20_000),
        deployed(2, "production", "ROLLED_BACK", 20_000),
        deployed(3, "staging", "SUCCEEDED", 30_000),
        about("issue.closed", 40_000, &issue),
        about("issue.reopened", 50_000, &issue),
        about("issue.closed", 60_000, &issue),
        issue,
    ]
}

proptest! {
    #[test]
    fn order_of_arrival_does_not_matter(events in Just(a_ledger()).prop_shuffle()) {
        prop_assert_eq!(from_ledger(&events), from_ledger(&a_ledger()));
        prop_assert_eq!(deployments(&events), deployments(&a_ledger()));
    }
}
