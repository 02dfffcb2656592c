//! Steered by people.

use insta::assert_snapshot;

use grit_rollout::slot::{Command, Status};
use grit_types::{DeploymentId, Revision};

use super::serving;
use crate::ground::{BEGIN, request, rolling, secs};
use crate::rig::Rig;
use crate::strategies::{canary, careful, pause, weight};

fn id(name: &str) -> DeploymentId {
    DeploymentId::derived(BEGIN, name.as_bytes())
}

pub fn rollback(to: Option<u64>) -> Command {
    Command::Rollback { to: to.map(Revision), id: id("rollback") }
}

/// v2 has 5 %, for 10 s.
fn at_five() -> Rig {
    let mut rig = serving();
    rig.deploy(&request("v2", careful(), 3));
    rig.settle();
    rig.story();
    rig
}

#[test]
fn paused_while_a_timer_runs_out_it_goes_on_when_resumed() {
    let mut rig = at_five();
    rig.wait(secs(5));
    rig.ask(Command::Pause).unwrap();
    rig.wait(secs(30));
    assert_eq!((rig.status(2), rig.split()), (Status::Paused, "r1 95 % r2 5 %".to_owned()));
    rig.ask(Command::Resume).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
     5s pause: paused by alice
    10s timer of hold 1: hold over
    35s resume: resumed, step 2, scale r2 to 1
    35s r2 is up: r2 ready 1, route @3 r1 80 % on 3 / r2 20 % on 1
    35s @3 in force: @3 read back, step 3, hold until 45s
    ");
}

#[test]
fn resumed_before_the_timer_runs_out_it_waits_for_the_timer() {
    let mut rig = at_five();
    rig.ask(Command::Pause).unwrap();
    rig.wait(secs(5));
    rig.ask(Command::Resume).unwrap();
    rig.settle();
    assert_eq!(rig.split(), "r1 95 % r2 5 %");
    rig.wait(secs(5));
    assert_eq!(rig.split(), "r1 80 % r2 20 %");
}

#[test]
fn paused_in_the_middle_of_a_move_it_stops_after_the_move() {
    let mut rig = serving();
    rig.deploy(&request("v2", rolling(), 3));
    rig.until(Status::Progressing);
    rig.ask(Command::Pause).unwrap();
    rig.settle();
    rig.story();
    assert_eq!(rig.status(2), Status::Paused);
    rig.ask(Command::Resume).unwrap();
    rig.settle();
    assert_eq!(rig.status(2), Status::Succeeded);
}

#[test]
fn promoted_it_takes_the_next_step_at_once() {
    let mut rig = at_five();
    rig.ask(Command::Promote { full: false }).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s promote: promoted, step 2, scale r2 to 1
    0s r2 is up: r2 ready 1, route @3 r1 80 % on 3 / r2 20 % on 1
    0s @3 in force: @3 read back, step 3, hold until 10s
    ");
}

#[test]
fn promoted_in_full_it_skips_what_is_left() {
    let mut rig = at_five();
    rig.ask(Command::Promote { full: true }).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s promote full: promoted in full, step 6, scale r2 to 3
    0s r2 is up: r2 ready 3, route @3 r1 0 % on 3 / r2 100 % on 3
    0s @3 in force: @3 read back, route @4 r2 100 % on 3
    0s @4 in force: @4 read back, #2 SUCCEEDED
    ");
}

#[test]
fn promoted_in_full_while_it_moves_it_finishes_the_move() {
    let mut rig = serving();
    rig.deploy(&request("v2", careful(), 3));
    assert!(rig.ask(Command::Promote { full: false }).is_err());
    rig.ask(Command::Promote { full: true }).unwrap();
    rig.settle();
    assert_eq!((rig.status(2), rig.split()), (Status::Succeeded, "r2 100 %".to_owned()));
}

#[test]
fn a_retry_begins_at_the_first_step() {
    let mut rig = at_five();
    rig.ask(Command::Abort { reason: "flaky".to_owned() }).unwrap();
    rig.settle();
    rig.story();
    rig.ask(Command::Retry { id: id("retry") }).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s retry: #3 requested, #3 queued, #3 started r3 [1+3 at 5 %, 10s, 1+3 at 20 %, 10s, 2+3 at 50 %, hold, 3+3 at 100 %], step 0, scale r3 to 1
    0s r3 is up: r3 ready 1, route @4 r1 95 % on 3 / r3 5 % on 1
    0s @4 in force: @4 read back, step 1, hold until 10s
    ");
    assert!(rig.ask(Command::Retry { id: id("again") }).is_err());
}

#[test]
fn what_succeeded_is_not_retried() {
    let mut rig = serving();
    rig.ask(Command::Retry { id: id("retry") }).unwrap_err();
    assert_snapshot!(rig.story(), @"  0s retry: refused, there is nothing to retry: the last deployment is SUCCEEDED");
}

#[test]
fn a_rollback_goes_to_the_revision_before_at_once() {
    let mut rig = serving();
    rig.deploy(&request("v2", canary(vec![]), 3));
    rig.settle();
    rig.story();
    rig.ask(rollback(None)).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s rollback: #3 requested, #3 queued, #3 started r1 [3+3 at 100 %], step 0, scale r1 to 3
    0s r1 is up: r1 ready 3, route @4 r2 0 % on 3 / r1 100 % on 3
    0s @4 in force: @4 read back, route @5 r1 100 % on 3
    0s @5 in force: @5 read back, #3 SUCCEEDED
    0s timer of r2: retire r2, drain r2 3
    0s r2 is idle: r2 drained, stop r2 all
    0s r2 is gone: r2 stopped
    ");
    assert_eq!(rig.split(), "r1 100 %");
}

