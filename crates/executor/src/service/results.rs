//! `github.actions.results.api.v1`, in Twirp's JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use grit_types::{Digest, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::grant::Grant;
use super::transfer::{Download, Purpose, Upload};
use super::{Refusal, Service, Shared, blob};
use crate::host::blocking;
use crate::store::{
    Artifact, ArtifactError, Content, NewArtifact, NewCache, StoreError, check_name,
};

const KEYS_MAX: usize = 10;
const TEXT_BYTES_MAX: usize = 512;

type Answer = Result<axum::Json<Value>, Refusal>;

/// What every request names, under one of the two spellings of its members.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    #[serde(alias = "workflowRunBackendId")]
    workflow_run_backend_id: String,
    name: String,
    #[serde(alias = "nameFilter")]
    name_filter: Option<String>,
    #[serde(alias = "idFilter")]
    id_filter: Value,
    size: Value,
    hash: Option<String>,
    #[serde(alias = "expiresAt")]
    expires_at: Option<String>,
    key: String,
    version: Value,
    #[serde(alias = "restoreKeys")]
    restore_keys: Vec<String>,
    #[serde(alias = "sizeBytes")]
    size_bytes: Value,
}

/// 64 bits are text in Twirp's JSON, and numbers from some clients.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("the request: {error}")))
}

impl Service {
    /// The caller, and what it asks of its own run.
    fn asked(&self, headers: &HeaderMap, body: &Bytes) -> Result<(Arc<Grant>, Asked), Refusal> {
        let grant = self.caller(headers)?;
        let asked: Asked = read(body)?;
        let of = &asked.workflow_run_backend_id;
        if !of.is_empty() && *of != grant.job.run.to_string() {
            let why = "the token is for another run";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "permission_denied", why));
        }
        Ok((grant, asked))
    }

    fn address(&self, ticket: &str) -> String {
        // Clients take it for signed, and see by the query that it is.
        format!("{}{}/{ticket}?sv=2024-11-04&sr=b&sig={}", self.base, blob::PATH, &ticket[..16])
    }

    fn offered(&self, download: Download) -> String {
        let ticket = self.random();
        let address = self.address(&ticket);
        self.transfers.offer(ticket, download);
        address
    }
}

pub(super) async fn create_artifact(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    check_name(&asked.name).map_err(refused)?;
    let now = service.now();
    let purpose = Purpose::Artifact {
        name: asked.name.clone(),
        retention_days: retention(asked.expires_at.as_deref(), now),
    };
    let upload = blocking(move || {
        let store = service.stores.artifacts()?;
        let (run, attempt) = (grant.job.run, grant.attempt);
        let there = store.artifact(run, &asked.name, now)?;
        if there.is_some_and(|artifact| artifact.attempt() >= attempt) {
            return Err(refused(ArtifactError::Taken(asked.name)));
        }
        let (ticket, job) = (service.random(), grant.job.job);
        let upload = service.transfers.begin(ticket, job, purpose, store, &grant.uploads)?;
        Ok(service.address(&upload.ticket))
    });
    Ok(axum::Json(json!({ "ok": true, "signed_upload_url": upload.await? })))
}

pub(super) async fn finalize_artifact(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let fits = |upload: &Upload| matches!(&upload.purpose, Purpose::Artifact { name, .. } if *name == asked.name);
    let upload = service.transfers.of_job(grant.job.job, fits);
    let upload = upload.ok_or_else(|| Refusal::not_found("not_found", "nothing was uploaded"))?;
    let whole = whole(&upload, number(&asked.size), asked.hash.as_deref())?;
    let added = blocking(move || {
        let Purpose::Artifact { name, retention_days } = upload.purpose.clone() else {
            return Err(Refusal::bad("it is no artifact"));
        };
        let new = NewArtifact {
            name,
            run: grant.job.run,
            job: grant.job.job,
            attempt: grant.attempt,
            retention_days,
            overwrite: false,
            content: Content::Archive(whole),
        };
        let added = upload.store.add_artifact(new, service.now()).map_err(refused)?;
        service.transfers.end(&upload);
        Ok(added)
    });
    Ok(axum::Json(json!({ "ok": true, "artifact_id": added.await?.id.to_string() })))
}

