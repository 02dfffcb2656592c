use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use grit_types::Digest;
use serde::Deserialize;

use super::{Condition, Report, clipped};
use crate::event::Draft;
use crate::value::Priority;

/// Alerts of one message.
const ALERTS_MAX: usize = 10_000;

/// The body of Alertmanager's webhook, version 4
/// (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Alerts {
    version: String,
    alerts: Vec<Alert>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: Status,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(rename = "generatorURL", default)]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

#[derive(Debug, thiserror::Error)]
pub enum AlertsError {
    /// With line and column.
    #[error("it is not what Alertmanager sends: {0}")]
    Json(#[source] serde_json::Error),
    #[error("its version is `{0}`, and only version 4 is read")]
    Version(String),
    #[error("it has {0} alerts, more than {ALERTS_MAX}")]
    TooMany(usize),
}

/// Reads a message.
pub fn read(text: &str) -> Result<Alerts, AlertsError> {
    let alerts: Alerts = serde_json::from_str(text).map_err(AlertsError::Json)?;
    if alerts.version != "4" {
        return Err(AlertsError::Version(clipped(&alerts.version, 20)));
    }
    match alerts.alerts.len() {
        count if count > ALERTS_MAX => Err(AlertsError::TooMany(count)),
        _ => Ok(alerts),
    }
}

impl Alerts {
    /// One of each alert, in order.
    pub fn reports(&self, labels: &BTreeSet<String>) -> Vec<Report> {
        self.alerts.iter().map(|alert| alert.report(labels)).collect()
    }
}

impl Alert {
    fn report(&self, labels: &BTreeSet<String>) -> Report {
        let (condition, occurrence, note) = match self.status {
            Status::Firing => {
                let since = format!("firing since {}", self.starts_at);
                (Condition::Wrong, since, format!("Firing since {}.", self.starts_at))
            }
            Status::Resolved => {
                let at = format!("resolved at {}", self.ends_at);
                (Condition::Right, at, format!("Resolved at {}.", self.ends_at))
            }
        };
        let summary = self.annotation("summary").or_else(|| self.annotation("description"));
        let draft = Draft {
            title: self.title(),
            body: self.body(),
            labels: labels.clone(),
            template: Some("alert".to_owned()),
            priority: self.labels.get("severity").and_then(|severity| priority(severity)),
            ..Draft::default()
        };
        let note = summary.map_or(note.clone(), |summary| format!("{note} {summary}"));
        let (fingerprint, occurrence) = (self.recognised_by(), Some(occurrence));
        Report { fingerprint, occurrence, condition, draft, note }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    /// Older senders have none; then the labels are what makes an alert.
    fn recognised_by(&self) -> String {
        let own = self.fingerprint.trim();
        if !own.is_empty() {
            return clipped(&format!("alert/{own}"), crate::NAME_BYTES_MAX);
        }
        let mut text = String::new();
        for (name, value) in &self.labels {
            // Lengths, so that no two sets of labels make the same text.
            let _ = write!(text, "{}:{name}{}:{value}", name.len(), value.len());
        }
        format!("alert/{}", Digest::of(text.as_bytes()))
    }

    fn title(&self) -> String {
        let name = self.labels.get("alertname").map_or("unnamed", String::as_str);
        let what = self.annotation("summary").unwrap_or(name);
        let on = self.labels.get("instance").filter(|instance| !what.contains(instance.as_str()));
        let on = on.map(|instance| format!(" on {instance}")).unwrap_or_default();
        clipped(&format!("Alert: {what}{on}"), 500)
    }

    /// In the form of the template `alert`.
    fn body(&self) -> String {
        let mut text = "## Alert Details\n".to_owned();
        let mut fact = |name: &str, value: Option<&String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "- {name}: {value}");
            }
        };
        fact("Host", self.labels.get("instance"));
        fact("Metric", self.labels.get("alertname"));
        fact("Severity", self.labels.get("severity"));
        fact("Started", Some(&self.starts_at));
        fact("Source", Some(&self.generator_url));
        for (name, value) in &self.annotations {
            let _ = write!(text, "\n## {name}\n{value}\n");
        }
        text.push_str("\n## Labels\n");
        for (name, value) in &self.labels {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text
    }
}

fn priority(severity: &str) -> Option<Priority> {
    match severity.to_ascii_lowercase().as_str() {
        "critical" | "page" | "emergency" => Some(Priority::Critical),
        "high" | "error" | "major" => Some(Priority::High),
        "warning" | "medium" => Some(Priority::Medium),
        "info" | "low" | "minor" | "none" => Some(Priority::Low),
        _ => None,
    }
}
