//! Tokens that say which job their bearer is, for whoever trusts this Grit (OpenID Connect).
//!
//! Signed with ES256 by a key of this machine; the keys are served, as discovery says. The claims
//! are the service's own.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as Named, Query, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grit_host::durable;
use grit_types::{Digest, Entropy, Timestamp};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde_json::{Map, Value, json};

use super::grant::Grant;
use super::{Refusal, Service, Shared, may_say_who_it_is};

/// A token is good for so long, in seconds.
const LIFETIME: i64 = 10 * 60;
const AUDIENCE_BYTES_MAX: usize = 1024;

/// Claims that are variables of every step.
const CLAIMS: [(&str, &str); 15] = [
    ("ref", "GITHUB_REF"),
    ("ref_type", "GITHUB_REF_TYPE"),
    ("sha", "GITHUB_SHA"),
    ("repository", "GITHUB_REPOSITORY"),
    ("repository_owner", "GITHUB_REPOSITORY_OWNER"),
    ("run_id", "GITHUB_RUN_ID"),
    ("run_number", "GITHUB_RUN_NUMBER"),
    ("run_attempt", "GITHUB_RUN_ATTEMPT"),
    ("actor", "GITHUB_ACTOR"),
    ("workflow", "GITHUB_WORKFLOW"),
    ("workflow_ref", "GITHUB_WORKFLOW_REF"),
    ("workflow_sha", "GITHUB_WORKFLOW_SHA"),
    ("event_name", "GITHUB_EVENT_NAME"),
    ("head_ref", "GITHUB_HEAD_REF"),
    ("base_ref", "GITHUB_BASE_REF"),
];

/// The key that identities are signed with.
pub(super) struct Identity {
    key: SigningKey,
    id: String,
}

impl Identity {
    /// The key in that folder, made where there is none; without a folder one of this process.
    pub fn open(keys: Option<&Path>, entropy: &dyn Entropy) -> io::Result<Self> {
        let path = keys.map(|keys| keys.join("identity.key"));
        let kept = match &path {
            Some(path) => read(path)?,
            None => None,
        };
        let key = match kept {
            Some(key) => key,
            None => make(path.as_deref(), entropy)?,
        };
        let public = VerifyingKey::from(&key).to_sec1_bytes();
        let id = Digest::of(&public).hex()[..16].to_owned();
        Ok(Self { key, id })
    }

    /// The two halves of the public key.
    fn point(&self) -> (String, String) {
        let public = VerifyingKey::from(&self.key).to_sec1_bytes();
        // A mark, then both coordinates: the form that is not compressed.
        let half =
            |from: usize| URL_SAFE_NO_PAD.encode(public.get(from..from + 32).unwrap_or_default());
        (half(1), half(33))
    }

    fn signed(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.id });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(claims));
        let signature: Signature = self.key.sign(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

fn read(path: &Path) -> io::Result<Option<SigningKey>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let bytes = hex::decode(text.trim()).map_err(io::Error::other)?;
    SigningKey::from_slice(&bytes).map(Some).map_err(io::Error::other)
}

/// Not every number is a key; nearly all are.
fn make(path: Option<&Path>, entropy: &dyn Entropy) -> io::Result<SigningKey> {
    for _ in 0..16 {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        let Ok(key) = SigningKey::from_slice(&bytes) else { continue };
        if let Some(path) = path {
            if let Some(folder) = path.parent() {
                durable::create_dir_all(folder)?;
            }
            durable::write(path, hex::encode(bytes).as_bytes())?;
        }
        return Ok(key);
    }
    Err(io::Error::other("the source of randomness gives no key"))
}

pub(super) async fn configuration(State(service): Shared) -> axum::Json<Value> {
    let base = &service.base;
    axum::Json(json!({
        "issuer": base,
        "jwks_uri": format!("{base}/.well-known/jwks"),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "scopes_supported": ["openid"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": CLAIMS.map(|(claim, _)| claim).into_iter()
            .chain(["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "environment"])
            .collect::<Vec<_>>(),
    }))
}

pub(super) async fn keys(State(service): Shared) -> axum::Json<Value> {
    let (x, y) = service.identity.point();
    let id = &service.identity.id;
    axum::Json(json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y
    }]}))
}

pub(super) async fn token(
    State(service): Shared,
    Named(job): Named<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Refusal> {
    let grant = service.caller(&headers)?;
    if !may_say_who_it_is(&grant.job) || job != grant.job.job.to_string() {
        let why = "the job has no `id-token: write`";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "permission_denied", why));
    }
    let audience = query.get("audience").filter(|audience| !audience.is_empty());
    if audience.is_some_and(|audience| audience.len() > AUDIENCE_BYTES_MAX) {
        return Err(Refusal::bad("the audience is too long"));
    }
    let claims = claims(&service, &grant, audience.cloned());
    Ok(axum::Json(json!({ "value": service.identity.signed(&claims) })))
}

fn claims(service: &Arc<Service>, grant: &Grant, audience: Option<String>) -> Value {
    let owner = grant.name("GITHUB_REPOSITORY_OWNER");
    let now: Timestamp = service.now();
    let seconds = now.millis() / 1000;
    let mut claims = Map::new();
    for (claim, variable) in CLAIMS {
        claims.insert(claim.to_owned(), grant.name(variable).into());
    }
    let environment = grant.job.environment.clone();
    claims.insert("sub".to_owned(), subject(grant).into());
    let audience = audience.unwrap_or_else(|| format!("{}/{owner}", service.base));
    claims.insert("aud".to_owned(), audience.into());
    claims.insert("iss".to_owned(), service.base.clone().into());
    claims.insert("jti".to_owned(), service.random().into());
    claims.insert("nbf".to_owned(), (seconds - 60).into());
    claims.insert("iat".to_owned(), seconds.into());
    claims.insert("exp".to_owned(), (seconds + LIFETIME).into());
    claims.insert("runner_environment".to_owned(), "self-hosted".into());
    claims.insert("ref_protected".to_owned(), "false".into());
    if let Some(environment) = environment {
        claims.insert("environment".to_owned(), environment.into());
    }
    Value::Object(claims)
}

/// What most trust policies look at: the environment, else the pull request, else the ref.
fn subject(grant: &Grant) -> String {
    let repository = grant.name("GITHUB_REPOSITORY");
    match (&grant.job.environment, grant.name("GITHUB_EVENT_NAME")) {
        (Some(environment), _) => {
            // A colon would begin another part.
            format!("repo:{repository}:environment:{}", environment.replace(':', "%3A"))
        }
        (None, "pull_request") => format!("repo:{repository}:pull_request"),
        (None, _) => format!("repo:{repository}:ref:{}", grant.name("GITHUB_REF")),
    }
}
