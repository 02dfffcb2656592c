//! What a measurement says: Argo Rollouts' three answers.

use std::time::Duration;

use grit_types::Weight;

use crate::slot::{Reading, Verdict};
use crate::{Analysis, Metric, RevisionStats};

/// Judges what a revision served in one interval. `None`: nothing could be measured.
///
/// The worst reading decides. Too few requests are no evidence, and no evidence is not success.
pub fn judge(analysis: &Analysis, stats: Option<&RevisionStats>) -> (Verdict, Vec<Reading>) {
    let enough = stats.filter(|stats| stats.requests >= analysis.min_requests.max(1));
    let readings: Vec<Reading> =
        analysis.metrics.iter().map(|metric| read(metric, enough)).collect();
    let worst = readings.iter().map(|reading| reading.verdict).max();
    (worst.unwrap_or(Verdict::Inconclusive), readings)
}

fn read(metric: &Metric, stats: Option<&RevisionStats>) -> Reading {
    match metric {
        Metric::SuccessRate { min } => {
            let rate = stats.map(success_rate);
            let verdict = verdict(rate.map(|rate| rate >= *min));
            let value = rate.map_or_else(no_data, |rate| rate.to_string());
            Reading {
                metric: "success-rate".into(),
                value,
                bound: format!("at least {min}"),
                verdict,
            }
        }
        Metric::Latency { percentile, max } => {
            let latency = stats.map(|stats| at_percentile(stats, *percentile));
            let verdict = verdict(latency.map(|latency| latency <= *max));
            let value =
                latency.map_or_else(no_data, |latency| format!("{} ms", latency.as_millis()));
            let bound = format!("at most {} ms", max.as_millis());
            Reading { metric: format!("latency-p{percentile}"), value, bound, verdict }
        }
    }
}

fn verdict(holds: Option<bool>) -> Verdict {
    match holds {
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
        None => Verdict::Inconclusive,
    }
}

fn no_data() -> String {
    "no data".to_owned()
}

/// Rounded down, so that one failure in a million is not 100 %.
fn success_rate(stats: &RevisionStats) -> Weight {
    let good = stats.requests.saturating_sub(stats.failed());
    let points = u128::from(good) * u128::from(Weight::FULL.basis_points());
    let points = points.checked_div(u128::from(stats.requests)).unwrap_or(0);
    u16::try_from(points).ok().and_then(Weight::from_basis_points).unwrap_or(Weight::FULL)
}

fn at_percentile(stats: &RevisionStats, percentile: u8) -> Duration {
    match percentile {
        0..=50 => stats.p50,
        51..=95 => stats.p95,
        _ => stats.p99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysis() -> Analysis {
        Analysis {
            metrics: vec![
                Metric::SuccessRate { min: Weight::from_percent(99).unwrap() },
                Metric::Latency { percentile: 99, max: Duration::from_millis(500) },
            ],
            interval: Duration::from_secs(1),
            count: None,
            failure_limit: 1,
            inconclusive_limit: 3,
            min_requests: 10,
        }
    }

    fn served(requests: u64, errors: u64, p99: u64) -> RevisionStats {
        let p99 = Duration::from_millis(p99);
        RevisionStats { requests, errors, p99, ..RevisionStats::default() }
    }

    #[test]
    fn no_data_is_not_success() {
        let verdict = |stats: Option<RevisionStats>| judge(&analysis(), stats.as_ref()).0;
        assert_eq!(verdict(None), Verdict::Inconclusive);
        assert_eq!(verdict(Some(served(9, 0, 1))), Verdict::Inconclusive);
        assert_eq!(verdict(Some(served(10, 0, 1))), Verdict::Pass);
    }

    #[test]
    fn the_worst_reading_decides() {
        let verdict = |errors, p99| judge(&analysis(), Some(&served(1_000, errors, p99))).0;
        assert_eq!(verdict(10, 500), Verdict::Pass);
        assert_eq!(verdict(11, 500), Verdict::Fail);
        assert_eq!(verdict(0, 501), Verdict::Fail);
        let timeouts = RevisionStats { timeouts: 20, ..served(1_000, 0, 1) };
        assert_eq!(judge(&analysis(), Some(&timeouts)).0, Verdict::Fail);
    }

    #[test]
    fn an_analysis_without_metrics_never_passes() {
        let empty = Analysis { metrics: vec![], ..analysis() };
        assert_eq!(judge(&empty, Some(&served(1_000, 0, 1))).0, Verdict::Inconclusive);
    }
}
