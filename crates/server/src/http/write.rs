use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use grit_control::Steer;
use grit_control::repo::RefUpdate;
use grit_types::{Digest, Principal, Revision, Role};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::extract::{Body, Caller, Key};
use crate::{Action, Grant, NewToken, Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Push {
    updates: Vec<RefUpdate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    image: String,
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    principal: Principal,
    role: Role,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SteerBody {
    full: bool,
    reason: String,
    to: Option<Revision>,
    number: Option<u64>,
}

/// What a write came to.
#[derive(Serialize)]
pub(super) struct Written {
    version: u64,
    events: usize,
}

impl From<grit_control::reactor::Receipt> for Written {
    fn from(receipt: grit_control::reactor::Receipt) -> Self {
        Self { version: receipt.version.0, events: receipt.events.len() }
    }
}

pub(super) async fn push(
    State(app): Shared,
    caller: Caller,
    Body(push): Body<Push>,
) -> Result<Json<Written>, Problem> {
    let actor = caller.may(Action::Push)?.actor();
    Ok(Json(app.control.push(&app.at(), push.updates, actor).await?.into()))
}

/// Whether a push may come: git asks before it takes one, so that none is taken and not recorded.
pub(super) async fn check_push(
    State(app): Shared,
    caller: Caller,
    Body(_): Body<Push>,
) -> Result<StatusCode, Problem> {
    caller.may(Action::Push)?;
    app.control.can_record().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn publish(
    State(app): Shared,
    caller: Caller,
    Body(publish): Body<Publish>,
) -> Result<Json<Written>, Problem> {
    let grant = caller.may(Action::PublishArtifact)?;
    let Grant::Job { run, at, commit, .. } = grant else {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "only a job may publish"));
    };
    let Publish { image, digest } = publish;
    let receipt =
        app.control.publish(at, commit.clone(), image, digest, Some(*run), grant.actor()).await?;
    Ok(Json(receipt.into()))
}

pub(super) async fn create_token(
    State(app): Shared,
    caller: Caller,
    Body(wanted): Body<CreateToken>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    caller.may(Action::ManageTokens)?;
    let made = app
        .tokens
        .create(wanted.principal, wanted.role, app.clock.as_ref(), app.entropy.as_ref())
        .map_err(|error| Problem::unavailable(&error))?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn steer(
    State(app): Shared,
    caller: Caller,
    key: Key,
    Path((environment, service, verb)): Path<(String, String, String)>,
    Body(body): Body<SteerBody>,
) -> Result<Json<Written>, Problem> {
    let action = match verb.as_str() {
        "approve" | "reject" => Action::Approve,
        _ => Action::Steer,
    };
    let grant = caller.may(action)?;
    let roles = match grant {
        Grant::User { role, .. } => Role::ALL.into_iter().filter(|held| held == role).collect(),
        // A machine's token approves nothing.
        Grant::Job { .. } => vec![],
    };
    let SteerBody { full, reason, to, number } = body;
    let id = key.deployment(&grant.actor());
    let steer = match verb.as_str() {
        "promote" => Steer::Promote { full },
        "pause" => Steer::Pause,
        "resume" => Steer::Resume,
        "abort" => Steer::Abort { reason },
        "retry" => Steer::Retry { id },
        "rollback" => Steer::Rollback { to, id },
        "approve" => Steer::Approve { number, roles },
        "reject" => Steer::Reject { number, reason },
        _ => return Err(Problem::not_found(format!("there is no verb `{verb}`"))),
    };
    let slot = app.slot(&environment, &service)?;
    Ok(Json(app.control.steer(&slot, steer, grant.actor()).await?.into()))
}
