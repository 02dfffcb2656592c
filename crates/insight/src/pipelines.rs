//! How long pipelines take and how often they succeed: by workflow, job, step and test.

use std::collections::{BTreeMap, BTreeSet};

use grit_ledger::Event;
use grit_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Kind of the event that sums a run up.
const RUN_SUMMARY: &str = "run.summary";

/// A workflow, a job of one, a step of a job, or a test that a step reported, over several runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub workflow: String,
    pub job: Option<String>,
    pub step: Option<String>,
    #[serde(default)]
    pub test: Option<String>,
    /// Those that succeeded or failed; what was skipped or cancelled is neither.
    pub runs: usize,
    pub failed: usize,
    /// In hundredths of a percent; nothing where there is no run.
    pub success: Option<u32>,
    /// Half of the runs took at most so long, and nearly all.
    pub median_millis: u64,
    pub p95_millis: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    id: String,
    name: String,
    status: String,
    started_at: Timestamp,
    #[serde(default)]
    completed_at: Option<Timestamp>,
    #[serde(default)]
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    key: String,
    state: String,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    title: String,
    state: String,
    started: Timestamp,
    ended: Option<Timestamp>,
}

/// One result of a test, and where it was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun<'a> {
    pub workflow: &'a str,
    pub job: &'a str,
    pub step: &'a str,
    pub test: &'a str,
    pub passed: bool,
    pub millis: u64,
}

/// What one job came to in the runs that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    pub runs: usize,
    pub failed: usize,
    pub median_millis: u64,
}

/// What each of these names came to, from whether it passed and how long it took.
pub fn pasts<'a>(
    results: impl IntoIterator<Item = (&'a str, bool, u64)>,
) -> BTreeMap<&'a str, Past> {
    let mut seen: BTreeMap<&str, Vec<(bool, u64)>> = BTreeMap::new();
    for (name, passed, millis) in results {
        seen.entry(name).or_default().push((passed, millis));
    }
    let past = |results: Vec<(bool, u64)>| {
        let part = part((String::new(), None, None), &results);
        Past { runs: part.runs, failed: part.failed, median_millis: part.median_millis }
    };
    seen.into_iter().map(|(name, results)| (name, past(results))).collect()
}

/// What the results of tests come to, each test by itself.
pub fn of_tests<'a>(results: impl IntoIterator<Item = TestRun<'a>>) -> Vec<Part> {
    let mut seen: BTreeMap<_, Vec<(bool, u64)>> = BTreeMap::new();
    for one in results {
        let key = (one.workflow, one.job, one.step, one.test);
        seen.entry(key).or_default().push((one.passed, one.millis));
    }
    let owned = |text: &str| Some(text.to_owned());
    seen.into_iter()
        .map(|((workflow, job, step, test), results)| Part {
            test: owned(test),
            ..part((workflow.to_owned(), owned(job), owned(step)), &results)
        })
        .collect()
}

type Key = (String, Option<String>, Option<String>);

/// What the runs that are summed up in `events` and ended from `since` on come to, the workflows by
/// name, each before its jobs, and each of those before its steps.
pub fn pipelines(events: &[Event], since: Timestamp) -> Vec<Part> {
    let mut seen: BTreeMap<Key, Vec<(bool, u64)>> = BTreeMap::new();
    let summaries = events.iter().filter(|event| event.kind == RUN_SUMMARY);
    // What another version wrote, and does not read, counts as nothing.
    let runs = summaries.filter_map(|event| Run::deserialize(&event.data).ok());
    let mut counted = BTreeSet::new();
    for run in runs.filter(|run| run.completed_at.is_some_and(|end| end >= since)) {
        // A summary may be recorded more than once.
        if !counted.insert(run.id.clone()) {
            continue;
        }
        let mut note = |key: Key, state: &str, from: Option<Timestamp>, to: Option<Timestamp>| {
            let (Some(from), Some(to)) = (from, to) else { return };
            if matches!(state, "success" | "failure") {
                let millis = u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX);
                seen.entry(key).or_default().push((state == "success", millis));
            }
        };
        let name = &run.name;
        note((name.clone(), None, None), &run.status, Some(run.started_at), run.completed_at);
        for job in &run.jobs {
            note((name.clone(), Some(job.key.clone()), None), &job.state, job.started, job.ended);
            for step in &job.steps {
                let key = (name.clone(), Some(job.key.clone()), Some(step.title.clone()));
                note(key, &step.state, Some(step.started), step.ended);
            }
        }
    }
    seen.into_iter().map(|(key, results)| part(key, &results)).collect()
}

