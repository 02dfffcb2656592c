use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use grit_pipeline::keep::KeptArtifact;
use grit_types::{RunId, chain};
use tokio_util::io::ReaderStream;

use super::extract::{Caller, parsed};
use super::{App, Shared};
use crate::{Action, ArtifactsError, Problem};

pub(super) async fn list(
    State(app): Shared,
    caller: Caller,
    Path(run): Path<String>,
) -> Result<Json<Vec<KeptArtifact>>, Problem> {
    caller.may(Action::Read)?;
    let run = known(&app, &run).await?;
    Ok(Json(app.artifacts.list(run).await?))
}

pub(super) async fn get(
    State(app): Shared,
    caller: Caller,
    Path((run, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.may(Action::Read)?;
    let run = known(&app, &run).await?;
    let opened = app.artifacts.open(run, &name).await?;
    let missing = || Problem::not_found(format!("the run has no artifact `{name}`"));
    let (file, size) = opened.ok_or_else(missing)?;
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 << 10);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// A run that this server knows: one of another tenant is as good as none.
async fn known(app: &Arc<App>, run: &str) -> Result<RunId, Problem> {
    let id: RunId = parsed(run)?;
    let known = app.control.run(id).await?;
    known.map(|_| id).ok_or_else(|| Problem::not_found(format!("there is no run {id}")))
}

impl From<ArtifactsError> for Problem {
    fn from(error: ArtifactsError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "artifact", chain(&error))
    }
}
