//! Rollouts that go through.

use insta::assert_snapshot;

use grit_rollout::slot::{Request, Status};
use grit_rollout::{Rolling, Step, Strategy};
use grit_types::Revision;

use super::serving;
use crate::ground::{request, rolling, secs, slot};
use crate::rig::Rig;
use crate::strategies::{analysis, canary, canary_with, careful, good, pause, rolling_by, weight};

#[test]
fn the_first_deployment_has_nothing_to_weigh_against() {
    let mut rig = Rig::default();
    rig.deploy(&request("v1", careful(), 2));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v1: #1 requested, #1 queued, #1 started r1 [2+0 at 100 %], step 0, scale r1 to 2
    0s r1 is up: r1 ready 2, route @1 r1 100 % on 2
    0s @1 in force: @1 read back, #1 SUCCEEDED
    ");
}

#[test]
fn rolling_replaces_one_after_the_other() {
    let mut rig = serving();
    rig.deploy(&request("v2", rolling(), 3));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v2: #2 requested, #2 queued, #2 started r2 [1+2 at 33.33 %, 2+1 at 66.66 %, 3+1 at 100 %], step 0, scale r2 to 1
    0s r2 is up: r2 ready 1, route @2 r1 66.67 % on 2 / r2 33.33 % on 1
    0s @2 in force: @2 read back, drain r1 1
    0s r1 is idle: r1 drained, stop r1 1
    0s r1 is gone: r1 stopped, step 1, scale r2 to 2
    0s r2 is up: r2 ready 2, route @3 r1 33.34 % on 1 / r2 66.66 % on 2
    0s @3 in force: @3 read back, drain r1 1
    0s r1 is idle: r1 drained, stop r1 1
    0s r1 is gone: r1 stopped, step 2, scale r2 to 3
    0s r2 is up: r2 ready 3, route @4 r1 0 % on 1 / r2 100 % on 3
    0s @4 in force: @4 read back, route @5 r2 100 % on 3
    0s @5 in force: @5 read back, #2 SUCCEEDED
    0s timer of r1: retire r1, drain r1 1
    0s r1 is idle: r1 drained, stop r1 all
    0s r1 is gone: r1 stopped
    ");
    assert_snapshot!(rig.states(2), @"PENDING QUEUED PROVISIONING PROGRESSING PROMOTING SUCCEEDED");
}

#[test]
fn rolling_by_two_ends_with_what_is_left() {
    let mut rig = serving();
    rig.deploy(&request("v2", rolling_by(2), 3));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v2: #2 requested, #2 queued, #2 started r2 [2+1 at 66.66 %, 3+1 at 100 %], step 0, scale r2 to 2
    0s r2 is up: r2 ready 2, route @2 r1 33.34 % on 1 / r2 66.66 % on 2
    0s @2 in force: @2 read back, drain r1 2
    0s r1 is idle: r1 drained, stop r1 2
    0s r1 is gone: r1 stopped, step 1, scale r2 to 3
    0s r2 is up: r2 ready 3, route @3 r1 0 % on 1 / r2 100 % on 3
    0s @3 in force: @3 read back, route @4 r2 100 % on 3
    0s @4 in force: @4 read back, #2 SUCCEEDED
    0s timer of r1: retire r1, drain r1 1
    0s r1 is idle: r1 drained, stop r1 all
    0s r1 is gone: r1 stopped
    ");
}

