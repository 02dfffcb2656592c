//! What runs found out about tests.

use axum::Json;
use axum::extract::{Path, Query, State};
use grit_control::view::TestsView;
use grit_insight::flaky::Steadiness;
use grit_insight::pipelines::Part;
use grit_types::Timestamp;
use serde::Deserialize;

use super::Shared;
use super::extract::{Caller, parsed};
use crate::{Action, Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// Nothing from before this moment counts, in milliseconds.
    #[serde(default)]
    since: i64,
}

impl Window {
    fn since(&self) -> Timestamp {
        Timestamp::from_millis(self.since)
    }
}

pub(super) async fn of_run(
    State(app): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<TestsView>>, Problem> {
    caller.may(Action::Read)?;
    let run = parsed(&id)?;
    if app.control.run(run).await?.is_none() {
        return Err(Problem::not_found(format!("there is no run {id}")));
    }
    Ok(Json(app.control.tests_of(&app.at(), run).await?))
}

pub(super) async fn steadiness(
    State(app): Shared,
    caller: Caller,
    Query(window): Query<Window>,
) -> Result<Json<Vec<Steadiness>>, Problem> {
    caller.may(Action::Read)?;
    Ok(Json(app.control.steadiness(&app.at(), window.since()).await?))
}

pub(super) async fn parts(
    State(app): Shared,
    caller: Caller,
    Query(window): Query<Window>,
) -> Result<Json<Vec<Part>>, Problem> {
    caller.may(Action::Read)?;
    Ok(Json(app.control.test_parts(&app.at(), window.since()).await?))
}
