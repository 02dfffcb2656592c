use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "0123456789012345678901234567890123456789";

fn deployment(number: u64, status: &str, more: Value) -> Value {
    let mut view = json!({
        "id": format!("dep_0000000000000000000000000{number}"),
        "tenantId": "local", "repo": "shop", "service": "api", "environment": "production",
        "number": number, "version": format!("v1.{}.0", number - 1), "commit": COMMIT,
        "artifact": format!("sha256:{}", "0".repeat(64)), "status": status, "strategy": "canary",
        "trigger": "push", "requestedBy": "dana", "authors": [], "gates": [], "step": 4,
        "steps": 7, "doing": "pause 3s", "weight": 0, "revision": number, "from": null,
        "reason": null, "evidence": null, "issue": null, "createdAt": 1, "startedAt": 1,
        "completedAt": null, "changes": [],
    });
    view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    view
}

fn slot(environment: &str, revisions: Value, deployment: Value) -> Value {
    json!({
        "tenantId": "local", "repo": "shop", "service": "api", "environment": environment,
        "host": "", "stable": null, "revisions": revisions, "instances": [],
        "deployment": deployment,
    })
}

fn revision(number: u64, weight: u16, stable: bool, ready: usize) -> Value {
    json!({
        "revision": number, "version": format!("v1.{}.0", number - 1), "commit": COMMIT,
        "artifact": format!("sha256:{}", "0".repeat(64)), "weight": weight, "stable": stable,
        "ready": ready, "succeeded": stable,
    })
}

/// v1.2.0 at 20 %, with its first failures.
fn scene() -> Scene {
    let canary = deployment(3, "PAUSED", json!({ "weight": 2_000 }));
    let revisions = json!([
        revision(1, 0, false, 2),
        revision(2, 8_000, true, 2),
        revision(3, 2_000, false, 1)
    ]);
    let over = |number| deployment(number, "SUCCEEDED", json!({}));
    let slots = json!([
        slot("development", json!([]), over(3)),
        slot("staging", json!([]), over(3)),
        slot("production", revisions, canary.clone()),
    ]);
    let run = json!({
        "id": "run_00000000000000000000000001", "tenantId": "local", "repo": "shop",
        "name": "CI", "number": 3, "commit": COMMIT, "refName": "refs/tags/v1.2.0",
        "actor": "dana", "status": "success", "jobs": [], "startedAt": 1, "completedAt": 2,
    });
    let seen = Seen {
        slots: serde_json::from_value(slots).unwrap(),
        deployments: serde_json::from_value(json!([canary, over(2), over(1)])).unwrap(),
        run: serde_json::from_value(run).unwrap(),
    };
    let tally = |failed, rate, p99| Tally { failed, rate, p99: Some(Duration::from_micros(p99)) };
    let tallies = [
        ("1.0.0", Tally { failed: 0, rate: 0.0, p99: None }),
        ("1.1.0", tally(0, 160.5, 1_240)),
        ("1.2.0", tally(4, 39.5, 23_000)),
    ];
    let tallies = tallies.map(|(version, tally)| (version.to_owned(), tally)).into();
    let act = "5 of 6: v1.2.0, which turns bad".to_owned();
    Scene { act, elapsed: Duration::from_secs(73), seen, away: false, tallies }
}

fn look(width: usize) -> Look {
    Look { width, height: 24, colour: false, unicode: true }
}

fn drawn(scene: &Scene, look: Look) -> String {
    draw(scene, look).join("\n")
}

#[test]
fn a_canary_on_a_terminal_of_80() {
    insta::assert_snapshot!(drawn(&scene(), look(80)));
}

#[test]
fn a_canary_on_a_wide_terminal() {
    insta::assert_snapshot!(drawn(&scene(), look(120)));
}

#[test]
fn a_canary_on_a_narrow_terminal_without_blocks() {
    insta::assert_snapshot!(drawn(&scene(), Look { unicode: false, ..look(50) }));
}

#[test]
fn what_went_back_says_why_and_a_controller_that_is_away_is_told_of() {
    let mut scene = scene();
    let reason = "the guard tripped: 11 of 52 requests failed";
    let over = deployment(3, "ROLLED_BACK", json!({ "reason": reason }));
    scene.seen.deployments[0] = serde_json::from_value(over).unwrap();
    let production = &mut scene.seen.slots[2];
    production.deployment = Some(scene.seen.deployments[0].clone());
    let none = json!([revision(2, 10_000, true, 2)]);
    production.revisions = serde_json::from_value(none).unwrap();
    scene.away = true;
    scene.tallies.insert(String::new(), Tally { failed: 2, rate: 0.5, p99: None });
    insta::assert_snapshot!(drawn(&scene, look(80)));
}

#[test]
fn a_pipeline_tells_what_it_does() {
    let mut scene = scene();
    let job = |name: &str, state: &str, steps: Value| {
        json!({
            "job": null, "key": name, "name": name, "state": state, "ending": null, "attempt": 1,
            "started": 1, "ended": null, "why": null, "notes": [], "steps": steps,
        })
    };
    let step = json!({
        "index": 0, "title": "Build both services", "state": "running", "started": 1,
        "ended": null, "ending": null, "note": "",
    });
    let jobs = json!([job("lint", "waiting", json!([])), job("build", "running", json!([step]))]);
    let run = scene.seen.run.as_mut().unwrap();
    run.jobs = serde_json::from_value(jobs).unwrap();
    run.status = "running".to_owned();
    scene.tallies.clear();
    insta::assert_snapshot!(drawn(&scene, look(80)));
}

#[test]
fn nothing_is_known_at_first() {
    let scene = Scene { act: "1 of 6: making everything".to_owned(), ..Scene::default() };
    insta::assert_snapshot!(drawn(&scene, look(80)));
}

#[test]
fn no_line_is_wider_and_no_table_higher_than_the_terminal() {
    let scene = scene();
    for width in 1..200 {
        for height in 0..12 {
            let lines = draw(&scene, Look { height, ..look(width) });
            assert!(lines.len() <= height.saturating_sub(1), "{width}x{height}");
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let scene = scene();
    let coloured = drawn(&scene, Look { colour: true, ..look(100) });
    let mut plain = coloured;
    for code in ["\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    let plain: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(plain, draw(&scene, look(100)));
}
