use serde::{Deserialize, Serialize};

use super::Keys;

const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 24.0 * HOUR_S;
const WEEK_S: f64 = 7.0 * DAY_S;
const MONTH_S: f64 = 30.0 * DAY_S;

/// Where a key stands among the teams of DORA's report of 2023, in the thresholds of Apache
/// DevLake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Low,
    Medium,
    High,
    Elite,
}

impl Level {
    /// All levels, best first.
    pub const ALL: [Self; 4] = [Self::Elite, Self::High, Self::Medium, Self::Low];

    /// Of successful deployments per day: from one a day, a week, a month on.
    pub fn of_frequency(per_day: f64) -> Self {
        Self::first(|at| per_day >= [1.0, 1.0 / 7.0, 1.0 / 30.0][at])
    }

    /// Of seconds from commit to production: below a day, a week, a month.
    pub fn of_lead_time(seconds: f64) -> Self {
        Self::first(|at| seconds < [DAY_S, WEEK_S, MONTH_S][at])
    }

    /// Of the share (0 to 1) of deployments that failed: up to 5, 10, 15 %.
    pub fn of_failure_rate(share: f64) -> Self {
        Self::first(|at| share <= [0.05, 0.10, 0.15][at])
    }

    /// Of seconds from a deployment that failed to recovery: below an hour, a day, a week.
    pub fn of_recovery(seconds: f64) -> Self {
        Self::first(|at| seconds < [HOUR_S, DAY_S, WEEK_S][at])
    }

    fn first(reaches: impl Fn(usize) -> bool) -> Self {
        (0..3).find(|at| reaches(*at)).map_or(Self::Low, |at| Self::ALL[at])
    }

    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Elite => "elite",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The level of each key; none where there was nothing to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    pub deployment_frequency: Option<Level>,
    pub lead_time: Option<Level>,
    pub change_failure_rate: Option<Level>,
    pub recovery: Option<Level>,
}

impl Levels {
    pub(super) fn of(keys: &Keys) -> Self {
        let measured = keys.deployment_total > 0;
        Self {
            deployment_frequency: measured.then(|| Level::of_frequency(keys.deployments_per_day)),
            lead_time: keys.lead_time_median_s.map(Level::of_lead_time),
            change_failure_rate: keys.change_failure_rate.map(Level::of_failure_rate),
            recovery: keys.failed_deployment_recovery_median_s.map(Level::of_recovery),
        }
    }
}

/// Whether a team does what a demanding one asks of itself; none where there was nothing to
/// measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// At least one success per day, on average.
    pub deployed_daily: bool,
    /// From commit to production in less than an hour (median).
    pub lead_time_below_1h: Option<bool>,
    /// From the start to the end of an incident in less than 15 minutes (mean).
    pub mttr_below_15m: Option<bool>,
    /// Fewer than 5 % of deployments fail.
    pub failure_rate_below_5_percent: Option<bool>,
}

impl Targets {
    pub(super) fn of(keys: &Keys) -> Self {
        Self {
            deployed_daily: keys.deployments_per_day >= 1.0,
            lead_time_below_1h: keys.lead_time_median_s.map(|seconds| seconds < HOUR_S),
            mttr_below_15m: keys.mttr_mean_s.map(|seconds| seconds < HOUR_S / 4.0),
            failure_rate_below_5_percent: keys.change_failure_rate.map(|share| share < 0.05),
        }
    }
}
