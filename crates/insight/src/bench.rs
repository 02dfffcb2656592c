//! Results of benchmarks, and what changed since others.
//!
//! Read are hyperfine's and pytest-benchmark's JSON, and Criterion's: the lines that cargo-criterion
//! writes, and `estimates.json`. All times are in seconds.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

const BENCHMARKS_MAX: usize = 100_000;

/// One benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The median, or where there is none, the mean.
    pub seconds: f64,
    /// Standard deviation of the samples, where it is told.
    pub deviation: Option<f64>,
}

/// What became of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub name: String,
    pub before: Option<Measured>,
    pub now: Option<Measured>,
    /// Now over before: 1.1 is a tenth slower.
    pub ratio: Option<f64>,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Faster,
    Same,
    Slower,
    /// Not in the baseline.
    New,
    /// In the baseline and not measured any more, which is no success.
    Gone,
}

/// Reads a report; `name` is for one that does not name its benchmark: the path of `estimates.json`.
///
/// # Errors
/// For people: it is none of the known forms.
pub fn read(name: &str, text: &str) -> Result<BTreeMap<String, Measured>, String> {
    let unknown = || "it is no report of Criterion, pytest-benchmark or hyperfine".to_owned();
    let found = match serde_json::from_str::<Value>(text) {
        Ok(json) if json["results"].is_array() => hyperfine(&json["results"]),
        Ok(json) if json["benchmarks"].is_array() => pytest(&json["benchmarks"]),
        Ok(json) if json["mean"]["point_estimate"].is_number() => {
            BTreeMap::from([(criterion_name(name), criterion(&json).ok_or_else(unknown)?)])
        }
        _ => lines(text),
    };
    match found.len() {
        0 => Err(unknown()),
        many if many > BENCHMARKS_MAX => {
            Err(format!("it has more than {BENCHMARKS_MAX} benchmarks"))
        }
        _ => Ok(found),
    }
}

fn time(value: &Value, unit: f64) -> Option<f64> {
    value.as_f64().map(|time| time * unit).filter(|time| time.is_finite() && *time >= 0.0)
}

fn stats(stats: &Value) -> Option<Measured> {
    let seconds = time(&stats["median"], 1.0).or_else(|| time(&stats["mean"], 1.0))?;
    Some(Measured { seconds, deviation: time(&stats["stddev"], 1.0) })
}

fn hyperfine(results: &Value) -> BTreeMap<String, Measured> {
    let one = |result: &Value| Some((result["command"].as_str()?.to_owned(), stats(result)?));
    results.as_array().into_iter().flatten().filter_map(one).collect()
}

fn pytest(results: &Value) -> BTreeMap<String, Measured> {
    let one = |result: &Value| {
        let name = result["fullname"].as_str().or(result["name"].as_str())?;
        Some((name.to_owned(), stats(&result["stats"])?))
    };
    results.as_array().into_iter().flatten().filter_map(one).collect()
}

/// In nanoseconds.
fn criterion(json: &Value) -> Option<Measured> {
    let estimate = |name: &str| time(&json[name]["point_estimate"], 1e-9);
    let seconds = estimate("median").or_else(|| estimate("mean"))?;
    Some(Measured { seconds, deviation: estimate("std_dev") })
}

/// `target/criterion/group/name/new/estimates.json`: `group/name`.
fn criterion_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let from = parts.iter().rposition(|part| *part == "criterion").map_or(0, |at| at + 1);
    let to = parts.len().saturating_sub(2).max(from);
    parts[from..to].join("/")
}

/// Of cargo-criterion: one message on each line.
fn lines(text: &str) -> BTreeMap<String, Measured> {
    let message = |line: &str| {
        let json: Value = serde_json::from_str(line).ok()?;
        (json["reason"] == "benchmark-complete").then_some(())?;
        let unit = match json["median"]["unit"].as_str()? {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            _ => return None,
        };
        let seconds = time(&json["median"]["estimate"], unit)?;
        let deviation = time(&json["std_dev"]["estimate"], unit);
        Some((json["id"].as_str()?.to_owned(), Measured { seconds, deviation }))
    };
    text.lines().filter_map(message).collect()
}

