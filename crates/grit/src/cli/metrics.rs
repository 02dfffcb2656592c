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
    /// How long workflows, jobs, steps and tests take and how often they succeed
    Pipelines {
        /// Runs that ended within this time
        #[arg(long, default_value = "30d", value_parser = parse_duration, value_name = "TIME")]
        since: Duration,
        /// With every step
        #[arg(long)]
        steps: bool,
        /// With every test that a step reported, as the server knows them
        #[arg(long)]
        tests: bool,
    },
}

/// From this clone alone: `grit sync --audit` brings the servers' records. Tests are the server's to
/// tell.
pub async fn run(options: &Metrics, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let MetricsVerb::Pipelines { since, steps, tests } = &options.verb;
    let events = place.ledger()?.read();
    let events = events.map_err(|error| Failure::because("the ledger cannot be read", &error))?;
    let now = SystemClock.now().millis();
    let back = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let since = Timestamp::from_millis(now.saturating_sub(back));
    let mut parts = pipelines(&events, since);
    parts.retain(|part| *steps || part.step.is_none());
    if *tests {
        let path = format!("/api/v1/tests/parts?since={}", since.millis());
        parts.extend(place.client()?.get::<Vec<Part>>(&path).await?);
        parts.sort_by(|a, b| place_of(a).cmp(&place_of(b)));
    }
    if parts.is_empty() {
        ui.status(
            "No run is recorded in this clone. The servers' records come with `grit sync --audit`.",
        );
    }
    ui.data(&parts, |parts| match parts.is_empty() {
        true => String::new(),
        false => {
            let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
            let head = ["WORKFLOW", "JOB", "STEP", "TEST", "RUNS", "SUCCESS", "MEDIAN", "95 %"];
            table(&head, &rows)
        }
    });
    Ok(Exit::Done)
}

/// Each before what is within it.
fn place_of(part: &Part) -> [Option<&str>; 4] {
    let Part { workflow, job, step, test, .. } = part;
    [Some(workflow.as_str()), job.as_deref(), step.as_deref(), test.as_deref()]
}

fn row(part: &Part) -> Vec<String> {
    let seconds = |millis: u64| format!("{}.{} s", millis / 1_000, millis % 1_000 / 100);
    let success = part.success.map(|share| format!("{}.{} %", share / 100, share % 100 / 10));
    vec![
        part.workflow.clone(),
        part.job.clone().unwrap_or_default(),
        part.step.clone().unwrap_or_default(),
        part.test.clone().unwrap_or_default(),
        part.runs.to_string(),
        success.unwrap_or_else(|| "-".to_owned()),
        seconds(part.median_millis),
        seconds(part.p95_millis),
    ]
}
