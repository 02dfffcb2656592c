//! Pipelines: started by hand, answered for, cancelled, run once more.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use grit_control::{Dispatch, Review};
use grit_types::{Role, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Shared;
use super::extract::{Body, Caller, parsed};
use super::write::Written;
use crate::{Action, Grant, Problem};

/// No kind of event is called longer, as the service has it.
const KIND_CHARS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// A pipeline's file.
    file: String,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    #[serde(default)]
    inputs: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    event_type: String,
    #[serde(default)]
    client_payload: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    approved: bool,
    #[serde(default)]
    comment: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Again {
    failed: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reason {
    reason: String,
}

#[derive(Serialize)]
pub(super) struct Started {
    run: RunId,
}

pub(super) async fn dispatch(
    State(app): Shared,
    caller: Caller,
    Body(wish): Body<Wish>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let actor = caller.may(Action::RunPipelines)?.actor();
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let inputs = wish.inputs.into_iter().map(|(name, value)| (name, text(value))).collect();
    let wish = Dispatch { file: wish.file, reference: wish.reference, inputs };
    let run = app.control.dispatch(&app.at(), wish, actor).await?;
    Ok((StatusCode::CREATED, Json(Started { run })))
}

pub(super) async fn happened(
    State(app): Shared,
    caller: Caller,
    Body(told): Body<Told>,
) -> Result<StatusCode, Problem> {
    let actor = caller.may(Action::TellEvent)?.actor();
    let kind = told.event_type;
    if kind.is_empty() || kind.chars().count() > KIND_CHARS_MAX {
        return Err(Problem::bad_request("`event_type` has 1 to 100 characters"));
    }
    app.control.happened(&app.at(), kind, told.client_payload, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn review(
    State(app): Shared,
    caller: Caller,
    Path((run, job)): Path<(String, String)>,
    Body(answer): Body<Answer>,
) -> Result<Json<Written>, Problem> {
    let grant = caller.may(Action::Approve)?;
    let roles = match grant {
        Grant::User { role, .. } => Role::ALL.into_iter().filter(|held| held == role).collect(),
        // A machine's token approves nothing.
        Grant::Job { .. } => vec![],
    };
    let (run, job) = (parsed(&run)?, parsed(&job)?);
    let Answer { approved, comment } = answer;
    let review = Review { run, job, approved, roles, comment };
    Ok(Json(app.control.review(review, grant.actor()).await?.into()))
}

pub(super) async fn cancel(
    State(app): Shared,
    caller: Caller,
    Path(run): Path<String>,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<Written>, Problem> {
    let actor = caller.may(Action::RunPipelines)?.actor();
    let reason =
        if reason.is_empty() { format!("{} cancelled it", actor.principal) } else { reason };
    Ok(Json(app.control.cancel_run(parsed(&run)?, reason, actor).await?.into()))
}

pub(super) async fn rerun(
    State(app): Shared,
    caller: Caller,
    Path(run): Path<String>,
    Body(Again { failed }): Body<Again>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let actor = caller.may(Action::RunPipelines)?.actor();
    let run = app.control.rerun(parsed(&run)?, failed, actor).await?;
    Ok((StatusCode::CREATED, Json(Started { run })))
}