pub(super) async fn list_artifacts(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let now = service.now();
    let run = grant.job.run;
    let all = blocking(move || service.stores.artifacts()?.artifacts(run, now)).await?;
    let id = number(&asked.id_filter);
    let fits = |artifact: &&Artifact| {
        asked.name_filter.as_ref().is_none_or(|name| artifact.name == *name)
            && id.is_none_or(|id| artifact.id == id)
    };
    let tell = |artifact: &Artifact| {
        json!({
            "workflow_run_backend_id": artifact.run.to_string(),
            "workflow_job_run_backend_id": artifact.job.to_string(),
            "database_id": artifact.id.to_string(),
            "name": artifact.name,
            "size": artifact.bytes.to_string(),
            "created_at": Timestamp::from_millis(artifact.created).rfc3339(),
            "digest": artifact.digest.to_string(),
        })
    };
    let artifacts: Vec<Value> = all.iter().filter(fits).map(tell).collect();
    Ok(axum::Json(json!({ "artifacts": artifacts })))
}

pub(super) async fn signed_artifact_url(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let now = service.now();
    let url = blocking(move || {
        let store = service.stores.artifacts()?;
        let found = store.artifact(grant.job.run, &asked.name, now)?;
        let found = found.ok_or_else(|| Refusal::not_found("not_found", "there is none"))?;
        store.open_archive(&found)?;
        let (job, digest) = (grant.job.job, found.digest);
        let download = Download { job, store, digest, kind: "application/zip" };
        Ok::<_, Refusal>(service.offered(download))
    });
    Ok(axum::Json(json!({ "signed_url": url.await? })))
}

pub(super) async fn delete_artifact(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let now = service.now();
    let gone = blocking(move || {
        service.stores.artifacts()?.delete_artifact(grant.job.run, &asked.name, now)
    });
    let id = gone.await?.ok_or_else(|| Refusal::not_found("not_found", "there is none"))?;
    Ok(axum::Json(json!({ "ok": true, "artifact_id": id.to_string() })))
}

pub(super) async fn create_cache_entry(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let version = text(&asked.version);
    let begun = begin_cache(service.clone(), grant, asked.key, version).await;
    match begun {
        Ok(upload) => {
            let url = service.address(&upload.ticket);
            Ok(axum::Json(json!({ "ok": true, "signed_upload_url": url })))
        }
        Err(refusal) if refusal.code == "already_exists" => {
            Ok(axum::Json(json!({ "ok": false, "message": refusal.message })))
        }
        Err(refusal) => Err(refusal),
    }
}

pub(super) async fn finalize_cache_entry(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let (wanted, of) = (asked.key.clone(), text(&asked.version));
    let fits = move |upload: &Upload| matches!(&upload.purpose, Purpose::Cache { key, version, .. } if *key == wanted && *version == of);
    let upload = service.transfers.of_job(grant.job.job, fits);
    let upload = upload.ok_or_else(|| Refusal::not_found("not_found", "nothing was uploaded"))?;
    whole(&upload, number(&asked.size_bytes), None)?;
    let number = upload.number;
    let added = keep_cache(service, grant, upload).await?;
    Ok(axum::Json(json!({ "ok": added, "entry_id": number.to_string() })))
}

pub(super) async fn cache_download_url(
    State(service): Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (grant, asked) = service.asked(&headers, &body)?;
    let keys: Vec<String> = std::iter::once(asked.key).chain(asked.restore_keys).collect();
    let found = find_cache(service, grant, keys, text(&asked.version)).await?;
    Ok(axum::Json(match found {
        Some(found) => json!({
            "ok": true, "signed_download_url": found.address, "matched_key": found.key
        }),
        None => json!({ "ok": false }),
    }))
}

/// A cache that may be fetched.
pub(super) struct FoundCache {
    pub key: String,
    pub scope: String,
    pub created: i64,
    pub address: String,
}

/// Looks for an archive, whole: one that is damaged is forgotten.
pub(super) async fn find_cache(
    service: Arc<Service>,
    grant: Arc<Grant>,
    keys: Vec<String>,
    version: String,
) -> Result<Option<FoundCache>, Refusal> {
    if keys.len() > KEYS_MAX {
        return Err(Refusal::bad(format!("at most {KEYS_MAX} keys are looked for")));
    }
    keys.iter().chain([&version]).try_for_each(|text| sound(text))?;
    blocking(move || {
        let store = service.stores.caches()?;
        let hold = store.trees.hold().map_err(StoreError::from)?;
        let job = &grant.job;
        let (at, own) = ((&job.tenant, &job.repo), own(&version));
        let Some(cache) = store.find_cache(at, &job.scope, &own, &keys, service.now())? else {
            return Ok(None);
        };
        let Content::Archive(digest) = cache.content else { return Ok(None) };
        if let Err(error) = store.trees.blobs().verify(digest) {
            if !error.is_lost() {
                return Err(StoreError::from(error).into());
            }
            store.drop_cache(at, &cache)?;
            return Ok(None);
        }
        drop(hold);
        let kind = "application/octet-stream";
        let address = service.offered(Download { job: job.job, store, digest, kind });
        let (key, scope, created) = (cache.key, cache.scope, cache.created);
        Ok(Some(FoundCache { key, scope, created, address }))
    })
    .await
}

