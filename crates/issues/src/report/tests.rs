use grit_ledger::{Hlc, split};
use grit_types::{Actor, Tenant};

use super::*;
use crate::Issues;

const KEEP: Policy = Policy { reopen: true, close: false };
const CLOSE: Policy = Policy { reopen: true, close: true };

/// A ledger that nobody else writes.
#[derive(Default)]
struct World {
    issues: Issues,
    ticks: i64,
}

impl World {
    fn tell(&mut self, told: &Report, policy: Policy) -> Fate {
        let known = self.issues.by_fingerprint(&told.fingerprint).map(|issue| issue.id.clone());
        let record = known.as_ref().and_then(|id| self.issues.record(id));
        let reported = report(told, policy, record).unwrap();
        for event in &reported.events {
            self.append(event);
        }
        reported.fate
    }

    fn append(&mut self, event: &Event) {
        self.ticks += 1;
        let (kind, data) = split(event).unwrap();
        self.issues.apply(&grit_ledger::Event {
            kind,
            data,
            tenant: Tenant::local(),
            repo: "shop".parse().unwrap(),
            subject: "issue".into(),
            actor: Actor::grit("test"),
            hlc: Hlc { millis: self.ticks, count: 0 },
            cause: None,
        });
    }

    fn only(&self) -> &Issue {
        let mut all = self.issues.all();
        let only = all.next().unwrap();
        assert!(all.next().is_none(), "more than one issue");
        only
    }
}

fn told(condition: Condition, occurrence: &str) -> Report {
    Report {
        fingerprint: "f".to_owned(),
        occurrence: Some(occurrence.to_owned()),
        condition,
        draft: Draft { title: "T".to_owned(), body: "B".to_owned(), ..Draft::default() },
        note: "N".to_owned(),
    }
}

#[test]
fn what_is_told_twice_is_said_once() {
    let mut world = World::default();
    for (condition, occurrence, first) in [
        (Condition::Wrong, "1", Fate::Opened),
        (Condition::Wrong, "2", Fate::Commented),
        (Condition::Right, "2 over", Fate::Closed),
        (Condition::Wrong, "3", Fate::Reopened),
    ] {
        let told = told(condition, occurrence);
        assert_eq!(world.tell(&told, CLOSE), first, "{occurrence}");
        assert_eq!(world.tell(&told, CLOSE), Fate::Unchanged, "{occurrence} again");
    }
    assert_eq!(world.only().state, State::Open);
}

#[test]
fn an_old_message_does_not_undo_a_person() {
    let mut world = World::default();
    world.tell(&told(Condition::Wrong, "1"), KEEP);
    let id = world.only().id.clone();
    let (reason, replaces) = (String::new(), Default::default());
    world.append(&Event::Closed { issue: id, reason, replaces, imported: None });
    assert_eq!(world.tell(&told(Condition::Wrong, "1"), KEEP), Fate::Unchanged);
    assert_eq!(world.only().state, State::Closed);
}

#[test]
fn what_comes_back_is_a_new_issue_where_that_is_wanted() {
    let mut world = World::default();
    let apart = Policy { reopen: false, close: true };
    world.tell(&told(Condition::Wrong, "1"), apart);
    world.tell(&told(Condition::Right, "1 over"), apart);
    assert_eq!(world.tell(&told(Condition::Wrong, "2"), apart), Fate::Opened);
    assert_eq!(world.issues.all().count(), 2);
    assert_eq!(world.tell(&told(Condition::Right, "2 over"), apart), Fate::Closed);
}

#[test]
fn what_is_right_or_under_way_opens_nothing() {
    let mut world = World::default();
    for condition in [Condition::Right, Condition::Underway] {
        assert_eq!(world.tell(&told(condition, "1"), CLOSE), Fate::Unchanged);
    }
    assert_eq!(world.issues.all().count(), 0);
    world.tell(&told(Condition::Wrong, "1"), KEEP);
    assert_eq!(world.tell(&told(Condition::Right, "2"), KEEP), Fate::Commented);
    assert_eq!(world.tell(&told(Condition::Right, "3"), KEEP), Fate::Unchanged, "said already");
    assert_eq!(world.tell(&told(Condition::Wrong, "4"), KEEP), Fate::Commented);
    assert_eq!(world.tell(&told(Condition::Right, "5"), KEEP), Fate::Commented);
    assert_eq!(world.only().state, State::Open);
}

#[test]
fn a_repetition_is_said_so_often_and_no_more() {
    let mut world = World::default();
    for number in 0..AGAIN_MAX + 30 {
        world.tell(&told(Condition::Wrong, &format!("time {number}")), KEEP);
    }
    let comments = &world.only().comments;
    assert_eq!(comments.len(), AGAIN_MAX);
    assert!(comments[0].body.starts_with("Again (2): N"));
    assert!(comments[AGAIN_MAX - 1].body.contains("Nothing more is said"));
}