#[test]
fn a_rollback_goes_to_a_given_revision_that_is_long_gone() {
    let mut rig = serving();
    for version in ["v2", "v3"] {
        rig.deploy(&request(version, rolling(), 3));
        rig.wait(secs(1));
    }
    assert_eq!(rig.instances(1).len(), 0);
    rig.story();
    rig.ask(rollback(Some(1))).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    2s rollback to r1: #4 requested, #4 queued, #4 started r1 [3+3 at 100 %], step 0, scale r1 to 3
    2s r1 is up: r1 ready 3, route @10 r3 0 % on 3 / r1 100 % on 3
    2s @10 in force: @10 read back, route @11 r1 100 % on 3
    2s @11 in force: @11 read back, #4 SUCCEEDED
    2s timer of r3: retire r3, drain r3 3
    2s r3 is idle: r3 drained, stop r3 all
    2s r3 is gone: r3 stopped
    ");
    assert!(rig.ask(Command::Rollback { to: Some(Revision(9)), id: id("9") }).is_err());
    assert!(rig.ask(Command::Rollback { to: Some(Revision(1)), id: id("1") }).is_err());
}

#[test]
fn a_rollback_during_a_rollout_ends_it() {
    let mut rig = at_five();
    rig.ask(rollback(None)).unwrap();
    rig.settle();
    assert_eq!((rig.status(2), rig.split()), (Status::RolledBack, "r1 100 %".to_owned()));
}

#[test]
fn with_nothing_before_there_is_no_rollback() {
    let mut rig = serving();
    rig.ask(rollback(None)).unwrap_err();
    assert_snapshot!(rig.story(), @"  0s rollback: refused, there is no earlier revision to roll back to");
}

#[test]
fn a_rollback_to_what_serves_is_superseded_without_ending_it() {
    let mut rig = at_five();
    rig.ask(rollback(Some(1))).unwrap();
    rig.until(Status::Promoting);
    assert_eq!(rig.slot.active, Some(3));
    rig.story();
    rig.deploy(&request("v4", canary(vec![weight(50), pause(None)]), 1));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v4: #4 requested, #4 queued, back as Superseded { by: 4 }: superseded by deployment 4, #3 SUPERSEDED
    0s @4 in force: @4 read back, #4 started r4 [1+3 at 50 %, hold, 1+3 at 100 %], step 0, scale r4 to 1
    0s r4 is up: r4 ready 1, route @5 r1 50 % on 3 / r4 50 % on 1
    0s @5 in force: @5 read back, step 1, hold
    ");
    assert_eq!((rig.instances(1).len(), rig.split()), (3, "r1 50 % r4 50 %".to_owned()));
}

#[test]
fn a_new_release_supersedes_a_canary_by_rule() {
    let mut rig = at_five();
    rig.deploy(&request("v3", canary(vec![weight(50), pause(None)]), 1));
    rig.settle();
    assert_snapshot!(rig.story(), @r"
    0s request v3: #3 requested, #3 queued, back as Superseded { by: 3 }: superseded by deployment 3, route @3 r1 100 % on 3
    0s @3 in force: @3 read back, drain r2 1
    0s r2 is idle: r2 drained, stop r2 all
    0s r2 is gone: r2 stopped, #2 SUPERSEDED, #3 started r3 [1+3 at 50 %, hold, 1+3 at 100 %], step 0, scale r3 to 1
    0s r3 is up: r3 ready 1, route @4 r1 50 % on 3 / r3 50 % on 1
    0s @4 in force: @4 read back, step 1, hold
    ");
    assert_eq!((rig.status(2), rig.status(3)), (Status::Superseded, Status::Paused));
}

#[test]
fn of_several_that_wait_the_newest_begins() {
    let mut rig = at_five();
    for version in ["v3", "v4", "v5"] {
        rig.deploy(&request(version, rolling(), 1));
    }
    rig.settle();
    let states: Vec<String> = (2..=5).map(|number| rig.states(number)).collect();
    assert_snapshot!(states.join("\n"), @r"
    PENDING QUEUED PROVISIONING PROGRESSING PAUSED ROLLING_BACK SUPERSEDED
    PENDING QUEUED SUPERSEDED
    PENDING QUEUED SUPERSEDED
    PENDING QUEUED PROVISIONING PROMOTING SUCCEEDED
    ");
}

#[test]
fn without_a_rollout_there_is_nothing_to_steer() {
    let mut rig = serving();
    let reason = String::new;
    for command in [
        Command::Promote { full: true },
        Command::Pause,
        Command::Resume,
        Command::Abort { reason: reason() },
        Command::Approve { number: None, roles: vec![] },
        Command::Reject { number: None, reason: reason() },
    ] {
        rig.ask(command).unwrap_err();
    }
    assert_snapshot!(rig.story(), @r"
    0s promote full: refused, no rollout is in progress
    0s pause: refused, no rollout is in progress
    0s resume: refused, no rollout is in progress
    0s abort: refused, no rollout is in progress
    0s approve: refused, nothing waits for an approval
    0s reject: refused, nothing waits for an approval
    ");
}
