use std::collections::BTreeMap;

use grit_types::{Actor, Digest};

use super::*;

fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn context() -> Context {
    let actor = Actor::new("alice".parse().unwrap(), "hook");
    Context { now: Timestamp::from_millis(1), actor }
}

struct Repository(State);

impl Repository {
    fn take(&mut self, command: Command) -> Vec<Event> {
        let events = Repos::decide(&self.0, &command, &context()).unwrap();
        for event in &events {
            self.0 = Repos::evolve(std::mem::take(&mut self.0), event);
        }
        events
    }

    fn push(&mut self, name: &str, new: CommitId) -> Vec<Event> {
        let name = name.parse().unwrap();
        self.take(Command::Push { updates: vec![RefUpdate { name, old: None, new: Some(new) }] })
    }

    fn build(&mut self, commit: &CommitId, succeeded: bool) -> Vec<Event> {
        let run = grit_types::RunId::derived(Timestamp::from_millis(1), commit.as_str().as_bytes());
        let record = RunRecord { run, name: "CI".into(), succeeded: None, jobs: BTreeMap::new() };
        self.take(Command::Planned { commit: commit.clone(), result: Ok(vec![record]) });
        let jobs = BTreeMap::from([("test".to_owned(), succeeded)]);
        self.take(Command::Concluded {
            commit: commit.clone(),
            run,
            succeeded,
            jobs,
            replaces: None,
        })
    }
}

fn promotions(events: &[Event]) -> Vec<&str> {
    let refs = events.iter().filter_map(|event| match event {
        Event::PromotionRequested { refs, .. } => Some(refs),
        _ => None,
    });
    refs.flatten().map(RefName::as_str).collect()
}

#[test]
fn a_commit_is_built_once_whatever_refs_it_has() {
    let mut repo = Repository(State::default());
    let builds = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::BuildRequested { .. })).count()
    };
    assert_eq!(builds(&repo.push("refs/heads/main", commit('a'))), 1);
    assert_eq!(builds(&repo.push("refs/tags/v1", commit('a'))), 0);
    let events = repo.build(&commit('a'), true);
    assert_eq!(promotions(&events), ["refs/heads/main", "refs/tags/v1"]);
    assert_eq!(promotions(&repo.push("refs/tags/v2", commit('a'))), ["refs/tags/v2"]);
}

#[test]
fn what_failed_goes_nowhere() {
    let mut repo = Repository(State::default());
    repo.push("refs/heads/main", commit('a'));
    assert!(promotions(&repo.build(&commit('a'), false)).is_empty());
    assert!(promotions(&repo.push("refs/tags/v1", commit('a'))).is_empty());
    let checks = repo.0.commits[&commit('a')].checks(&["test".to_owned()]);
    assert_eq!(checks, Some(Err("job `test` did not succeed".to_owned())));
}

#[test]
fn an_artifact_of_an_unknown_commit_is_refused() {
    let publish = Command::Publish {
        commit: commit('a'),
        image: "shop/api".into(),
        artifact: Digest::of(b"x"),
        run: None,
    };
    assert!(Repos::decide(&State::default(), &publish, &context()).is_err());
}

fn started(events: &[Event]) -> Vec<(&str, u64)> {
    let started = events.iter().filter_map(|event| match event {
        Event::Triggered { trigger, number, .. } => Some((trigger.ref_name.as_ref()?, *number)),
        _ => None,
    });
    started.map(|(name, number)| (name.as_str(), number)).collect()
}

#[test]
fn every_ref_of_one_push_starts_what_it_alone_starts_once_the_build_is_known() {
    let mut repo = Repository(State::default());
    let update =
        |name: &str| RefUpdate { name: name.parse().unwrap(), old: None, new: Some(commit('a')) };
    let names = ["refs/heads/main", "refs/heads/next", "refs/tags/v1"];
    let events = repo.take(Command::Push { updates: names.map(update).to_vec() });
    let built = events.iter().filter_map(|event| match event {
        Event::BuildRequested { ref_name, .. } => ref_name.as_ref().map(RefName::as_str),
        _ => None,
    });
    assert_eq!(built.collect::<Vec<_>>(), ["refs/tags/v1"]);
    assert_eq!(started(&events), [], "what the build starts is not known yet");
    assert_eq!(started(&repo.push("refs/heads/late", commit('a'))), []);
    let planned = Command::Planned { commit: commit('a'), result: Ok(vec![]) };
    let events = repo.take(planned.clone());
    let beside = [("refs/heads/main", 2), ("refs/heads/next", 3), ("refs/heads/late", 4)];
    assert_eq!(started(&events), beside);
    assert_eq!(repo.take(planned), [], "once");
    assert_eq!(started(&repo.push("refs/heads/later", commit('a'))), [("refs/heads/later", 5)]);
}

#[test]
fn what_is_told_twice_starts_once() {
    let mut repo = Repository(State::default());
    let trigger = Trigger { id: "schedule/x/1".to_owned(), ..Trigger::none(&commit('a')) };
    let told = Command::Trigger(Box::new(trigger));
    assert_eq!(repo.take(told.clone()).len(), 1);
    assert_eq!(repo.take(told), []);
}
