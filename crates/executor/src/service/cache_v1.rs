//! `_apis/artifactcache`: caches as older clients keep them.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use grit_types::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::results::{begin_cache, find_cache, keep_cache};
use super::{Refusal, Shared, blob, range};
use crate::host::blocking;

#[derive(Deserialize)]
struct Reserve {
    key: String,
    version: String,
}

#[derive(Deserialize)]
struct Commit {
    size: u64,
}

pub(super) async fn find(
    State(service): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let grant = service.caller(&headers)?;
    let named = |name: &str| query.get(name).cloned().unwrap_or_default();
    let keys: Vec<String> = named("keys").split(',').map(|key| key.trim().to_owned()).collect();
    let version = named("version");
    let Some(found) = find_cache(service, grant, keys, version.clone()).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let answer = json!({
        "archiveLocation": found.address,
        "cacheKey": found.key,
        "cacheVersion": version,
        "scope": found.scope,
        "creationTime": Timestamp::from_millis(found.created).rfc3339(),
    });
    Ok(axum::Json(answer).into_response())
}

pub(super) async fn reserve(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let grant = service.caller(&headers)?;
    let Reserve { key, version } =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    let upload = begin_cache(service, grant, key, version).await?;
    Ok((StatusCode::CREATED, axum::Json(json!({ "cacheId": upload.number }))).into_response())
}

pub(super) async fn upload(
    State(service): Shared,
    headers: HeaderMap,
    Path(id): Path<u64>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let grant = service.caller(&headers)?;
    let upload = service.transfers.of_job(grant.job.job, |upload| upload.number == id);
    let upload = upload.ok_or_else(|| Refusal::not_found("not_found", "nothing was reserved"))?;
    let range = headers.get("content-range").and_then(|value| value.to_str().ok());
    let (start, length) =
        range.and_then(range::start).ok_or_else(|| Refusal::bad("`Content-Range` is missing"))?;
    let (path, size) = blob::receive(&upload, body).await?;
    if size != length {
        return Err(Refusal::bad("other bytes came than `Content-Range` says"));
    }
    upload.block(&start.to_string(), path, size)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn commit(
    State(service): Shared,
    headers: HeaderMap,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let grant = service.caller(&headers)?;
    let Commit { size } =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad(error.to_string()))?;
    let upload = service.transfers.of_job(grant.job.job, |upload| upload.number == id);
    let upload = upload.ok_or_else(|| Refusal::not_found("not_found", "nothing was reserved"))?;
    let joined = upload.clone();
    blocking(move || joined.commit_by_place(size)).await?;
    match keep_cache(service, grant, upload).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::taken("there is a cache of this key")),
    }
}
