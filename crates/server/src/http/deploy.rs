//! The routes of the deployment service.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use grit_control::view::DeploymentView;
use grit_control::{Deploy, Steer};
use grit_rollout::SlotId;
use grit_types::{DeploymentId, Environment, Revision, Service};
use serde::Deserialize;

use super::extract::{Body, Caller, Key};
use super::{App, Shared};
use crate::{Action, Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    service: Service,
    environment: Environment,
    version: String,
    #[serde(default)]
    strategy: Option<String>,
    /// Kept by whoever asks; Grit's own record is in the events.
    #[serde(default)]
    #[allow(dead_code, reason = "the route takes it, as its clients send it")]
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Back {
    service: Option<Service>,
    environment: Option<Environment>,
    to: Option<Revision>,
    deployment_id: Option<DeploymentId>,
}

pub(super) async fn deploy(
    State(app): Shared,
    caller: Caller,
    key: Key,
    Body(wanted): Body<Wanted>,
) -> Result<(StatusCode, Json<DeploymentView>), Problem> {
    let actor = caller.may(Action::Deploy)?.actor();
    let id = key.deployment(&actor);
    if let Some(known) = known(&app, id).await? {
        let same = (&known.service, &known.environment, &known.version)
            == (&wanted.service, &wanted.environment, &wanted.version);
        return if same { Ok((StatusCode::CREATED, Json(known))) } else { Err(other_use()) };
    }
    let Wanted { service, environment, version, strategy, .. } = wanted;
    let deploy = Deploy { at: app.at(), service, environment, version, strategy, id };
    let id = app.control.deploy(deploy, actor).await?;
    Ok((StatusCode::CREATED, Json(view(&app, id).await?)))
}

async fn known(app: &App, id: Option<DeploymentId>) -> Result<Option<DeploymentView>, Problem> {
    match id {
        Some(id) => Ok(app.control.deployment(id).await?),
        None => Ok(None),
    }
}

fn other_use() -> Problem {
    let detail = "this Idempotency-Key made another deployment already";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_used", detail).hint("use a new key")
}

pub(super) async fn rollback(
    State(app): Shared,
    caller: Caller,
    key: Key,
    Body(back): Body<Back>,
) -> Result<Json<DeploymentView>, Problem> {
    let actor = caller.may(Action::Steer)?.actor();
    let slot = slot(&app, &back).await?;
    let id = key.deployment(&actor);
    if let Some(known) = known(&app, id).await? {
        let same = (&known.service, &known.environment) == (&slot.service, &slot.environment);
        return if same { Ok(Json(known)) } else { Err(other_use()) };
    }
    app.control.steer(&slot, Steer::Rollback { to: back.to, id }, actor).await?;
    let scope = format!("{}/{}/{}", slot.repo, slot.environment, slot.service);
    let newest = app.control.deployments(Some(scope), 1).await?.pop();
    newest.map(Json).ok_or_else(|| Problem::not_found("nothing was ever deployed there"))
}

async fn slot(app: &App, back: &Back) -> Result<SlotId, Problem> {
    let slot = |environment: &Environment, service: &Service| SlotId {
        tenant: app.control.tenant().clone(),
        repo: app.repo.clone(),
        environment: environment.clone(),
        service: service.clone(),
    };
    match (&back.deployment_id, &back.environment, &back.service) {
        (Some(id), None, None) => {
            let view = view(app, *id).await?;
            Ok(slot(&view.environment, &view.service))
        }
        (None, Some(environment), Some(service)) => Ok(slot(environment, service)),
        _ => Err(Problem::bad_request("give `service` and `environment`, or `deploymentId`")),
    }
}

async fn view(app: &App, id: DeploymentId) -> Result<DeploymentView, Problem> {
    let view = app.control.deployment(id).await?;
    view.ok_or_else(|| Problem::not_found(format!("there is no deployment {id}")))
}
