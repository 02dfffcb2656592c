//! Rollouts that go back.

use insta::assert_snapshot;

use grit_rollout::Step;
use grit_rollout::fake::Turn;
use grit_rollout::slot::{Command, Outcome, Request, RouteFailure, Status};
use grit_types::Revision;

use super::{serving, v1};
use crate::ground::{request, rolling, secs, slot};
use crate::rig::Rig;
use crate::strategies::{analysis, bad, canary, canary_with, careful, pause, weight};

/// v2 has 20 %.
fn at_twenty() -> Rig {
    let mut rig = serving();
    rig.deploy(&request("v2", careful(), 3));
    rig.wait(secs(12));
    assert_eq!(rig.split(), "r1 80 % r2 20 %");
    rig.story();
    rig
}

#[test]
fn the_guard_has_moved_the_traffic_and_the_rest_follows() {
    let mut rig = at_twenty();
    rig.trip();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    12s trip reported: guard tripped, back as RolledBack: the guard tripped: 20 of 60 requests failed, route @4 r1 100 % on 3
    12s @4 in force: @4 read back, drain r2 1
    12s r2 is idle: r2 drained, stop r2 all
    12s r2 is gone: r2 stopped, #2 ROLLED_BACK
    12s issue is open: #2 has an issue
    ");
    assert_eq!((rig.status(2), rig.split()), (Status::RolledBack, "r1 100 %".to_owned()));
}

