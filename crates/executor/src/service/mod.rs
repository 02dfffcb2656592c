//! The services that actions expect of the machine that runs them: results (artifacts and caches, by
//! Twirp), caches of the first version, the store behind signed addresses, and identity.
//!
//! One listener on 127.0.0.1 for all jobs of the machine, and a door for each job that containers
//! reach it from: at the gateway of their network, open to that network and that job alone. What a
//! job may is in the token that it is given, which is good for that job and only as long as it is
//! there. What jobs send is theirs and hostile: names are checked, sizes bounded, and whose caches
//! are written follows from the job, never from what it says.
//!
//! Source of the shapes: what the toolkit's clients send and read (`@actions/artifact` 2 and later,
//! `@actions/cache` 3 and later), and the REST API of Azure's blob store.

mod blob;
mod cache_v1;
mod door;
mod grant;
mod identity;
mod range;
mod results;
mod transfer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use grit_pipeline::plan::Access;
use grit_pipeline::{JobSpec, StepSpec};
use grit_types::{Clock, Entropy, JobId, Timestamp};
use serde_json::json;

use crate::host::locked;
use crate::store::{StoreError, Stores};
pub(crate) use door::Services;
use grant::{Grant, Grants};
use identity::Identity;
use transfer::Transfers;

/// The services, as one listener has them; all of them share what they know.
#[derive(Clone)]
pub(crate) struct Service {
    /// `http://127.0.0.1:PORT`.
    base: String,
    /// Whom it serves; `None`: everybody.
    only: Option<JobId>,
    stores: Arc<Stores>,
    grants: Arc<Mutex<Grants>>,
    transfers: Arc<Transfers>,
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What a service stands on.
pub(crate) struct Ground {
    pub stores: Arc<Stores>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Where the key of identities is kept; `None`: it goes with the process.
    pub keys: Option<PathBuf>,
}

/// What a step is given to reach the services.
pub(crate) struct Given {
    pub variables: BTreeMap<String, String>,
    /// What of it no log may show.
    pub secrets: Vec<String>,
}

type Shared = axum::extract::State<Arc<Service>>;

impl Service {
    fn new(ground: Ground, base: String) -> io::Result<Self> {
        let Ground { stores, clock, entropy, keys } = ground;
        let identity = Arc::new(Identity::open(keys.as_deref(), entropy.as_ref())?);
        let (grants, transfers) = (Arc::default(), Arc::default());
        Ok(Self { base, only: None, stores, grants, transfers, identity, clock, entropy })
    }

    /// The same under another address, for one job.
    fn at(&self, base: String, job: JobId) -> Self {
        Self { base, only: Some(job), ..self.clone() }
    }

    /// What a step needs to reach the services: `all` of them, or only the one that says who it is.
    pub fn give(&self, job: &JobSpec, step: &StepSpec, uploads: PathBuf, all: bool) -> Given {
        let now = self.now();
        let grant = Grant::new(job, step, uploads);
        let token = {
            let mut grants = locked(&self.grants);
            grants.issue(grant, &self.base, now, self.entropy.as_ref())
        };
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: String| drop(variables.insert(name.to_owned(), value));
        if all {
            let url = format!("{}/", self.base);
            for name in ["ACTIONS_RUNTIME_URL", "ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL"] {
                set(name, url.clone());
            }
            set("ACTIONS_RUNTIME_TOKEN", token.clone());
            set("ACTIONS_CACHE_SERVICE_V2", "True".to_owned());
        }
        if may_say_who_it_is(job) {
            let url = format!("{}/idtoken/{}?api-version=2.0", self.base, job.job);
            set("ACTIONS_ID_TOKEN_REQUEST_URL", url);
            set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token.clone());
        }
        Given { variables, secrets: vec![token] }
    }

    /// The job is over: its tokens and addresses are no longer good.
    fn forget(&self, job: JobId) {
        locked(&self.grants).forget(job);
        self.transfers.forget(job);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whose token it is.
    fn caller(&self, headers: &HeaderMap) -> Result<Arc<Grant>, Refusal> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let found = token.and_then(|token| locked(&self.grants).find(token));
        let found = found.filter(|grant| self.only.is_none_or(|job| job == grant.job.job));
        found.ok_or_else(|| {
            Refusal::new(StatusCode::UNAUTHORIZED, "unauthenticated", "no valid token")
        })
    }

    /// So many random bits, as text for an address.
    fn random(&self) -> String {
        let mut bytes = [0; 24];
        self.entropy.fill(&mut bytes);
        hex::encode(bytes)
    }
}

/// Whether the job's permissions say `id-token: write`.
pub(crate) fn may_say_who_it_is(job: &JobSpec) -> bool {
    !job.from_outside && job.permissions.of("id-token") == Access::Write
}

fn routes(service: Arc<Service>) -> Router {
    let artifacts = "/twirp/github.actions.results.api.v1.ArtifactService";
    let caches = "/twirp/github.actions.results.api.v1.CacheService";
    Router::new()
        .route(&format!("{artifacts}/CreateArtifact"), post(results::create_artifact))
        .route(&format!("{artifacts}/FinalizeArtifact"), post(results::finalize_artifact))
        .route(&format!("{artifacts}/ListArtifacts"), post(results::list_artifacts))
        .route(&format!("{artifacts}/GetSignedArtifactURL"), post(results::signed_artifact_url))
        .route(&format!("{artifacts}/DeleteArtifact"), post(results::delete_artifact))
        .route(&format!("{caches}/CreateCacheEntry"), post(results::create_cache_entry))
        .route(&format!("{caches}/FinalizeCacheEntryUpload"), post(results::finalize_cache_entry))
        .route(&format!("{caches}/GetCacheEntryDownloadURL"), post(results::cache_download_url))
        .route("/_apis/artifactcache/cache", get(cache_v1::find))
        .route("/_apis/artifactcache/caches", post(cache_v1::reserve))
        .route("/_apis/artifactcache/caches/{id}", post(cache_v1::commit).patch(cache_v1::upload))
        .route(&format!("{}/{{ticket}}", blob::PATH), put(blob::put).get(blob::get))
        .route("/idtoken/{job}", get(identity::token))
        .route("/.well-known/openid-configuration", get(identity::configuration))
        .route("/.well-known/jwks", get(identity::keys))
        .fallback(async || Refusal::not_found("bad_route", "there is no such route"))
        .with_state(service)
}

/// Why a request is not done, as Twirp says it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
    }

    fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    fn taken(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "already_exists", message)
    }

    fn too_large() -> Self {
        let message = "there is more of it than is kept";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "resource_exhausted", message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = grit_types::chain(&error);
        tracing::warn!(error = message, "a service of jobs cannot use its store");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.code, "msg": self.message, "message": self.message });
        (self.status, axum::Json(body)).into_response()
    }
}
