//! The demo is what a visitor sees first.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::env::Env;

/// Two demos at a time would take each other's processor.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn the_demo_sees_everything_that_it_should_and_all_runs_have_one_sequence() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let env = Env::new();
    let summary = env.data(&env.path("home"), &["demo", "--json"]);
    assert_eq!(summary["missing"], serde_json::json!([]), "{summary:#}");
    assert_eq!(summary["lostBeforeTheBadRelease"], 0);
    let (good, bad) = (&summary["good"], &summary["bad"]);
    assert_eq!((good, &bad["status"]), (&"SUCCEEDED".into(), &"ROLLED_BACK".into()));
    let lines = summary["sequence"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    development/api v1.0.0: PENDING QUEUED PROVISIONING PROMOTING SOAKING SUCCEEDED; 100 %
    development/api v1.1.0: PENDING QUEUED PROVISIONING PROGRESSING PROMOTING SOAKING SUCCEEDED; 50 %, 100 %
    development/api v1.2.0: PENDING QUEUED PROVISIONING PROGRESSING PROMOTING SOAKING SUCCEEDED; 50 %, 100 %
    development/web v1.0.0: GATED QUEUED PROVISIONING PROMOTING SOAKING SUCCEEDED; 100 %
    production/api v1.0.0: GATED QUEUED PROVISIONING PROMOTING SOAKING SUCCEEDED; 100 %
    production/api v1.1.0: GATED QUEUED PROVISIONING PROGRESSING PAUSED PROGRESSING PAUSED PROGRESSING PAUSED PROMOTING SOAKING SUCCEEDED; 5 %, 20 %, 50 %, 100 %
    production/api v1.2.0: GATED QUEUED PROVISIONING PROGRESSING PAUSED PROGRESSING PAUSED ROLLING_BACK ROLLED_BACK; 5 %, 20 %, 0 %
    production/web v1.0.0: GATED QUEUED PROVISIONING PROMOTING SOAKING SUCCEEDED; 100 %
    staging/api v1.0.0: GATED QUEUED PROVISIONING VERIFYING PROMOTING SOAKING SUCCEEDED; 100 %
    staging/api v1.1.0: GATED QUEUED PROVISIONING VERIFYING PROGRESSING PROMOTING SOAKING SUCCEEDED; 50 %, 100 %
    staging/api v1.2.0: GATED QUEUED PROVISIONING VERIFYING PROGRESSING PROMOTING SOAKING SUCCEEDED; 50 %, 100 %
    staging/web v1.0.0: GATED QUEUED PROVISIONING VERIFYING PROMOTING SOAKING SUCCEEDED; 100 %
    ");
    assert_eq!(env.processes(), []);
    assert_eq!(env.left_over(), [""; 0]);
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let env = Env::new();
    let out = env.grit(&env.path("home"), &["demo"]).expect_code(0);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let block = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(masked(block), masked(&format!("{}{}", out.stderr, out.stdout)));
    assert_eq!(env.left_over(), [""; 0]);
}

/// The lines without what differs from run to run: numbers, ids, which request it was, and which of
/// two environments' deployments ended first.
fn masked(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before = "";
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words: Vec<String> = Vec::new();
        for word in line.split_whitespace() {
            let of_request = words.last().is_some_and(|last| last == "REQUEST");
            match word {
                "GET" | "POST" => words.push("REQUEST".to_owned()),
                _ if of_request && word.starts_with('/') => {}
                _ if before.ends_with("grit issue list") && words.is_empty() => {
                    words.push("ID".to_owned());
                }
                _ => words.push(without_digits(word)),
            }
        }
        before = line;
        lines.push(words.join(" "));
    }
    let of_history = |line: &String| {
        line.starts_with("N production v")
            || line.starts_with("N staging v")
            || line.starts_with("N development v")
    };
    if let Some(first) = lines.iter().position(of_history) {
        let rest = lines[first..].iter().take_while(|line| of_history(line)).count();
        lines[first..first + rest].sort();
    }
    lines
}

fn without_digits(word: &str) -> String {
    let mut masked = String::new();
    for char in word.chars() {
        match char {
            _ if char.is_ascii_digit() && masked.ends_with('N') => {}
            _ if char.is_ascii_digit() => masked.push('N'),
            _ => masked.push(char),
        }
    }
    masked
}