#[test]
fn a_trip_that_nobody_reported_is_read_back_with_the_next_route() {
    let mut rig = at_twenty();
    rig.world.routes.trip(&slot(), rig.now).unwrap();
    rig.wait(secs(10));
    assert_snapshot!(rig.story(), @r"
    20s timer of hold 3: hold over, step 4, scale r2 to 2
    20s r2 is up: r2 ready 2, route @4 r1 50 % on 3 / r2 50 % on 2
    20s @4 not taken: @4 refused, guard tripped, back as RolledBack: the guard tripped: 20 of 60 requests failed, route @5 r1 100 % on 3
    20s @5 in force: @5 read back, drain r2 2
    20s r2 is idle: r2 drained, stop r2 all
    20s r2 is gone: r2 stopped, #2 ROLLED_BACK
    20s issue is open: #2 has an issue
    ");
}

#[test]
fn an_analysis_that_fails_ends_it() {
    let mut rig = serving();
    rig.world.routes.serve(&slot(), Revision(2), bad());
    let steps = vec![weight(20), pause(None)];
    rig.deploy(&request("v2", canary_with(steps, Some(analysis(None))), 1));
    rig.wait(secs(20));
    assert_snapshot!(rig.story(), @r"
     0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 20 %, hold, 1+3 at 100 %], step 0, scale r2 to 1
     0s r2 is up: r2 ready 1, route @2 r1 80 % on 3 / r2 20 % on 1
     0s @2 in force: @2 read back, analysis of all, step 1, hold
    10s timer of analysis: measure of all
    10s stats: of all says Fail, back as RolledBack: the analysis failed: success-rate 66.7 % (at least 99 %), route @3 r1 100 % on 3
    10s @3 in force: @3 read back, drain r2 1
    10s r2 is idle: r2 drained, stop r2 all
    10s r2 is gone: r2 stopped, #2 ROLLED_BACK
    10s issue is open: #2 has an issue
    20s timer of analysis: nothing
    ");
}

#[test]
fn an_analysis_without_evidence_asks_a_person() {
    let mut rig = serving();
    let steps = vec![weight(20), Step::Analysis(analysis(Some(1)))];
    rig.deploy(&request("v2", canary(steps), 1));
    rig.wait(secs(25));
    assert_eq!(rig.status(2), Status::Paused);
    rig.world.routes.serve(&slot(), Revision(2), bad());
    rig.ask(Command::Resume).unwrap();
    rig.wait(secs(10));
    assert_snapshot!(rig.story(), @r"
     0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 20 %, measure, 1+3 at 100 %], step 0, scale r2 to 1
     0s r2 is up: r2 ready 1, route @2 r1 80 % on 3 / r2 20 % on 1
     0s @2 in force: @2 read back, step 1, analysis of step 1
    10s timer of analysis: measure of step 1
    10s stats: of step 1 says Inconclusive
    20s timer of analysis: measure of step 1
    20s stats: of step 1 says Inconclusive, paused to ask
    25s resume: resumed
    30s timer of analysis: measure of step 1
    30s stats: of step 1 says Fail, back as RolledBack: the analysis failed: success-rate 66.7 % (at least 99 %), route @3 r1 100 % on 3
    30s @3 in force: @3 read back, drain r2 1
    30s r2 is idle: r2 drained, stop r2 all
    30s r2 is gone: r2 stopped, #2 ROLLED_BACK
    30s issue is open: #2 has an issue
    ");
}

#[test]
fn no_answer_is_no_evidence() {
    let mut rig = serving();
    rig.world.blind = true;
    let steps = vec![weight(20), Step::Analysis(analysis(Some(1)))];
    rig.deploy(&request("v2", canary(steps), 1));
    rig.wait(secs(60));
    assert_eq!((rig.status(2), rig.split()), (Status::Paused, "r1 80 % r2 20 %".to_owned()));
}

#[test]
fn what_never_gets_ready_failed_and_moved_nothing() {
    for version in ["v2-failing", "v2-hung"] {
        let mut rig = serving();
        rig.deploy(&request(version, careful(), 3));
        rig.wait(secs(60));
        assert_eq!((rig.status(2), rig.split()), (Status::Failed, "r1 100 %".to_owned()));
        assert_eq!((rig.instances(1).len(), rig.instances(2).len()), (3, 0));
    }
}

#[test]
fn what_never_gets_ready_is_told() {
    let mut rig = serving();
    rig.deploy(&request("v2-failing", careful(), 3));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v2-failing: #2 requested, #2 queued, #2 started r2 [1+3 at 5 %, 10s, 1+3 at 20 %, 10s, 2+3 at 50 %, hold, 3+3 at 100 %], step 0, scale r2 to 1
    0s r2 is not up: back as Failed: it did not become ready: it died too often, stop r2 all
    0s r2 is gone: r2 stopped, #2 FAILED
    0s issue is open: #2 has an issue
    ");
}

#[test]
fn a_check_that_fails_ends_it_before_any_traffic() {
    let mut rig = serving();
    rig.world.failing_checks.insert("./smoke".to_owned());
    let verify = ["./smoke".to_owned(), "./more".to_owned()].to_vec();
    rig.deploy(&Request { verify, ..request("v2", careful(), 1) });
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 5 %, 10s, 1+3 at 20 %, 10s, 1+3 at 50 %, hold, 1+3 at 100 %], step 0, scale r2 to 1
    0s r2 is up: r2 ready 1, check 0
    0s check 0 done: back as Failed: `./smoke` failed, stop r2 all
    0s r2 is gone: r2 stopped, #2 FAILED
    0s issue is open: #2 has an issue
    ");
}

#[test]
fn an_instance_that_dies_takes_its_rollout_back() {
    let mut rig = at_twenty();
    rig.turn(2, Turn::Die);
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    12s instances reported: now r1 ready r1 ready r1 ready r2 starting, back as RolledBack: instance ins_01MCC5RM00NNRNZXGFNQB54BMH is not healthy: it died, route @4 r1 100 % on 3
    12s @4 in force: @4 read back, drain r2 1
    12s r2 is idle: r2 drained, stop r2 all
    12s r2 is gone: r2 stopped, #2 ROLLED_BACK
    12s issue is open: #2 has an issue
    ");
}