/// Makes room for a cache of that key, unless there is one.
pub(super) async fn begin_cache(
    service: Arc<Service>,
    grant: Arc<Grant>,
    key: String,
    version: String,
) -> Result<Arc<Upload>, Refusal> {
    sound(&key)?;
    sound(&version)?;
    blocking(move || {
        let store = service.stores.caches()?;
        let job = &grant.job;
        let at = (&job.tenant, &job.repo);
        if job.scope.own.is_empty() || store.has_cache(at, &job.scope, &own(&version), &key) {
            return Err(Refusal::taken("there is a cache of this key, or this run may keep none"));
        }
        let scope = &job.scope;
        let scope = format!("{}/{}/{:?}/{}", job.tenant, job.repo, scope.trust, scope.own);
        let purpose = Purpose::Cache { key, version, scope };
        let ticket = service.random();
        service.transfers.begin(ticket, job.job, purpose, store, &grant.uploads)
    })
    .await
}

/// Keeps what was sent, which is whole; `false`: another was faster.
pub(super) async fn keep_cache(
    service: Arc<Service>,
    grant: Arc<Grant>,
    upload: Arc<Upload>,
) -> Result<bool, Refusal> {
    blocking(move || {
        let Purpose::Cache { key, version, .. } = upload.purpose.clone() else {
            return Err(Refusal::bad("it is no cache"));
        };
        let whole = upload.whole().ok_or_else(|| Refusal::bad("it is not whole yet"))?;
        let job = &grant.job;
        let content = Content::Archive(whole.digest);
        let new = NewCache { key, version: own(&version), content, bytes: whole.size };
        let now = service.now();
        let added = upload.store.add_cache((&job.tenant, &job.repo), &job.scope, new, now)?;
        service.transfers.end(&upload);
        let store = upload.store.clone();
        // What it holds keeps everything from being collected.
        drop(upload);
        if let Err(error) = store.tidy(now) {
            let error = grit_types::chain(&error);
            tracing::warn!(error, "what is over was not removed from a store");
        }
        Ok(added)
    })
    .await
}

/// What clients pack is theirs: it is never found by what is kept as files, nor the other way round.
fn own(version: &str) -> String {
    format!("archive {version}")
}

fn whole(upload: &Upload, size: Option<u64>, hash: Option<&str>) -> Result<Digest, Refusal> {
    let whole = upload.whole().ok_or_else(|| Refusal::bad("it is not whole yet"))?;
    if size.is_some_and(|size| size != whole.size) {
        return Err(Refusal::bad(format!("{} bytes came, and other than were told", whole.size)));
    }
    let told = hash.map(|hash| hash.trim_start_matches("sha256:"));
    if told.is_some_and(|told| !told.is_empty() && told != whole.digest.hex()) {
        return Err(Refusal::bad("other bytes came than were told"));
    }
    Ok(whole.digest)
}

fn sound(text: &str) -> Result<(), Refusal> {
    match text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains(',') {
        true => Err(Refusal::bad("a key or a version is empty, too long, or holds a comma")),
        false => Ok(()),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Days, from the moment at which it is to end.
fn retention(expires: Option<&str>, now: Timestamp) -> u32 {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let at = expires.and_then(Timestamp::parse_rfc3339);
    let days = at.map(|at| at.since(now).as_secs().div_ceil(DAY.as_secs()));
    days.map_or(0, |days| u32::try_from(days.clamp(1, 90)).unwrap_or(90))
}

fn refused(error: ArtifactError) -> Refusal {
    match error {
        ArtifactError::Taken(_) => Refusal::taken(error.to_string()),
        ArtifactError::Name(why) => Refusal::bad(why),
        ArtifactError::Store(error) => error.into(),
    }
}
