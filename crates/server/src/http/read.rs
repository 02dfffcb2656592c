use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use grit_control::ports::RepoId;
use grit_control::view::{CommitView, DeploymentView, RunView, SlotView};
use grit_rollout::SlotId;
use serde::{Deserialize, Serialize};

use super::extract::{Caller, parsed};
use super::{App, Shared};
use crate::{Action, Grant, LogError, Problem, TokenRecord};

/// Items in an answer at most, and where nothing is said.
const LIMIT_MAX: usize = 100;
/// Bytes of a log in an answer.
const LOG_BYTES_MAX: usize = 256 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    service: Option<grit_types::Service>,
    environment: Option<grit_types::Environment>,
    limit: Option<usize>,
}

impl Filter {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    offset: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Me {
    principal: String,
    role: Option<grit_types::Role>,
}

impl App {
    pub(super) fn at(&self) -> RepoId {
        RepoId { tenant: self.control.tenant().clone(), repo: self.repo.clone() }
    }

    pub(super) fn slot(&self, environment: &str, service: &str) -> Result<SlotId, Problem> {
        Ok(SlotId {
            tenant: self.control.tenant().clone(),
            repo: self.repo.clone(),
            environment: parsed(environment)?,
            service: parsed(service)?,
        })
    }
}

pub(super) async fn ready(State(app): Shared) -> Result<&'static str, Problem> {
    app.control.slots(None).await?;
    Ok("ok\n")
}

pub(super) async fn me(caller: Caller) -> Result<Json<Me>, Problem> {
    Ok(Json(match caller.may(Action::Read)? {
        Grant::User { principal, role } => {
            Me { principal: principal.to_string(), role: Some(*role) }
        }
        Grant::Job { run, .. } => Me { principal: format!("job/{run}"), role: None },
    }))
}

pub(super) async fn slots(
    State(app): Shared,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<SlotView>>, Problem> {
    caller.may(Action::Read)?;
    let mut slots = app.control.slots(scope(&app, &filter)).await?;
    slots.retain(|slot| filter.service.as_ref().is_none_or(|service| slot.service == *service));
    Ok(Json(slots))
}

/// Rows are found by `repo/environment/service`, so a service alone is picked out afterwards.
fn scope(app: &App, filter: &Filter) -> Option<String> {
    Some(match (&filter.environment, &filter.service) {
        (Some(environment), Some(service)) => format!("{}/{environment}/{service}", app.repo),
        (Some(environment), None) => format!("{}/{environment}", app.repo),
        (None, _) => app.repo.to_string(),
    })
}

pub(super) async fn deployments(
    State(app): Shared,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<DeploymentView>>, Problem> {
    caller.may(Action::Read)?;
    let narrow = filter.service.is_some() && filter.environment.is_none();
    let limit = if narrow { 0 } else { filter.limit() };
    let mut found = app.control.deployments(scope(&app, &filter), limit).await?;
    found.retain(|view| filter.service.as_ref().is_none_or(|service| view.service == *service));
    found.truncate(filter.limit());
    Ok(Json(found))
}

pub(super) async fn deployment(
    State(app): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeploymentView>, Problem> {
    caller.may(Action::Read)?;
    let view = app.control.deployment(parsed(&id)?).await?;
    view.map(Json).ok_or_else(|| Problem::not_found(format!("there is no deployment {id}")))
}

pub(super) async fn commits(
    State(app): Shared,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<CommitView>>, Problem> {
    caller.may(Action::Read)?;
    Ok(Json(app.control.commits(&app.at(), filter.limit()).await?))
}

pub(super) async fn runs(
    State(app): Shared,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<RunView>>, Problem> {
    caller.may(Action::Read)?;
    Ok(Json(app.control.runs(&app.at(), filter.limit()).await?))
}

pub(super) async fn run(
    State(app): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RunView>, Problem> {
    caller.may(Action::Read)?;
    let view = app.control.run(parsed(&id)?).await?;
    view.map(Json).ok_or_else(|| Problem::not_found(format!("there is no run {id}")))
}

pub(super) async fn step_log(
    State(app): Shared,
    caller: Caller,
    Path((run, job, index)): Path<(String, String, u32)>,
    Query(from): Query<From>,
) -> Result<Vec<u8>, Problem> {
    caller.may(Action::Read)?;
    let (run, job) = (parsed(&run)?, parsed(&job)?);
    Ok(app.logs.step(run, job, index, from.offset, LOG_BYTES_MAX).await?)
}

pub(super) async fn step_summary(
    State(app): Shared,
    caller: Caller,
    Path((run, job, index)): Path<(String, String, u32)>,
) -> Result<Vec<u8>, Problem> {
    caller.may(Action::Read)?;
    Ok(app.logs.summary(parsed(&run)?, parsed(&job)?, index).await?)
}

pub(super) async fn instance_logs(
    State(app): Shared,
    caller: Caller,
    Path((environment, service)): Path<(String, String)>,
) -> Result<Json<Vec<grit_types::InstanceId>>, Problem> {
    caller.may(Action::Read)?;
    Ok(Json(app.logs.instances(&app.slot(&environment, &service)?).await?))
}

pub(super) async fn instance_log(
    State(app): Shared,
    caller: Caller,
    Path((environment, service, id)): Path<(String, String, String)>,
    Query(from): Query<From>,
) -> Result<Vec<u8>, Problem> {
    caller.may(Action::Read)?;
    let slot = app.slot(&environment, &service)?;
    Ok(app.logs.instance(&slot, parsed(&id)?, from.offset, LOG_BYTES_MAX).await?)
}

impl std::convert::From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NotFound => Self::not_found("there is no such log"),
            LogError::Read(_) => {
                let detail = grit_types::chain(&error);
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "log", detail)
            }
        }
    }
}

pub(super) async fn tokens(
    State(app): Shared,
    caller: Caller,
) -> Result<Json<Vec<TokenRecord>>, Problem> {
    caller.may(Action::ManageTokens)?;
    Ok(Json(app.tokens.list()))
}
