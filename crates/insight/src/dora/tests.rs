use proptest::prelude::*;

use super::compute::percentile;
use super::*;

const HOUR: i64 = 3_600_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to)).unwrap()
}

fn week() -> Window {
    window(0, 7 * DAY_MILLIS)
}

fn deployment(id: &str, outcome: Outcome, finished: i64, commits: &[&str]) -> Deployment {
    Deployment {
        id: id.into(),
        service: "api".parse().unwrap(),
        environment: "production".parse().unwrap(),
        outcome,
        finished_at: at(finished),
        commits: commits.iter().map(|sha| (*sha).into()).collect(),
        unplanned: false,
    }
}

fn commit(sha: &str, millis: i64) -> Commit {
    Commit { sha: sha.into(), at: at(millis) }
}

fn incident(id: &str, opened: i64, resolved: Option<i64>) -> Incident {
    Incident {
        id: id.into(),
        service: Some("api".parse().unwrap()),
        deployment: None,
        opened_at: at(opened),
        resolved_at: resolved.map(at),
    }
}

#[test]
fn a_commit_counts_once_where_it_first_arrived() {
    let input = Input {
        commits: vec![commit("a", 0)],
        deployments: vec![
            deployment("2", Outcome::Succeeded, 3 * HOUR, &["a"]),
            deployment("1", Outcome::Failed, HOUR, &["a"]),
            deployment("3", Outcome::Succeeded, 9 * HOUR, &["a"]),
        ],
        incidents: vec![],
    };
    let seen = keys(&input, week());
    assert_eq!((seen.lead_time_samples, seen.lead_time_median_s), (1, Some(3.0 * 3_600.0)));
    let later = keys(&input, window(4 * HOUR, DAY_MILLIS));
    assert_eq!((later.deployment_total, later.lead_time_samples), (1, 0));
}

#[test]
fn an_incident_belongs_to_the_last_success_before_it() {
    let mut input = Input {
        commits: vec![],
        deployments: vec![
            deployment("1", Outcome::Succeeded, HOUR, &[]),
            deployment("2", Outcome::Failed, 2 * HOUR, &[]),
            deployment("3", Outcome::Succeeded, 3 * HOUR, &[]),
        ],
        incidents: vec![incident("i", 3 * HOUR, Some(4 * HOUR))],
    };
    let seen = keys(&input, week());
    assert_eq!(seen.failed_deployment_recovery_median_s, Some(3.0 * 3_600.0), "since deployment 1");
    assert_eq!(seen.change_failure_rate, Some(2.0 / 3.0));
    input.incidents[0].deployment = Some("3".into());
    assert_eq!(keys(&input, week()).failed_deployment_recovery_median_s, Some(3_600.0));
    input.incidents[0].deployment = Some("unheard of".into());
    let seen = keys(&input, week());
    assert_eq!(seen.failed_deployment_recovery_median_s, None);
    assert_eq!(seen.mttr_mean_s, Some(3_600.0), "it still hurt");
}

#[test]
fn levels_change_at_their_thresholds() {
    use Level::{Elite, High, Low, Medium};
    assert_eq!(
        [1.0, 0.99, 1.0 / 7.0, 0.1, 0.01].map(Level::of_frequency),
        [Elite, High, High, Medium, Low]
    );
    assert_eq!(
        [0.0, 86_400.0, 604_800.0, 2_592_000.0].map(Level::of_lead_time),
        [Elite, High, Medium, Low]
    );
    assert_eq!([0.05, 0.0501, 0.15, 0.151].map(Level::of_failure_rate), [Elite, High, Medium, Low]);
    assert_eq!(
        [3_599.0, 3_600.0, 86_400.0, 604_800.0].map(Level::of_recovery),
        [Elite, High, Medium, Low]
    );
}

#[test]
fn people_read_four_rows() {
    let input = Input {
        commits: vec![commit("a", 0)],
        deployments: vec![
            deployment("1", Outcome::Succeeded, 26 * HOUR + 500, &["a"]),
            deployment("2", Outcome::RolledBack, 30 * HOUR, &[]),
        ],
        incidents: vec![],
    };
    let rows = keys(&input, week()).rows();
    let lines = rows.map(|row| {
        let level = row.level.map_or(String::new(), |level| level.to_string());
        format!("{}: {} {level}", row.name, row.value)
    });
    assert_eq!(
        lines,
        [
            "deployment frequency: 1.0 per week high",
            "lead time for changes: 1d2h high",
            "change failure rate: 50.0 % (1 of 2) low",
            "failed deployment recovery: nothing to measure ",
        ]
    );
}

#[test]
fn windows_are_never_empty_and_hold_their_start_only() {
    assert_eq!(Window::new(at(5), at(5)), None);
    let window = Window::last_days(1, at(DAY_MILLIS));
    assert!(window.contains(at(DAY_MILLIS)) && window.contains(at(1)) && !window.contains(at(0)));
    assert!((window.days() - 1.0).abs() < f64::EPSILON);
}