#[test]
fn a_sick_instance_of_stable_is_taken_out_and_comes_back() {
    let mut rig = at_twenty();
    rig.turn(1, Turn::Sicken);
    rig.settle();
    rig.turn(1, Turn::Ready);
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    12s instances reported: now r1 ready r1 ready r1 unhealthy r2 ready, upkeep @4 r1 80 % on 2 / r2 20 % on 1
    12s @4 in force: @4 read back
    12s instances reported: now r1 ready r1 ready r1 ready r2 ready, upkeep @5 r1 80 % on 3 / r2 20 % on 1
    12s @5 in force: @5 read back
    ");
}

#[test]
fn the_last_instances_stay_routed_when_none_is_ready() {
    let mut rig = Rig::serving(&request("v1", rolling(), 1));
    rig.turn(1, Turn::Sicken);
    rig.settle();
    assert_snapshot!(rig.story(), @"  0s instances reported: now r1 unhealthy");
    assert_eq!(rig.split(), "r1 100 %");
}

#[test]
fn stable_is_brought_up_first_where_a_rolling_update_has_shrunk_it() {
    let mut rig = serving();
    rig.deploy(&request("v2", rolling(), 3));
    rig.until(Status::Progressing);
    while rig.instances(1).len() == 3 {
        assert!(rig.step().unwrap());
    }
    rig.story();
    rig.turn(2, Turn::Fail);
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s instances reported: now r1 ready r1 ready r2 failed, back as RolledBack: instance ins_01MCC5RM00NNRNZXGFNQB54BMH is not healthy: it died too often, route @3 r1 100 % on 2
    0s r2 is up: nothing
    0s @3 in force: @3 read back, scale r1 to 3
    0s r1 is up: r1 ready 3, upkeep @4 r1 100 % on 3, drain r2 1
    0s @4 in force: @4 read back
    0s r2 is idle: r2 drained, stop r2 all
    0s r2 is gone: r2 stopped, #2 ROLLED_BACK
    0s issue is open: #2 has an issue
    ");
    assert_eq!(rig.instances(1).len(), 3);
}

#[test]
fn stable_lost_on_the_way_back_is_degraded() {
    let mut rig = Rig::serving(&request("v1", rolling(), 1));
    rig.deploy(&request("v2", canary(vec![weight(20), pause(None)]), 1));
    rig.settle();
    rig.story();
    rig.turn(1, Turn::Fail);
    rig.settle();
    rig.ask(Command::Abort { reason: String::new() }).unwrap();
    let result = Err("the disk is full".to_owned());
    rig.outcome(Outcome::Ensured { number: 2, revision: Revision(1), result });
    assert_snapshot!(rig.story(), @r"
    0s instances reported: now r1 failed r2 ready
    0s abort: back as RolledBack: aborted by alice, scale r1 to 1
    0s r1 is not up: #2 DEGRADED
    ");
}

#[test]
fn without_anything_before_what_serves_goes_on() {
    let mut rig = Rig::default();
    rig.deploy(&request("v1", rolling(), 2));
    rig.until(Status::Promoting);
    rig.story();
    rig.ask(Command::Abort { reason: "too early".to_owned() }).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s abort: back as RolledBack: aborted by alice: too early, #1 DEGRADED
    0s @1 in force: @1 read back
    ");
}

#[test]
fn what_was_left_in_the_route_is_taken_out_of_it_before_it_ends() {
    let mut rig = Rig::serving(&request("v1", rolling(), 1));
    rig.deploy(&request("v2", canary(vec![weight(20), pause(None)]), 2));
    rig.settle();
    rig.turn(1, Turn::Fail);
    rig.settle();
    rig.ask(Command::Abort { reason: String::new() }).unwrap();
    let lost = |number, revision| {
        let result = Err("the disk is full".to_owned());
        Outcome::Ensured { number, revision: Revision(revision), result }
    };
    rig.outcome(lost(2, 1));
    assert_eq!((rig.status(2), rig.split()), (Status::Degraded, "r1 80 % r2 20 %".to_owned()));
    rig.story();
    rig.ask(super::people::rollback(Some(2))).unwrap();
    rig.outcome(lost(3, 2));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s rollback to r2: #3 requested, #3 queued, #3 started r2 [2+0 at 100 %], step 0, scale r2 to 2
    0s r2 is not up: back as RolledBack: it did not become ready: the disk is full, scale r1 to 1
    0s r1 is up: nothing
    0s issue is open: #2 has an issue
    0s r2 is up: nothing
    0s r1 is up: r1 ready 1, route @3 r1 100 % on 1
    0s @3 in force: @3 read back, drain r2 1
    0s r2 is idle: r2 drained, stop r2 all
    0s r2 is gone: r2 stopped, #3 ROLLED_BACK
    0s issue is open: #3 has an issue
    ");
}

#[test]
fn a_route_that_is_refused_ends_it() {
    let mut rig = serving();
    rig.world.refuses = Some(RouteFailure::Invalid { reason: "no".to_owned() });
    rig.deploy(&request("v2", careful(), 3));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 5 %, 10s, 1+3 at 20 %, 10s, 2+3 at 50 %, hold, 3+3 at 100 %], step 0, scale r2 to 1
    0s r2 is up: r2 ready 1, route @2 r1 95 % on 3 / r2 5 % on 1
    0s @2 not taken: @2 refused, back as RolledBack: the router refused: no, route @3 r1 100 % on 3
    0s @3 in force: @3 read back, drain r2 1
    0s r2 is idle: r2 drained, stop r2 all
    0s r2 is gone: r2 stopped, #2 ROLLED_BACK
    0s issue is open: #2 has an issue
    ");
    assert_eq!(rig.split(), "r1 100 %");
}

