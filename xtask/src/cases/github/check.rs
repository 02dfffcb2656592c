use std::collections::BTreeMap;

use serde_json::Value;

use super::world::Seen;

/// Which of the keys of `expect` do not hold. `ordinal`: of a case that is run several times.
pub fn problems(expect: &Value, seen: &Seen, ordinal: Option<u64>) -> Vec<String> {
    let mut problems = Vec::new();
    let keys = expect.as_object().into_iter().flatten();
    for (key, wanted) in keys {
        let (key, of) = match key.split_once("_run") {
            Some((key, number)) if !number.is_empty() => (key, number.parse().ok()),
            _ => (key.as_str(), None),
        };
        if of.is_none() || of == ordinal {
            problems.extend(problem(key, wanted, seen));
        }
    }
    if !problems.is_empty() {
        problems.push(format!("exit {}; stderr: {}", seen.exit, tail(&seen.stderr)));
    }
    problems
}

fn problem(key: &str, wanted: &Value, seen: &Seen) -> Option<String> {
    let lines = || seen.logs.iter().flat_map(|log| log.lines());
    let texts = || wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
    match key {
        "runs" => None,
        "conclusion" => {
            let status = seen.runs.first().map(|run| &run["status"]);
            (status != Some(wanted)).then(|| format!("conclusion: {wanted}, seen {status:?}"))
        }
        "jobs" => jobs(wanted, seen),
        "matrix_results" => matrix(wanted, seen),
        "job_count" => {
            let count = ran(seen).count() as u64;
            (wanted.as_u64() != Some(count)).then(|| format!("{wanted} jobs, seen {count}"))
        }
        "job_names" => {
            let names: Vec<&str> = ran(seen).filter_map(|job| job["name"].as_str()).collect();
            let missing = texts().find(|name| !names.contains(name))?;
            Some(format!("a job `{missing}`, seen {names:?}"))
        }
        "lines" => {
            let missing = texts().find(|text| !lines().any(|line| line == *text))?;
            Some(format!("the line `{missing}`, seen {:?}", lines().collect::<Vec<_>>()))
        }
        "absent_lines" => {
            let there = texts().find(|text| lines().any(|line| line == *text))?;
            Some(format!("no line `{there}`, and it is there"))
        }
        "lines_in_order" => {
            let mut rest = lines();
            let missing = texts().find(|text| !rest.any(|line| line == *text))?;
            Some(format!("the line `{missing}` in order, seen {:?}", lines().collect::<Vec<_>>()))
        }
        "not_in_output" | "not_in_log" => {
            let there = texts().find(|text| seen.logs.iter().any(|log| log.contains(text)))?;
            Some(format!("nowhere `{there}`, and it is there"))
        }
        "rejected" => {
            let refused = seen.exit == 2 && seen.runs.is_empty();
            (wanted.as_bool() != Some(refused)).then(|| "to be refused, and it was not".to_owned())
        }
        "triggered" => {
            let triggered = ran(seen).count() > 0;
            let bad = wanted.as_bool() != Some(triggered) || !matches!(seen.exit, 0 | 1);
            bad.then(|| format!("triggered: {wanted}, seen {triggered}"))
        }
        other => Some(format!("nothing looks at `{other}`")),
    }
}

fn all(seen: &Seen) -> impl Iterator<Item = &Value> {
    seen.runs.iter().flat_map(|run| run["jobs"].as_array().into_iter().flatten())
}

/// The jobs that were not skipped.
fn ran(seen: &Seen) -> impl Iterator<Item = &Value> {
    all(seen).filter(|job| job["ending"] != "skipped")
}

/// What each job of the file came to, all its combinations together.
fn jobs(wanted: &Value, seen: &Seen) -> Option<String> {
    let mut endings = BTreeMap::<&str, &str>::new();
    for job in all(seen) {
        let (key, ending) = (job["key"].as_str()?, job["ending"].as_str().unwrap_or("none"));
        let so_far = endings.entry(key).or_insert(ending);
        if *so_far == "success" {
            *so_far = ending;
        }
    }
    let mut wrong = wanted
        .as_object()?
        .iter()
        .filter(|(key, ending)| endings.get(key.as_str()).copied() != ending.as_str());
    wrong.next().map(|(key, ending)| format!("job `{key}`: {ending}, seen {endings:?}"))
}

/// What the combination came to whose name has the value.
fn matrix(wanted: &Value, seen: &Seen) -> Option<String> {
    wanted.as_object()?.iter().find_map(|(value, ending)| {
        let named = format!("({value})");
        let job = all(seen).find(|job| job["name"].as_str().is_some_and(|n| n.ends_with(&named)));
        let seen = job.map(|job| &job["ending"]);
        (seen != Some(ending)).then(|| format!("combination {value}: {ending}, seen {seen:?}"))
    })
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join(" | ")
}