#[test]
fn one_occurrence_is_not_the_beginning_of_another() {
    let mut world = World::default();
    world.tell(&told(Condition::Wrong, "build 12"), KEEP);
    assert_eq!(world.tell(&told(Condition::Wrong, "build 1"), KEEP), Fate::Commented);
}

#[test]
fn texts_of_any_size_fit() {
    let mut world = World::default();
    let mut huge = told(Condition::Wrong, &"é\n".repeat(10_000));
    huge.draft.title = "é".repeat(TITLE_BYTES_MAX);
    huge.draft.body = "é".repeat(TEXT_BYTES_MAX);
    huge.draft.labels =
        (0..500).map(|number| format!("l{number}")).chain([String::new()]).collect();
    huge.note = "é".repeat(TEXT_BYTES_MAX);
    assert_eq!(world.tell(&huge, KEEP), Fate::Opened);
    assert_eq!(world.tell(&huge, KEEP), Fate::Unchanged);
    assert_eq!(world.only().labels.len(), LABELS_MAX);
}

fn build(commit: &str, step: Option<&str>) -> Report {
    let failed = step.map(|step| FailedStep {
        job: "test".into(),
        step: Some(step.into()),
        log: "thread panicked".into(),
    });
    let build = Build {
        workflow: "CI".into(),
        number: "12".into(),
        branch: Some("main".into()),
        commit: commit.into(),
        logs: Some("https://ci/12".into()),
        failed: failed.into_iter().collect(),
    };
    build.report(Per::Branch, &["ci-failure".to_owned()].into())
}

#[test]
fn a_build_has_one_issue_for_each_branch() {
    let mut world = World::default();
    assert_eq!(world.tell(&build("aaaa", Some("unit")), CLOSE), Fate::Opened);
    assert_eq!(world.tell(&build("aaaa", Some("unit")), CLOSE), Fate::Unchanged, "a retry");
    assert_eq!(world.tell(&build("aaaa", Some("lint")), CLOSE), Fate::Commented, "elsewhere");
    assert_eq!(world.tell(&build("bbbb", Some("unit")), CLOSE), Fate::Commented, "the next");
    let issue = world.only();
    assert_eq!(issue.title, "CI Failure: test [build #12]");
    assert!(issue.labels.contains("ci-failure"));
    for line in ["- Branch: main", "- Commit: aaaa", "test / unit", "thread panicked"] {
        assert!(issue.body.contains(line), "{line} in {}", issue.body);
    }
    assert_eq!(world.tell(&build("cccc", None), CLOSE), Fate::Closed);
}

const MESSAGE: &str = r#"{"version":"4","status":"firing","alerts":[
  {"status":"firing","labels":{"alertname":"HighCPU","instance":"prod-api-3","severity":"critical"},
   "annotations":{"summary":"High CPU"},"startsAt":"2024-01-15T14:30:00Z",
   "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph","fingerprint":"c0ffee"}]}"#;

#[test]
fn alerts_are_read_as_alertmanager_sends_them() {
    let labels = ["alert".to_owned()].into();
    let reports = alerts(MESSAGE).unwrap().reports(&labels);
    let [one] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!(one.fingerprint, "alert/c0ffee");
    assert_eq!(one.draft.title, "Alert: High CPU on prod-api-3");
    assert_eq!(one.draft.priority, Some(crate::Priority::Critical));
    assert!(one.draft.body.contains("- Source: http://p/graph\n"), "{}", one.draft.body);
    let mut world = World::default();
    assert_eq!(world.tell(one, CLOSE), Fate::Opened);
    let over =
        MESSAGE.replace("\"status\":\"firing\",\"labels\"", "\"status\":\"resolved\",\"labels\"");
    let reports = alerts(&over).unwrap().reports(&labels);
    assert_eq!(world.tell(&reports[0], CLOSE), Fate::Closed);
}

#[test]
fn labels_make_an_alert_that_has_no_fingerprint() {
    let without = MESSAGE.replace("c0ffee", "");
    let of = |text: &str| alerts(text).unwrap().reports(&Default::default())[0].fingerprint.clone();
    assert_eq!(of(&without), of(&without.replace("High CPU", "Higher CPU")));
    assert_ne!(of(&without), of(&without.replace("prod-api-3", "prod-api-4")));
}

#[test]
fn what_alertmanager_does_not_send_is_refused_with_its_place() {
    let error = alerts("{\"version\":\"4\",\n \"alerts\": [{}]}").unwrap_err().to_string();
    assert!(error.contains("line 2 column"), "{error}");
    assert!(matches!(alerts("{\"version\":\"3\",\"alerts\":[]}"), Err(AlertsError::Version(_))));
}
