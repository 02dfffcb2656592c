use std::time::Duration;

use clap::{Args, Subcommand};
use grit_insight::pipelines::{Part, pipelines};
use grit_ledger::Ledger;
use grit_types::{Clock, Timestamp, parse_duration};

use super::place::Place;
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

#[derive(Debug, Args)]
pub struct Metrics {
    #[command(subcommand)]
    pub verb: MetricsVerb,
}

#[derive(Debug, Subcommand)]
pub enum MetricsVerb {
    /// How long workflows, jobs and steps take and how often they succeed, from what servers recorded
    Pipelines {
        /// Runs that ended within this time
        #[arg(long, default_value = "30d", value_parser = parse_duration, value_name = "TIME")]
        since: Duration,
        /// With every step
        #[arg(long)]
        steps: bool,
    },
}

/// From this clone alone: `grit sync --audit` brings the servers' records.
pub fn run(options: &Metrics, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let MetricsVerb::Pipelines { since, steps } = &options.verb;
    let events = place.ledger()?.read();
    let events = events.map_err(|error| Failure::because("the ledger cannot be read", &error))?;
    let now = SystemClock.now().millis();
    let back = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let mut parts = pipelines(&events, Timestamp::from_millis(now.saturating_sub(back)));
    parts.retain(|part| *steps || part.step.is_none());
    if parts.is_empty() {
        ui.status(
            "No run is recorded in this clone. The servers' records come with `grit sync --audit`.",
        );
    }
    ui.data(&parts, |parts| match parts.is_empty() {
        true => String::new(),
        false => {
            let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
            table(&["WORKFLOW", "JOB", "STEP", "RUNS", "SUCCESS", "MEDIAN", "95 %"], &rows)
        }
    });
    Ok(Exit::Done)
}

fn row(part: &Part) -> Vec<String> {
    let seconds = |millis: u64| format!("{}.{} s", millis / 1_000, millis % 1_000 / 100);
    let success = part.success.map(|share| format!("{}.{} %", share / 100, share % 100 / 10));
    vec![
        part.workflow.clone(),
        part.job.clone().unwrap_or_default(),
        part.step.clone().unwrap_or_default(),
        part.runs.to_string(),
        success.unwrap_or_else(|| "-".to_owned()),
        seconds(part.median_millis),
        seconds(part.p95_millis),
    ]
}