#[test]
fn a_way_back_that_somebody_newer_refuses_is_degraded() {
    let mut rig = at_twenty();
    rig.ask(Command::Abort { reason: String::new() }).unwrap();
    rig.world.refuses = Some(RouteFailure::Stale { reason: "fence 9 is newer".to_owned() });
    rig.settle();
    assert_eq!(rig.status(2), Status::Degraded);
    // Whoever is newer is not disturbed, and nothing that may be routed is ended.
    assert_eq!((rig.instances(1).len(), rig.instances(2).len()), (3, 1));
}

/// Up to each status a rollout can have, and then no further.
#[test]
fn aborted_anywhere_all_traffic_is_on_stable_again() {
    let phases = [
        Status::Provisioning,
        Status::Verifying,
        Status::Progressing,
        Status::Paused,
        Status::Promoting,
        Status::RollingBack,
    ];
    let mut told = String::new();
    for phase in phases {
        let mut rig = Rig::serving(&v1());
        let strategy = canary(vec![weight(30), pause(Some(5))]);
        rig.deploy(&Request { verify: vec!["./smoke".to_owned()], ..request("v2", strategy, 3) });
        if phase == Status::RollingBack {
            rig.until(Status::Paused);
            rig.ask(Command::Abort { reason: String::new() }).unwrap();
        }
        rig.until(phase);
        let refused = rig.ask(Command::Abort { reason: "no".to_owned() }).is_err();
        rig.wait(secs(2_000));
        let (left, split, status) = (rig.instances(2).len(), rig.split(), rig.status(2));
        let heard = if refused { "refused" } else { "taken" };
        told += &format!("{phase}: {heard}, {status}, {split}, {left} left of r2\n");
    }
    assert_snapshot!(told, @r"
    PROVISIONING: taken, CANCELLED, r1 100 %, 0 left of r2
    VERIFYING: taken, CANCELLED, r1 100 %, 0 left of r2
    PROGRESSING: taken, ROLLED_BACK, r1 100 %, 0 left of r2
    PAUSED: taken, ROLLED_BACK, r1 100 %, 0 left of r2
    PROMOTING: taken, ROLLED_BACK, r1 100 %, 0 left of r2
    ROLLING_BACK: refused, ROLLED_BACK, r1 100 %, 0 left of r2
    ");
}