#[test]
fn a_canary_takes_its_steps_in_time_and_waits_for_a_person() {
    let mut rig = serving();
    rig.deploy(&request("v2", careful(), 3));
    rig.wait(secs(100));
    assert_eq!(rig.split(), "r1 50 % r2 50 %");
    rig.ask(grit_rollout::slot::Command::Promote { full: false }).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
      0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 5 %, 10s, 1+3 at 20 %, 10s, 2+3 at 50 %, hold, 3+3 at 100 %], step 0, scale r2 to 1
      0s r2 is up: r2 ready 1, route @2 r1 95 % on 3 / r2 5 % on 1
      0s @2 in force: @2 read back, step 1, hold until 10s
     10s timer of hold 1: hold over, step 2, scale r2 to 1
     10s r2 is up: r2 ready 1, route @3 r1 80 % on 3 / r2 20 % on 1
     10s @3 in force: @3 read back, step 3, hold until 20s
     20s timer of hold 3: hold over, step 4, scale r2 to 2
     20s r2 is up: r2 ready 2, route @4 r1 50 % on 3 / r2 50 % on 2
     20s @4 in force: @4 read back, step 5, hold
    100s promote: promoted, step 6, scale r2 to 3
    100s r2 is up: r2 ready 3, route @5 r1 0 % on 3 / r2 100 % on 3
    100s @5 in force: @5 read back, route @6 r2 100 % on 3
    100s @6 in force: @6 read back, #2 SUCCEEDED
    ");
    assert_snapshot!(rig.states(2), @"PENDING QUEUED PROVISIONING PROGRESSING PAUSED PROGRESSING PAUSED PROGRESSING PAUSED PROMOTING SUCCEEDED");
    assert_eq!(rig.split(), "r2 100 %");
}

#[test]
fn checks_run_before_any_traffic() {
    let mut rig = serving();
    let verify = ["./smoke".to_owned(), "./more".to_owned()].to_vec();
    rig.deploy(&Request { verify, ..request("v2", canary(vec![]), 1) });
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 100 %], step 0, scale r2 to 1
    0s r2 is up: r2 ready 1, check 0
    0s check 0 done: check 0 passed, check 1
    0s check 1 done: check 1 passed, route @2 r1 0 % on 3 / r2 100 % on 1
    0s @2 in force: @2 read back, route @3 r2 100 % on 1
    0s @3 in force: @3 read back, #2 SUCCEEDED
    ");
}

#[test]
fn an_analysis_step_passes_with_enough_good_measurements() {
    let mut rig = serving();
    rig.world.routes.serve(&slot(), Revision(2), good());
    let steps = vec![weight(10), Step::Analysis(analysis(Some(2)))];
    rig.deploy(&request("v2", canary(steps), 1));
    rig.wait(secs(60));
    assert_snapshot!(rig.story(), @r"
     0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 10 %, measure, 1+3 at 100 %], step 0, scale r2 to 1
     0s r2 is up: r2 ready 1, route @2 r1 90 % on 3 / r2 10 % on 1
     0s @2 in force: @2 read back, step 1, analysis of step 1
    10s timer of analysis: measure of step 1
    10s stats: of step 1 says Pass
    20s timer of analysis: measure of step 1
    20s stats: of step 1 says Pass, step 2, scale r2 to 1
    20s r2 is up: r2 ready 1, route @3 r1 0 % on 3 / r2 100 % on 1
    20s @3 in force: @3 read back, route @4 r2 100 % on 1
    20s @4 in force: @4 read back, #2 SUCCEEDED
    30s timer of analysis: nothing
    ");
}