fn any_input() -> impl Strategy<Value = Input> {
    let time = 0..10 * DAY_MILLIS;
    let commits = prop::collection::vec((0..12u8, time.clone()), 0..12);
    let deployments = prop::collection::vec(
        (time.clone(), 0..3u8, 0..2u8, 0..4u8, prop::collection::vec(0..12u8, 0..4), any::<bool>()),
        0..14,
    );
    let incidents =
        prop::collection::vec((time, 0..DAY_MILLIS, 0..3u8, prop::option::of(0..14u8)), 0..6);
    (commits, deployments, incidents).prop_map(|(commits, deployments, incidents)| Input {
        commits: commits.into_iter().map(|(sha, at)| commit(&sha.to_string(), at)).collect(),
        deployments: deployments
            .into_iter()
            .enumerate()
            .map(|(id, (finished, outcome, service, environment, commits, unplanned))| {
                let shas: Vec<String> = commits.iter().map(u8::to_string).collect();
                let shas: Vec<&str> = shas.iter().map(String::as_str).collect();
                let outcome = [Outcome::Succeeded, Outcome::Failed, Outcome::RolledBack]
                    [usize::from(outcome)];
                Deployment {
                    service: ["api", "web"][usize::from(service)].parse().unwrap(),
                    environment: if environment == 0 { "staging" } else { "production" }
                        .parse()
                        .unwrap(),
                    unplanned,
                    ..deployment(&id.to_string(), outcome, finished, &shas)
                }
            })
            .collect(),
        incidents: incidents
            .into_iter()
            .enumerate()
            .map(|(id, (opened, took, kind, cause))| Incident {
                service: (kind > 0).then(|| "api".parse().unwrap()),
                deployment: cause.map(|id| id.to_string().into()),
                ..incident(&id.to_string(), opened, (kind > 1).then_some(opened + took))
            })
            .collect(),
    })
}

fn shuffled<T: Clone + std::fmt::Debug + 'static>(list: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    Just(list).prop_shuffle()
}

fn with_another_order() -> impl Strategy<Value = (Input, Input)> {
    any_input().prop_flat_map(|input| {
        let Input { commits, deployments, incidents } = input.clone();
        let other = (shuffled(commits), shuffled(deployments), shuffled(incidents));
        other.prop_map(move |(commits, deployments, incidents)| {
            (input.clone(), Input { commits, deployments, incidents })
        })
    })
}

/// Sums of floating-point numbers depend on their order in the last digit.
fn rounded(mut keys: Keys) -> Keys {
    keys.mttr_mean_s = keys.mttr_mean_s.map(|seconds| (seconds * 1e3).round() / 1e3);
    keys
}

proptest! {
    #[test]
    fn order_of_input_does_not_matter((one, other) in with_another_order()) {
        prop_assert_eq!(rounded(keys(&one, week())), rounded(keys(&other, week())));
    }

    #[test]
    fn numbers_keep_their_bounds(input in any_input()) {
        let seen = keys(&input, week());
        prop_assert_eq!(seen.deployment_completed + seen.deployment_failed, seen.deployment_total);
        prop_assert!(seen.deploy_days <= seen.deployment_completed.min(7));
        prop_assert!(seen.lead_time_median_s <= seen.lead_time_p95_s);
        for share in [seen.change_failure_rate, seen.rework_rate] {
            prop_assert_eq!(share.is_some(), seen.deployment_total > 0);
            prop_assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
        let failed = seen.deployment_failed as f64 / seen.deployment_total.max(1) as f64;
        prop_assert!(seen.change_failure_rate.is_none_or(|share| share >= failed));
    }

    #[test]
    fn a_window_is_the_sum_of_its_parts(input in any_input(), cut in 1..7 * DAY_MILLIS) {
        let whole = keys(&input, week());
        let parts = [window(0, cut), window(cut, 7 * DAY_MILLIS)].map(|part| keys(&input, part));
        let sum = |of: fn(&Keys) -> usize| parts.iter().map(of).sum::<usize>();
        prop_assert_eq!(sum(|keys| keys.deployment_total), whole.deployment_total);
        prop_assert_eq!(sum(|keys| keys.deployment_failed), whole.deployment_failed);
        prop_assert_eq!(sum(|keys| keys.lead_time_samples), whole.lead_time_samples);
    }

    #[test]
    fn other_environments_change_nothing(input in any_input()) {
        let mut alone = input.clone();
        alone.deployments.retain(|one| one.environment.as_str() == PRODUCTION);
        prop_assert_eq!(keys(&input, week()), keys(&alone, week()));
    }

    #[test]
    fn an_incident_never_makes_it_look_better(input in any_input(), opened in 0..10 * DAY_MILLIS) {
        let mut worse = input.clone();
        worse.incidents.push(incident("another", opened, None));
        let (before, after) = (keys(&input, week()), keys(&worse, week()));
        prop_assert!(after.change_failure_rate >= before.change_failure_rate);
    }

    #[test]
    fn a_percentile_lies_between_samples(
        samples in prop::collection::vec(0.0..1e9f64, 1..40),
        rank in 0.0..=1.0f64,
    ) {
        let (low, high) = (percentile(&samples, 0.0), percentile(&samples, 1.0));
        let value = percentile(&samples, rank);
        prop_assert!(low <= value && value <= high);
        let below = samples.iter().filter(|sample| Some(**sample) <= value).count();
        prop_assert!(below as f64 >= (rank * (samples.len() - 1) as f64).floor());
    }
}
