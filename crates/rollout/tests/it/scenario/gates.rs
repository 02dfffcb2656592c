//! What must hold before a deployment begins.

use insta::assert_snapshot;

use grit_rollout::slot::{Command, GateVerdict, Request, Status};
use grit_rollout::{Approval, Gate};
use grit_types::Role;

use super::serving;
use crate::ground::{person, request, rolling};
use crate::rig::Rig;

fn approval(min: u32) -> Gate {
    let roles = vec![Role::Owner, Role::Admin];
    Gate::Approval(Approval { min, roles, distinct: true })
}

/// Requested by alice, pushed by eve.
fn gated(gates: Vec<Gate>) -> Rig {
    let mut rig = serving();
    rig.deploy(&Request { gates, ..request("v2", rolling(), 1) });
    rig.settle();
    rig.story();
    rig
}

fn approve(rig: &mut Rig, who: &str, role: Role) -> bool {
    let approve = Command::Approve { number: None, roles: vec![role] };
    rig.ask_as(&person(who), approve).is_ok()
}

fn answered(gate: usize, verdict: GateVerdict) -> Command {
    Command::Gate { number: 2, gate, verdict }
}

fn passed() -> GateVerdict {
    GateVerdict::Passed { note: "it holds".to_owned() }
}

#[test]
fn nobody_approves_what_is_their_own_nor_without_the_role() {
    let mut rig = gated(vec![approval(1)]);
    assert!(!approve(&mut rig, "alice", Role::Owner));
    assert!(!approve(&mut rig, "eve", Role::Owner));
    assert!(!approve(&mut rig, "bob", Role::Member));
    assert_eq!(rig.status(2), Status::Gated);
    assert!(approve(&mut rig, "bob", Role::Admin));
    assert_snapshot!(rig.story(), @r"
    0s approve: refused, alice is an author of the change or requested it, and the gate wants somebody else
    0s approve: refused, eve is an author of the change or requested it, and the gate wants somebody else
    0s approve: refused, the gate wants one of Owner, Admin, and bob has none of these roles
    0s approve: approved by bob (Admin), gate 0 passed (approved by bob), #2 queued, #2 started r2 [1+3 at 100 %], step 0, scale r2 to 1
    ");
}

#[test]
fn two_approvals_are_two_people() {
    let mut rig = gated(vec![approval(2)]);
    assert!(approve(&mut rig, "bob", Role::Admin));
    assert!(approve(&mut rig, "bob", Role::Admin));
    assert_eq!(rig.status(2), Status::Gated);
    assert!(approve(&mut rig, "carol", Role::Owner));
    rig.settle();
    assert_eq!(rig.status(2), Status::Succeeded);
    assert_snapshot!(rig.states(2), @"GATED QUEUED PROVISIONING PROMOTING SUCCEEDED");
}

#[test]
fn a_person_who_says_no_ends_it() {
    let mut rig = gated(vec![approval(1)]);
    let reject = Command::Reject { number: Some(2), reason: "not today".to_owned() };
    rig.ask_as(&person("bob"), reject).unwrap();
    assert_snapshot!(rig.story(), @"  0s reject: gate 0 rejected (bob: not today), #2 FAILED");
}

#[test]
fn checks_that_failed_end_it_and_move_nothing() {
    let mut rig = gated(vec![Gate::Checks(vec!["test".to_owned()]), approval(1)]);
    let reason = "test failed".to_owned();
    rig.ask(answered(0, GateVerdict::Rejected { reason })).unwrap();
    rig.settle();
    assert_snapshot!(rig.story(), @"  0s gate 0 answered: gate 0 rejected (test failed), #2 FAILED");
    assert!(!approve(&mut rig, "bob", Role::Admin), "it is over");
}

#[test]
fn every_gate_must_open_in_any_order() {
    let mut rig = gated(vec![Gate::Checks(vec!["test".to_owned()]), approval(1)]);
    assert!(approve(&mut rig, "bob", Role::Admin));
    assert_eq!(rig.status(2), Status::Gated);
    rig.ask(answered(0, passed())).unwrap();
    rig.ask(answered(0, passed())).unwrap();
    assert_snapshot!(rig.story(), @r"
    0s approve: approved by bob (Admin), gate 1 passed (approved by bob)
    0s gate 0 answered: gate 0 passed (it holds), #2 queued, #2 started r2 [1+3 at 100 %], step 0, scale r2 to 1
    0s gate 0 answered: nothing
    ");
}

#[test]
fn one_that_waits_gives_way_to_a_newer_that_may_begin() {
    let mut rig = gated(vec![approval(1)]);
    rig.deploy(&request("v3", rolling(), 1));
    rig.settle();
    assert_eq!((rig.status(2), rig.status(3)), (Status::Superseded, Status::Succeeded));
}

#[test]
fn aborted_at_its_gate_it_is_cancelled() {
    let mut rig = gated(vec![approval(1)]);
    rig.ask(Command::Abort { reason: String::new() }).unwrap();
    assert_snapshot!(rig.story(), @"  0s abort: #2 CANCELLED");
}

#[test]
fn a_push_that_changes_nothing_is_refused_and_a_person_may_repeat_it() {
    use grit_rollout::slot::Trigger;
    use grit_types::DeploymentId;
    let mut rig = serving();
    let id = DeploymentId::derived(rig.now, b"again");
    let again = |trigger| Command::Request(Box::new(Request { id, trigger, ..super::v1() }));
    rig.ask(again(Trigger::Push)).unwrap_err();
    rig.ask(again(Trigger::Manual)).unwrap();
    rig.settle();
    assert_eq!((rig.status(2), rig.split()), (Status::Succeeded, "r2 100 %".to_owned()));
}
