//! Secrets and variables: names and scopes in, never a secret's value out.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use grit_secret::{BookError, Listed, Name, Scope, Secret};
use serde::Deserialize;

use super::extract::{Body, Caller, parsed};
use super::{App, Shared};
use crate::{Action, Problem, VaultError};

/// No environment is called longer.
const ENVIRONMENT_BYTES_MAX: usize = 255;

/// Whose: the repository's unless it says otherwise.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Of {
    environment: Option<String>,
    tenant: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Value {
    value: String,
}

impl Of {
    fn scope(self, app: &App) -> Result<Scope, Problem> {
        let at = app.at();
        match (self.environment, self.tenant) {
            (Some(_), true) => Err(Problem::bad_request("an environment is of a repository")),
            (None, true) => Ok(Scope::Tenant { tenant: at.tenant }),
            (None, false) => Ok(Scope::Repository { tenant: at.tenant, repo: at.repo }),
            (Some(name), false) if name.is_empty() || name.len() > ENVIRONMENT_BYTES_MAX => {
                Err(Problem::bad_request("an environment's name has 1 to 255 bytes"))
            }
            (Some(name), false) => Ok(Scope::environment(at.tenant, at.repo, &name)),
        }
    }
}

pub(super) async fn secrets(
    State(app): Shared,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<Listed>>, Problem> {
    caller.may(Action::ReadSettings)?;
    Ok(Json(app.vault.secrets(&of.scope(&app)?)))
}

pub(super) async fn set_secret(
    State(app): Shared,
    caller: Caller,
    Path(name): Path<String>,
    Query(of): Query<Of>,
    Body(Value { value }): Body<Value>,
) -> Result<StatusCode, Problem> {
    let by = caller.may(Action::ManageSettings)?.actor().principal;
    let (scope, name, secret) = (of.scope(&app)?, parsed::<Name>(&name)?, Secret::new(value));
    let (at, entropy) = (app.clock.now(), app.entropy.as_ref());
    app.vault.set_secret(scope, name, &secret, by, at, entropy)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_secret(
    State(app): Shared,
    caller: Caller,
    Path(name): Path<String>,
    Query(of): Query<Of>,
) -> Result<StatusCode, Problem> {
    caller.may(Action::ManageSettings)?;
    let (scope, key) = (of.scope(&app)?, parsed::<Name>(&name)?);
    gone(app.vault.remove_secret(&scope, &key)?, "secret", &key)
}

pub(super) async fn variables(
    State(app): Shared,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<Listed>>, Problem> {
    caller.may(Action::ReadSettings)?;
    Ok(Json(app.vault.variables(&of.scope(&app)?)))
}

pub(super) async fn set_variable(
    State(app): Shared,
    caller: Caller,
    Path(name): Path<String>,
    Query(of): Query<Of>,
    Body(Value { value }): Body<Value>,
) -> Result<StatusCode, Problem> {
    let by = caller.may(Action::ManageSettings)?.actor().principal;
    let (scope, name, at) = (of.scope(&app)?, parsed::<Name>(&name)?, app.clock.now());
    app.vault.set_variable(scope, name, value, by, at)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_variable(
    State(app): Shared,
    caller: Caller,
    Path(name): Path<String>,
    Query(of): Query<Of>,
) -> Result<StatusCode, Problem> {
    caller.may(Action::ManageSettings)?;
    let (scope, key) = (of.scope(&app)?, parsed::<Name>(&name)?);
    gone(app.vault.remove_variable(&scope, &key)?, "variable", &key)
}

fn gone(was_there: bool, what: &str, name: &Name) -> Result<StatusCode, Problem> {
    if was_there {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!("there is no {what} {name} there")))
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match &error {
            VaultError::Book(BookError::Many(_)) => {
                Self::new(StatusCode::CONFLICT, "too_many", grit_types::chain(&error))
            }
            VaultError::Book(_) => Self::bad_request(grit_types::chain(&error)),
            VaultError::File { .. }
            | VaultError::Damaged { .. }
            | VaultError::NoKey { .. }
            | VaultError::Open(_) => Self::unavailable(&error),
        }
    }
}
