use std::time::Duration;

use grit_types::format_duration;
use serde::{Deserialize, Serialize};

use super::{Level, Levels, Targets};

/// What a window came to. Seconds and shares (0 to 1) are exact, not rounded; a key is none where
/// there was nothing to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    pub deployment_total: usize,
    /// Those that succeeded.
    pub deployment_completed: usize,
    /// Those that failed or were rolled back.
    pub deployment_failed: usize,
    /// Successes, divided by the window's days.
    pub deployments_per_day: f64,
    /// Dates, in UTC, with a success.
    pub deploy_days: usize,
    /// Commits that reached production for the first time.
    pub lead_time_samples: usize,
    pub lead_time_median_s: Option<f64>,
    pub lead_time_p95_s: Option<f64>,
    /// Deployments that failed, were rolled back or led to an incident, of all.
    pub change_failure_rate: Option<f64>,
    /// From the deployment that caused an incident to the incident's end.
    pub failed_deployment_recovery_median_s: Option<f64>,
    /// From an incident's start to its end.
    pub mttr_mean_s: Option<f64>,
    /// Deployments that nobody had planned, of all.
    pub rework_rate: Option<f64>,
    pub levels: Levels,
    pub targets: Targets,
}

/// A key, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `lead time for changes`.
    pub name: &'static str,
    /// `1.3 per day`, `7h21m`, `8.3 % (1 of 12)`; `nothing to measure`.
    pub value: String,
    pub level: Option<Level>,
}

impl Keys {
    /// The four keys, in DORA's order.
    pub fn rows(&self) -> [Row; 4] {
        let row = |name, value: Option<String>, level| {
            let value = value.unwrap_or_else(|| "nothing to measure".to_owned());
            Row { name, value, level }
        };
        let frequency = (self.deployment_total > 0).then(|| frequency(self.deployments_per_day));
        let Levels { deployment_frequency, lead_time, change_failure_rate, recovery } = self.levels;
        [
            row("deployment frequency", frequency, deployment_frequency),
            row("lead time for changes", self.lead_time_median_s.map(duration), lead_time),
            row("change failure rate", self.failure_rate(), change_failure_rate),
            row(
                "failed deployment recovery",
                self.failed_deployment_recovery_median_s.map(duration),
                recovery,
            ),
        ]
    }

    fn failure_rate(&self) -> Option<String> {
        let share = self.change_failure_rate?;
        let failed = share * self.deployment_total as f64;
        Some(format!("{:.1} % ({failed:.0} of {})", share * 100.0, self.deployment_total))
    }
}

/// In the largest unit of time that holds at least one, up to a month.
fn frequency(per_day: f64) -> String {
    let units = [("day", 1.0), ("week", 7.0), ("month", 30.0)];
    let (unit, days) =
        units.into_iter().find(|(_, days)| per_day * days >= 1.0).unwrap_or(units[2]);
    format!("{:.1} per {unit}", per_day * days)
}

/// As exact as it is worth reading: `850ms`, `12s`, `7h21m`, `3d4h`.
fn duration(seconds: f64) -> String {
    let unit_s = match seconds {
        s if s < 1.0 => 0.001,
        s if s < 3_600.0 => 1.0,
        s if s < 86_400.0 => 60.0,
        _ => 3_600.0,
    };
    let millis = (seconds.max(0.0) / unit_s).round() * unit_s * 1_000.0;
    format_duration(Duration::from_millis(millis.round() as u64))
}
