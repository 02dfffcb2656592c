//! What keeps jobs back, and what they may.

use std::time::Duration;

use grit_ledger::{Context, Decider};
use grit_pipeline::JobSpec;
use grit_pipeline::concurrency::Word;
use grit_pipeline::plan::{Access, EnvironmentSpec, Plan, Protection};
use grit_pipeline::run::{
    Command, Effect, Ending, Event, Refusal, Request, Run, Runs, TOKEN, Timer,
};
use grit_pipeline::seal;
use grit_types::{Actor, Role};
use serde_json::{Value, json};

use crate::harness::{World, job, plan, request, step};

fn specs(world: &World) -> Vec<JobSpec> {
    let spec = |effect: &Effect| match effect {
        Effect::PrepareJob(spec) => Some((**spec).clone()),
        _ => None,
    };
    world.owed.iter().filter_map(spec).collect()
}

fn permissions(scope: &str, access: &str) -> Value {
    json!({"all": null, "scopes": {scope: access}, "place": {"line": 1, "column": 1}})
}

fn environment(name: &str) -> Value {
    json!({"name": name, "url": null, "place": {"line": 1, "column": 1}})
}

fn protected(protection: Protection, jobs: &[Value]) -> Request {
    let mut request = request(plan(jobs));
    let spec = EnvironmentSpec { protection, ..EnvironmentSpec::default() };
    request.setting.environments.insert("live".to_owned(), spec);
    request
}

/// What somebody's answer comes to; where it counts, the world goes on.
fn review(world: &mut World, who: &str, role: Role, approved: bool) -> Result<(), Refusal> {
    let job = world.run.jobs[0].id;
    let command = Command::Review { job, approved, roles: vec![role], comment: "no".to_owned() };
    let actor = Actor::new(who.parse().unwrap(), "test");
    let context = Context { now: world.now, actor };
    for event in Runs::decide(&world.run, &command, &context)? {
        world.run = Runs::evolve(std::mem::take(&mut world.run), &event);
        world.owed.extend(Runs::effects(&world.run, &event));
    }
    Ok(())
}

#[test]
fn a_called_workflow_may_no_more_than_its_caller() {
    let called: Plan = plan(&[
        job("greedy", json!({"permissions": permissions("contents", "write")})),
        job("silent", json!({})),
    ]);
    let mut called = serde_json::to_value(called).unwrap();
    called["triggers"] = json!([{"event": "workflow_call", "place": {"line": 1, "column": 1},
        "filters": {"branches": null, "branches_ignore": null, "tags": null, "tags_ignore": null,
            "paths": null, "paths_ignore": null, "types": null},
        "inputs": [], "schedule": []}]);
    let uses = "./.github/workflows/b.yml";
    let call = json!({"uses": uses, "place": {"line": 1, "column": 1}, "with": [],
        "inherit": true, "secrets": []});
    let caller = job(
        "caller",
        json!({"call": call, "steps": [],
        "permissions": permissions("contents", "read")}),
    );
    let mut document = serde_json::to_value(plan(&[caller])).unwrap();
    document["called"] = json!([[uses, called]]);
    let world = World::new(request(serde_json::from_value(document).unwrap()));
    let specs = specs(&world);
    assert_eq!(specs.len(), 2);
    for spec in specs {
        assert_eq!(spec.permissions.of("contents"), Access::Read, "{:?}", spec.permissions);
        assert_eq!(spec.permissions.of("packages"), Access::None);
    }
}

#[test]
fn nobody_from_outside_gets_a_secret_or_writes() {
    let say =
        step("x ${{ secrets.KEY }} ${{ secrets.GITHUB_TOKEN }} ${{ secrets.OWN }}", json!({}));
    let jobs = [job("a", json!({"steps": [say], "environment": environment("LIVE")}))];
    let from = |head: &str| {
        let mut request = protected(Protection::default(), &jobs);
        let live = request.setting.environments.get_mut("live").unwrap();
        live.secrets.insert("OWN".to_owned());
        request.secrets = ["KEY".to_owned(), TOKEN.to_owned()].into();
        request.event = "pull_request".to_owned();
        request.payload = serde_json::from_value(json!({"pull_request": {
            "head": {"repo": {"full_name": head}}, "base": {"repo": {"full_name": "o/r"}}}}))
        .unwrap();
        let mut world = World::new(request);
        let spec = specs(&world).remove(0);
        world.play();
        let script = world.scripts()[0].to_owned();
        (spec, script)
    };
    let (spec, script) = from("o/r");
    assert!(!spec.from_outside && spec.permissions.of("contents") == Access::Write);
    assert_eq!(seal::shown(&script, "w0rd"), "x *** *** ***");
    let (spec, script) = from("fork/r");
    assert!(spec.from_outside && spec.permissions.of("contents") == Access::Read);
    assert_eq!(seal::shown(&script, "w0rd"), "x  *** ", "its own token is all it gets");
}