fn part((workflow, job, step): Key, results: &[(bool, u64)]) -> Part {
    let runs = results.len();
    let failed = results.iter().filter(|(passed, _)| !passed).count();
    let mut millis: Vec<u64> = results.iter().map(|(_, millis)| *millis).collect();
    millis.sort_unstable();
    // The nearest rank, which is one that was measured.
    let rank = |percent: usize| (runs * percent).div_ceil(100).max(1) - 1;
    let at = |percent| millis.get(rank(percent)).copied().unwrap_or_default();
    let share = ((runs - failed) * 10_000).checked_div(runs);
    Part {
        workflow,
        job,
        step,
        test: None,
        runs,
        failed,
        success: share.and_then(|share| u32::try_from(share).ok()),
        median_millis: at(50),
        p95_millis: at(95),
    }
}

#[cfg(test)]
mod tests {
    use grit_ledger::Hlc;
    use grit_types::{Actor, Tenant};
    use serde_json::{Value, json};

    use super::*;

    fn event(data: Value) -> Event {
        Event {
            kind: RUN_SUMMARY.to_owned(),
            tenant: Tenant::local(),
            repo: "shop".parse().unwrap(),
            subject: "run".to_owned(),
            actor: Actor::grit("relay"),
            hlc: Hlc::default(),
            cause: None,
            data,
        }
    }

    fn run(status: &str, millis: i64, job: &str) -> Event {
        // Each is another run by its time.
        let at = Timestamp::from_millis;
        event(json!({
            "id": format!("run {millis}"), "name": "CI", "status": status, "startedAt": at(1_000), "completedAt": at(1_000 + millis),
            "jobs": [{"key": "a", "state": job, "started": at(1_000), "ended": at(1_010), "steps": [
                {"title": "Run x", "state": job, "started": at(1_000), "ended": at(1_005)},
            ]}],
        }))
    }

    #[test]
    fn tests_are_counted_where_they_are_reported() {
        let result = |step, test, passed, millis| TestRun {
            workflow: "CI",
            job: "a",
            step,
            test,
            passed,
            millis,
        };
        let parts = of_tests([
            result("unit", "t", true, 10),
            result("unit", "t", false, 30),
            result("unit", "s", true, 5),
            result("slow", "t", true, 90),
        ]);
        let told: Vec<_> = parts
            .iter()
            .map(|it| (it.step.as_deref().unwrap(), it.test.as_deref().unwrap(), it.success))
            .collect();
        assert_eq!(
            told,
            [("slow", "t", Some(10_000)), ("unit", "s", Some(10_000)), ("unit", "t", Some(5_000))]
        );
        assert_eq!((parts[2].runs, parts[2].failed, parts[2].median_millis), (2, 1, 10));
    }

    #[test]
    fn parts_are_counted_and_timed() {
        let mut events: Vec<Event> = (1..=9).map(|n| run("success", n * 10, "success")).collect();
        events.push(run("failure", 1_000, "skipped"));
        events.push(run("failure", 1_000, "skipped"));
        events.push(event(json!({"unreadable": true})));
        events.push(run("cancelled", 5, "failure"));
        let parts = pipelines(&events, Timestamp::from_millis(0));
        let told: Vec<_> = parts
            .iter()
            .map(|it| (it.step.is_some(), it.job.is_some(), it.runs, it.failed))
            .collect();
        assert_eq!(told, [(false, false, 10, 1), (false, true, 10, 1), (true, true, 10, 1)]);
        assert_eq!(
            (parts[0].success, parts[0].median_millis, parts[0].p95_millis),
            (Some(9_000), 50, 1_000)
        );
        assert_eq!(parts[2].median_millis, 5);
        assert_eq!(pipelines(&events, Timestamp::from_millis(9_999)), []);
    }
}
