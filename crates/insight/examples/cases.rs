//! Runs the collected cases of DORA's keys: `cases FOLDER`, where FOLDER holds `cases.json`.
//!
//! Prints each difference with expected and seen, and the line `dora: P passed, F failed, S skipped`.
//! Exit 1 where a case failed, or there was none to run.
#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use std::path::PathBuf;
use std::process::ExitCode;

use grit_insight::dora::{Commit, Deployment, Incident, Input, Keys, Level, Outcome, Window, keys};
use grit_types::{Environment, Service, Timestamp};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        println!("usage: cases FOLDER");
        return ExitCode::from(2);
    };
    match run(PathBuf::from(folder).join("cases.json")) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            println!("dora: NOT RUN: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// How many cases failed.
fn run(path: PathBuf) -> Result<usize, String> {
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let cases: Vec<Value> = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no list of cases: {error}", path.display()))?;
    if cases.is_empty() {
        return Err(format!("{} holds no cases", path.display()));
    }
    let mut failed = 0;
    for case in &cases {
        let problems = check(case);
        failed += usize::from(!problems.is_empty());
        for problem in problems {
            println!("{} ({}): {problem}", text_of(&case["id"]), text_of(&case["name"]));
        }
    }
    println!("dora: {} passed, {failed} failed, 0 skipped", cases.len() - failed);
    Ok(failed)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// What differs from what is expected.
fn check(case: &Value) -> Vec<String> {
    let case = match Case::deserialize(case) {
        Ok(case) => case,
        Err(error) => return vec![format!("cannot be read: {error}")],
    };
    let Some(window) = Window::new(case.window.0.0, case.window.1.0) else {
        return vec!["its window ends before it starts".to_owned()];
    };
    let seen = contract(&keys(&input(case.events), window));
    let mut problems = Vec::new();
    differences("", &case.expect, &seen, &mut problems);
    problems
}

fn differences(place: &str, expected: &Value, seen: &Value, problems: &mut Vec<String>) {
    let (Value::Object(wanted), Value::Object(found)) = (expected, seen) else {
        if expected != seen {
            problems.push(format!("{place}: expected {expected}, seen {seen}"));
        }
        return;
    };
    let missing = found.keys().filter(|name| !wanted.contains_key(*name));
    for name in wanted.keys().chain(missing) {
        let of = |members: &serde_json::Map<String, Value>| {
            members.get(name).cloned().unwrap_or_else(|| json!("(missing)"))
        };
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        differences(&place, &of(wanted), &of(found), problems);
    }
}

/// The keys in the names of the cases, to six decimals.
fn contract(keys: &Keys) -> Value {
    let rounded = |number: f64| (number * 1e6).round() / 1e6;
    let maybe = |number: Option<f64>| number.map(rounded);
    let level = |level: Option<Level>| level.map(Level::as_str);
    json!({
        "deployment_total": keys.deployment_total,
        "deployment_completed": keys.deployment_completed,
        "deployment_failed": keys.deployment_failed,
        "deployments_per_day": rounded(keys.deployments_per_day),
        "deploy_days": keys.deploy_days,
        "lead_time_samples": keys.lead_time_samples,
        "lead_time_median_s": maybe(keys.lead_time_median_s),
        "lead_time_p95_s": maybe(keys.lead_time_p95_s),
        "change_failure_rate": maybe(keys.change_failure_rate),
        "failed_deployment_recovery_median_s": maybe(keys.failed_deployment_recovery_median_s),
        "mttr_mean_s": maybe(keys.mttr_mean_s),
        "rework_rate": maybe(keys.rework_rate),
        "levels_2023": {
            "lead_time": level(keys.levels.lead_time),
            "change_failure_rate": level(keys.levels.change_failure_rate),
            "recovery": level(keys.levels.recovery),
        },
        "seed_002_kpi": {
            "deployment_frequency_daily": keys.targets.deployed_daily,
            "lead_time_lt_1h": keys.targets.lead_time_below_1h,
            "mttr_lt_15m": keys.targets.mttr_below_15m,
            "cfr_lt_5pct": keys.targets.failure_rate_below_5_percent,
        },
    })
}

#[derive(Deserialize)]
struct Case {
    window: (Time, Time),
    events: Vec<Told>,
    expect: Value,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    Commit {
        sha: String,
        at: Time,
    },
    Deployment {
        id: String,
        service: Service,
        environment: Environment,
        status: Status,
        finished_at: Time,
        commits: Vec<String>,
        #[serde(default)]
        unplanned: bool,
    },
    Incident {
        id: String,
        service: Service,
        deployment_id: Option<String>,
        opened_at: Time,
        resolved_at: Option<Time>,
    },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Succeeded,
    Failed,
    RolledBack,
}

struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = Timestamp::parse_rfc3339(&text);
        time.map(Self).ok_or_else(|| D::Error::custom(format!("`{text}` is no time")))
    }
}

fn input(events: Vec<Told>) -> Input {
    let mut input = Input::default();
    for event in events {
        match event {
            Told::Commit { sha, at } => input.commits.push(Commit { sha: sha.into(), at: at.0 }),
            Told::Deployment {
                id,
                service,
                environment,
                status,
                finished_at,
                commits,
                unplanned,
            } => input.deployments.push(Deployment {
                id: id.into(),
                service,
                environment,
                outcome: match status {
                    Status::Succeeded => Outcome::Succeeded,
                    Status::Failed => Outcome::Failed,
                    Status::RolledBack => Outcome::RolledBack,
                },
                finished_at: finished_at.0,
                commits: commits.into_iter().map(Into::into).collect(),
                unplanned,
            }),
            Told::Incident { id, service, deployment_id, opened_at, resolved_at } => {
                input.incidents.push(Incident {
                    id: id.into(),
                    service: Some(service),
                    deployment: deployment_id.map(Into::into),
                    opened_at: opened_at.0,
                    resolved_at: resolved_at.map(|time| time.0),
                });
            }
        }
    }
    input
}
