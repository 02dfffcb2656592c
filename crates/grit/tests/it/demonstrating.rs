//! The demo is what a visitor sees first.

use crate::env::Env;

#[test]
fn the_demo_sees_everything_that_it_should() {
    let env = Env::new();
    let summary = env.data(&env.path("home"), &["demo", "--json"]);
    assert_eq!(summary["missing"], serde_json::json!([]), "{summary:#}");
    assert_eq!(summary["lostBeforeTheBadRelease"], 0);
    assert_eq!((&summary["good"], &summary["bad"]), (&"SUCCEEDED".into(), &"ROLLED_BACK".into()));
    assert!(!summary["sequence"].as_array().unwrap().is_empty(), "{summary:#}");
    assert_eq!(env.processes(), []);
    assert_eq!(env.left_over(), [""; 0]);
}