/// What changed by more than `limit` (0.1: a tenth) and by more than the samples spread.
pub fn compare(
    before: &BTreeMap<String, Measured>,
    now: &BTreeMap<String, Measured>,
    limit: f64,
) -> Vec<Change> {
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let change = |name: &String| {
        let (before, now) = (before.get(name).copied(), now.get(name).copied());
        let (ratio, verdict) = match (before, now) {
            (Some(before), Some(now)) => judged(before, now, limit),
            (None, _) => (None, Verdict::New),
            (Some(_), None) => (None, Verdict::Gone),
        };
        Change { name: name.clone(), before, now, ratio, verdict }
    };
    names.into_iter().map(change).collect()
}

fn judged(before: Measured, now: Measured, limit: f64) -> (Option<f64>, Verdict) {
    if before.seconds <= 0.0 {
        let verdict = if now.seconds <= 0.0 { Verdict::Same } else { Verdict::Slower };
        return (None, verdict);
    }
    let ratio = now.seconds / before.seconds;
    let spread = before.deviation.unwrap_or(0.0).max(now.deviation.unwrap_or(0.0));
    let is_beyond = (now.seconds - before.seconds).abs() > spread;
    let verdict = match is_beyond {
        true if ratio > 1.0 + limit => Verdict::Slower,
        true if ratio < 1.0 / (1.0 + limit) => Verdict::Faster,
        _ => Verdict::Same,
    };
    (Some(ratio), verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_forms_are_read() {
        let hyperfine =
            r#"{"results":[{"command":"sleep 1","mean":1.1,"median":1.0,"stddev":0.01}]}"#;
        assert_eq!(
            read("", hyperfine).unwrap()["sleep 1"],
            Measured { seconds: 1.0, deviation: Some(0.01) }
        );
        let pytest =
            r#"{"benchmarks":[{"fullname":"t.py::test_a","stats":{"median":0.5,"stddev":0.1}}]}"#;
        assert_eq!(read("", pytest).unwrap()["t.py::test_a"].seconds, 0.5);
        let criterion = r#"{"mean":{"point_estimate":2.0},"median":{"point_estimate":1000000000.0},"std_dev":{"point_estimate":1.0}}"#;
        let read_criterion = read("target/criterion/g/n/new/estimates.json", criterion).unwrap();
        assert!((read_criterion["g/n"].seconds - 1.0).abs() < 1e-9);
        let lines = "{\"reason\":\"x\"}\n{\"reason\":\"benchmark-complete\",\"id\":\"g/n\",\"median\":{\"estimate\":2.0,\"unit\":\"ms\"}}\n";
        assert!((read("", lines).unwrap()["g/n"].seconds - 0.002).abs() < 1e-12);
        for text in ["", "{}", "hello", "{\"results\":[]}"] {
            assert!(read("", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_change_is_more_than_the_limit_and_than_the_spread() {
        let of = |seconds: f64, deviation: f64| {
            BTreeMap::from([("a".to_owned(), Measured { seconds, deviation: Some(deviation) })])
        };
        let verdict = |before, now| compare(&before, &now, 0.1)[0].verdict;
        assert_eq!(verdict(of(1.0, 0.0), of(1.05, 0.0)), Verdict::Same);
        assert_eq!(verdict(of(1.0, 0.0), of(1.2, 0.0)), Verdict::Slower);
        assert_eq!(verdict(of(1.0, 0.5), of(1.2, 0.0)), Verdict::Same);
        assert_eq!(verdict(of(1.0, 0.0), of(0.5, 0.0)), Verdict::Faster);
        assert_eq!(verdict(of(1.0, 0.0), BTreeMap::new()), Verdict::Gone);
        assert_eq!(verdict(BTreeMap::new(), of(1.0, 0.0)), Verdict::New);
    }
}
