//! Versions that go wrong, on real processes under real traffic: what served before goes on.

use rustix::process::Signal;

use crate::env::{Env, wait_for};
use crate::living::Living;

const ROLLING: &str = "{ rolling: { batch: 2, soak: 500ms } }";
const CANARY: &str = "{ canary: { steps: [{ setWeight: 20 }, { pause: {} }], soak: 500ms } }";

#[track_caller]
fn all_from(answers: &[String], name: &str) {
    let wanted = format!("200 {name} ");
    let others: Vec<_> = answers.iter().filter(|answer| !answer.starts_with(&wanted)).collect();
    assert!(others.is_empty(), "{} of {}: {others:?}", others.len(), answers.len());
}

#[test]
fn what_served_before_goes_on_whatever_the_new_version_does() {
    let env = Env::new();
    let living = Living::start(&env);
    living.push("v1", "[./svc, good]", ROLLING);
    living.ended("v1", &["SUCCEEDED"]);
    let old = living.pids("good");
    assert_eq!(old.len(), 2);
    let load = living.load();

    living.push("v2", "[./svc, sick]", ROLLING);
    let failed = living.ended("v2", &["FAILED"]);
    assert!(failed["reason"].as_str().unwrap().contains("health"), "{failed:#}");
    all_from(&load.answers(), "good");
    wait_for("end of what was never healthy", || match living.pids("sick")[..] {
        [] => Ok(()),
        ref some => Err(format!("{some:?}")),
    });

    living.push("v3", "[./svc, dying]", CANARY);
    let back = living.ended("v3", &["ROLLED_BACK"]);
    let answers = load.answers();
    assert!(answers.iter().any(|answer| answer.starts_with("200 dying")), "it never served");
    let lost = answers.iter().filter(|answer| !answer.starts_with("200 ")).count();
    // Whoever the dying instance was just answering sees that; nobody else does.
    assert!(lost <= 2, "{lost} of {}: {back:#}", answers.len());
    all_from(&load.answers(), "good");
    assert_eq!(living.pids("good"), old, "what served before was touched");

    living.push("v4", r#"[sh, -c, "trap '' TERM; exec ./svc stubborn"]"#, ROLLING);
    living.ended("v4", &["SUCCEEDED"]);
    let answers = load.answers();
    assert!(answers.iter().all(|answer| answer.starts_with("200 ")), "{answers:?}");
    all_from(&load.answers(), "stubborn");

    living.push("v5", "[./svc, last]", ROLLING);
    living.ended("v5", &["SUCCEEDED"]);
    let answers = load.answers();
    assert!(answers.iter().all(|answer| answer.starts_with("200 ")), "{answers:?}");
    wait_for("end of what ignores SIGTERM", || match living.pids("stubborn")[..] {
        [] => Ok(()),
        ref some => Err(format!("{some:?}")),
    });
    all_from(&load.answers(), "last");
    drop(load);
    living.up.end(Signal::INT).expect_code(0);
    assert_eq!(env.processes(), []);
}