#[test]
fn the_analysis_of_a_rollout_measures_from_the_first_weight_to_the_end() {
    let mut rig = serving();
    rig.world.routes.serve(&slot(), Revision(2), good());
    let steps = vec![weight(10), pause(Some(25))];
    rig.deploy(&request("v2", canary_with(steps, Some(analysis(None))), 1));
    rig.wait(secs(60));
    assert_snapshot!(rig.story(), @r"
     0s request v2: #2 requested, #2 queued, #2 started r2 [1+3 at 10 %, 25s, 1+3 at 100 %], step 0, scale r2 to 1
     0s r2 is up: r2 ready 1, route @2 r1 90 % on 3 / r2 10 % on 1
     0s @2 in force: @2 read back, analysis of all, step 1, hold until 25s
    10s timer of analysis: measure of all
    10s stats: of all says Pass
    20s timer of analysis: measure of all
    20s stats: of all says Pass
    25s timer of hold 1: hold over, step 2, scale r2 to 1
    25s r2 is up: r2 ready 1, route @3 r1 0 % on 3 / r2 100 % on 1
    25s @3 in force: @3 read back, route @4 r2 100 % on 1
    25s @4 in force: @4 read back, #2 SUCCEEDED
    30s timer of analysis: nothing
    ");
}

#[test]
fn a_soak_watches_full_weight_before_it_counts() {
    let mut rig = serving();
    let soaked = Strategy::Rolling(Rolling { batch: 3, guard: None, soak: secs(30) });
    rig.deploy(&request("v2", soaked, 3));
    rig.settle();
    assert_eq!(rig.status(2), Status::Soaking);
    rig.wait(secs(30));
    assert_snapshot!(rig.story(), @r"
     0s request v2: #2 requested, #2 queued, #2 started r2 [3+3 at 100 %], step 0, scale r2 to 3
     0s r2 is up: r2 ready 3, route @2 r1 0 % on 3 / r2 100 % on 3
     0s @2 in force: @2 read back, soak until 30s
    30s timer of soak: route @3 r2 100 % on 3
    30s @3 in force: @3 read back, #2 SUCCEEDED
    30s timer of r1: retire r1, drain r1 3
    30s r1 is idle: r1 drained, stop r1 all
    30s r1 is gone: r1 stopped
    ");
}

#[test]
fn the_old_revision_stays_warm_for_a_while() {
    let mut rig = serving();
    rig.deploy(&request("v2", canary(vec![]), 1));
    rig.wait(secs(599));
    assert_eq!(rig.instances(1).len(), 3);
    rig.story();
    rig.wait(secs(1));
    assert_eq!(rig.instances(1).len(), 0);
    assert_snapshot!(rig.story(), @r"
    600s timer of r1: retire r1, drain r1 3
    600s r1 is idle: r1 drained, stop r1 all
    600s r1 is gone: r1 stopped
    ");
}

#[test]
fn a_warm_revision_that_is_rolled_back_to_is_not_retired() {
    let mut rig = serving();
    rig.deploy(&request("v2", canary(vec![]), 1));
    rig.settle();
    rig.ask(super::people::rollback(None)).unwrap();
    rig.wait(secs(2_000));
    assert_eq!((rig.instances(1).len(), rig.instances(2).len()), (3, 0));
    assert_eq!(rig.split(), "r1 100 %");
}

#[test]
fn a_rollback_to_what_is_just_being_retired_waits_until_it_is_gone() {
    let mut rig = serving();
    rig.deploy(&request("v2", rolling(), 3));
    rig.until(Status::Succeeded);
    while !rig.slot.revisions[&Revision(1)].retiring {
        assert!(rig.step().unwrap());
    }
    rig.story();
    rig.ask(super::people::rollback(None)).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s rollback: #3 requested, #3 queued
    0s r1 is idle: r1 drained, stop r1 all
    0s r1 is gone: r1 stopped, #3 started r1 [3+3 at 100 %], step 0, scale r1 to 3
    0s r1 is up: r1 ready 3, route @6 r2 0 % on 3 / r1 100 % on 3
    0s @6 in force: @6 read back, route @7 r1 100 % on 3
    0s @7 in force: @7 read back, #3 SUCCEEDED
    0s timer of r2: retire r2, drain r2 3
    0s r2 is idle: r2 drained, stop r2 all
    0s r2 is gone: r2 stopped
    ");
    assert_eq!((rig.instances(1).len(), rig.split()), (3, "r1 100 %".to_owned()));
}

#[test]
fn no_replicas_are_no_rollout() {
    for strategy in [rolling(), canary(vec![weight(10)])] {
        let mut rig = serving();
        rig.deploy(&request("v2", strategy, 0));
        rig.settle();
        assert!(rig.status(2).is_final() && rig.status(2) != Status::Succeeded);
        assert_eq!(rig.split(), "r1 100 %");
    }
}

#[test]
fn fewer_and_more_replicas_than_before() {
    for (replicas, strategy) in [(1, rolling()), (5, rolling()), (1, careful()), (5, careful())] {
        let mut rig = serving();
        rig.deploy(&request("v2", strategy, replicas));
        rig.wait(secs(30));
        rig.ask(grit_rollout::slot::Command::Promote { full: false }).ok();
        rig.wait(secs(2_000));
        assert_eq!(rig.status(2), Status::Succeeded);
        assert_eq!((rig.instances(1).len(), rig.instances(2).len()), (0, replicas as usize));
    }
}