#[test]
fn a_job_waits_for_those_who_may_agree() {
    let protection = Protection {
        approvals: 2,
        roles: vec![Role::Admin],
        distinct: true,
        wait: Duration::from_secs(60),
        refs: vec!["main".to_owned()],
    };
    let jobs = [job("a", json!({"environment": environment("Live")}))];
    let mut world = World::new(protected(protection.clone(), &jobs));
    assert_eq!(world.run.views()[0].state, "waiting");
    assert!(matches!(review(&mut world, "mo", Role::Member, true), Err(Refusal::Role { .. })));
    assert_eq!(review(&mut world, "alice", Role::Owner, true), Err(Refusal::OwnRun));
    review(&mut world, "bob", Role::Admin, true).unwrap();
    review(&mut world, "bob", Role::Admin, true).unwrap();
    assert_eq!(world.run.views()[0].approvals_missing, 1, "one person is one");
    review(&mut world, "carol", Role::Owner, true).unwrap();
    assert!(specs(&world).is_empty(), "the time is not over");
    let job = world.run.jobs[0].id;
    world.wake(Timer::Wait { job });
    world.play();
    assert_eq!(world.ending(), Ending::Success);
    let mut refused = World::new(protected(protection.clone(), &jobs));
    review(&mut refused, "bob", Role::Admin, false).unwrap();
    assert_eq!(refused.ending(), Ending::Failure);
    let mut elsewhere = protected(protection, &jobs);
    elsewhere.ref_name = Some("refs/heads/topic".parse().unwrap());
    assert_eq!(World::new(elsewhere).ending(), Ending::Failure);
}

#[test]
fn a_job_waits_for_its_turn_and_gives_it_back() {
    let own =
        json!({"group": "one", "cancel_in_progress": null, "place": {"line": 1, "column": 1}});
    let mut request = request(plan(&[job("a", json!({"concurrency": own}))]));
    request.setting.grouped = true;
    let mut world = World::new(request);
    let claims = |world: &World| {
        let is = |effect: &&Effect| matches!(effect, Effect::Claim { .. });
        world.owed.iter().filter(is).count()
    };
    assert_eq!((claims(&world), specs(&world).len()), (1, 0));
    let first = Some(world.run.jobs[0].cell.job);
    world.submit(Command::Group { job: first, call: None, word: Word::Granted }).unwrap();
    assert_eq!(specs(&world).len(), 1);
    world.play();
    assert_eq!(world.ending(), Ending::Success);
    let (mut run, mut released) = (Run::default(), 0);
    for event in &world.events {
        run = Runs::evolve(run, event);
        let effects = Runs::effects(&run, event);
        released += effects.iter().filter(|e| matches!(e, Effect::Release { .. })).count();
    }
    assert_eq!(released, 1, "its turn is given back, once");
    let late = world.submit(Command::Group { job: first, call: None, word: Word::Granted });
    assert!(late.is_err(), "a turn that comes too late is refused");
}

#[test]
fn a_job_that_waits_for_people_has_its_place_in_its_group() {
    let own =
        json!({"group": "one", "cancel_in_progress": null, "place": {"line": 1, "column": 1}});
    let jobs = [job("a", json!({"concurrency": own, "environment": environment("live")}))];
    let protection = Protection { approvals: 1, ..Protection::default() };
    let waiting = || {
        let mut request = protected(protection.clone(), &jobs);
        request.setting.grouped = true;
        World::new(request)
    };
    let claims = |world: &World| {
        world.owed.iter().filter(|effect| matches!(effect, Effect::Claim { .. })).count()
    };
    let said = |world: &World| world.run.views()[0].waiting.clone().unwrap_or_default();
    let mut world = waiting();
    assert_eq!(claims(&world), 1, "nobody has agreed yet");
    assert_eq!(said(&world), "for its turn in the concurrency group one");
    let first = Some(world.run.jobs[0].cell.job);
    world.submit(Command::Group { job: first, call: None, word: Word::Granted }).unwrap();
    assert_eq!(said(&world), "for an approval for live");
    assert!(specs(&world).is_empty(), "it has its turn, and still waits for people");
    review(&mut world, "bob", Role::Owner, true).unwrap();
    assert_eq!(specs(&world).len(), 1);
    let mut world = waiting();
    let first = Some(world.run.jobs[0].cell.job);
    world.submit(Command::Group { job: first, call: None, word: Word::Granted }).unwrap();
    world.submit(Command::Group { job: first, call: None, word: Word::Superseded }).unwrap();
    assert_eq!(world.ending(), Ending::Cancelled, "a newer one wants the group");
    let releases = |effect: &&Effect| matches!(effect, Effect::Release { .. });
    assert_eq!(world.owed.iter().filter(releases).count(), 1);
}

#[test]
fn a_slot_of_the_machine_goes_back_after_each_job_though_others_wait() {
    let mut request = request(plan(&[job("a", json!({})), job("b", json!({}))]));
    request.setting.queued = true;
    let mut world = World::new(request);
    let wish = |world: &World| {
        let mut wishes = world.events.iter().filter_map(|event| match event {
            Event::SlotsWanted { wish } => Some((wish.wanted, wish.returned)),
            _ => None,
        });
        wishes.next_back()
    };
    assert_eq!((wish(&world), specs(&world).len()), (Some((2, 0)), 0));
    world.submit(Command::Slots { total: 1 }).unwrap();
    world.submit(Command::Slots { total: 1 }).unwrap();
    world.play();
    assert_eq!(world.endings(), "a=success b=-", "one slot is for one job");
    assert_eq!(wish(&world), Some((2, 1)), "others may come first");
    world.submit(Command::Slots { total: 2 }).unwrap();
    world.play();
    assert_eq!((world.ending(), wish(&world)), (Ending::Success, Some((2, 2))));
    let left = world.events.len();
    world.submit(Command::Slots { total: 3 }).expect_err("it has left the queue");
    assert_eq!(world.events.len(), left);
}
