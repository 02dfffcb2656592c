//! Pipelines of the server: started, answered for, cancelled, run once more.

use std::collections::BTreeMap;

use clap::Args;
use grit_control::view::RunView;
use grit_types::RunId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::place::Place;
use super::run::door::{self, Answer, Question};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

#[derive(Debug, Args)]
pub struct Start {
    /// The workflow's file, or the end of its path
    pub file: String,
    /// A branch or a tag; else the default branch
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// An input of `workflow_dispatch`
    #[arg(long, value_name = "NAME=VALUE")]
    pub input: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Runs {
    /// Only this run, with its jobs
    pub run: Option<RunId>,
}

#[derive(Debug, Args)]
pub struct Cancel {
    pub run: RunId,
    #[arg(long, default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct Rerun {
    pub run: RunId,
    /// Only what did not succeed, and what comes after it
    #[arg(long)]
    pub failed: bool,
}

#[derive(Deserialize)]
struct Started {
    run: RunId,
}

pub async fn start(options: &Start, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let mut inputs: BTreeMap<&str, &str> = BTreeMap::new();
    for text in &options.input {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(Exit::Usage, "usage", "`--input` takes NAME=VALUE".to_owned())
        })?;
        inputs.insert(name, value);
    }
    let wish = json!({ "file": options.file, "ref": options.reference, "inputs": inputs });
    let started: Started = place.client()?.post("/api/v1/pipelines/dispatches", &wish).await?;
    told(started.run, ui);
    Ok(Exit::Done)
}

pub async fn cancel(options: &Cancel, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let path = format!("/api/v1/runs/{}/cancel", options.run);
    let _: Value = place.client()?.post(&path, &json!({ "reason": options.reason })).await?;
    told(options.run, ui);
    Ok(Exit::Done)
}

pub async fn rerun(options: &Rerun, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let path = format!("/api/v1/runs/{}/rerun", options.run);
    let started: Started =
        place.client()?.post(&path, &json!({ "failed": options.failed })).await?;
    told(started.run, ui);
    Ok(Exit::Done)
}

fn told(run: RunId, ui: &Ui) {
    ui.data(&json!({ "run": run }), |_| format!("{run}\n"));
}

pub async fn runs(options: &Runs, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    if let Some(run) = options.run {
        let view: RunView = client.get(&format!("/api/v1/runs/{run}")).await?;
        ui.data(&view, jobs);
        return Ok(Exit::Done);
    }
    let views: Vec<RunView> = client.get("/api/v1/runs").await?;
    let terminal = ui.is_terminal();
    ui.data(&views, |views| {
        if !terminal {
            return views.iter().map(|view| format!("{}\n", view.id)).collect();
        }
        let rows: Vec<Vec<String>> = views.iter().map(row).collect();
        table(&["RUN", "PIPELINE", "EVENT", "REF", "STATUS", ""], &rows)
    });
    Ok(Exit::Done)
}

fn row(view: &RunView) -> Vec<String> {
    let waiting = view.jobs.iter().find_map(|job| {
        let why = job.waiting.as_ref()?;
        Some(format!("{} waits {why}", job.name))
    });
    vec![
        view.id.to_string(),
        view.name.clone(),
        view.event.clone(),
        view.ref_name.as_ref().map_or("", |name| name.short()).to_owned(),
        view.status.clone(),
        view.why.clone().or(waiting).unwrap_or_default(),
    ]
}

fn jobs(view: &RunView) -> String {
    let row = |job: &grit_pipeline::run::JobView| {
        let said = job.waiting.as_ref().or(job.why.as_ref()).or(job.url.as_ref());
        vec![
            job.name.clone(),
            job.state.clone(),
            job.environment.clone().unwrap_or_default(),
            said.cloned().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = view.jobs.iter().map(row).collect();
    table(&["JOB", "STATE", "ENVIRONMENT", ""], &rows)
}

/// Answers for the jobs of a run that wait for an approval: all, or the one that is named.
pub async fn review(
    target: &str,
    reject: Option<&str>,
    place: &Place,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let (run, named) = match target.split_once('/') {
        Some((run, job)) => (run, Some(job)),
        None => (target, None),
    };
    let run: RunId = run.parse().map_err(|error: grit_types::IdError| {
        Failure::new(Exit::Usage, "usage", error.to_string())
    })?;
    let question = Question {
        job: named.map(str::to_owned),
        approved: reject.is_none(),
        comment: reject.unwrap_or_default().to_owned(),
        actor: place.actor().principal,
    };
    if let Some(answer) = door::ask(place, run, &question)? {
        return answered(run, &question, &answer, ui);
    }
    let client = place.client()?;
    let view: RunView = client.get(&format!("/api/v1/runs/{run}")).await?;
    let meant = |job: &&grit_pipeline::run::JobView| {
        job.approvals_missing > 0
            && named.is_none_or(|name| job.key.as_str() == name || job.name == name)
    };
    let waiting: Vec<_> = view.jobs.iter().filter(meant).collect();
    if waiting.is_empty() {
        let message = format!("no job of {target} waits for an approval");
        return Err(Failure::new(Exit::Conflict, "not_now", message)
            .hint(format!("`grit pipeline runs {run}` shows its jobs")));
    }
    for job in &waiting {
        let Some(id) = job.job else { continue };
        let answer = json!({ "approved": reject.is_none(), "comment": reject.unwrap_or_default() });
        let path = format!("/api/v1/runs/{run}/jobs/{id}/review");
        let _: Value = client.post(&path, &answer).await?;
        let word = if reject.is_some() { "refused" } else { "approved" };
        ui.status(format!("{} {word}", job.name));
    }
    let view: RunView = client.get(&format!("/api/v1/runs/{run}")).await?;
    ui.data(&view, |view| format!("{}\n", view.id));
    Ok(Exit::Done)
}

/// What a run of this very clone said.
fn answered(run: RunId, question: &Question, answer: &Answer, ui: &Ui) -> Result<Exit, Failure> {
    let word = if question.approved { "approved" } else { "refused" };
    answer.jobs.iter().for_each(|job| ui.status(format!("{job} {word}")));
    match &answer.refused {
        Some(refused) if refused.not_now => {
            Err(Failure::new(Exit::Conflict, "not_now", refused.message.clone()))
        }
        Some(refused) => Err(Failure::new(Exit::Refused, "refused", refused.message.clone())),
        None => {
            ui.data(&json!({ "run": run, "jobs": answer.jobs }), |_| format!("{run}\n"));
            Ok(Exit::Done)
        }
    }
}
