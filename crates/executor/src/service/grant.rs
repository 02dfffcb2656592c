use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grit_pipeline::keep::{JobScope, Trust};
use grit_pipeline::{JobSpec, StepSpec};
use grit_types::{Digest, Entropy, JobId, Timestamp};
use serde_json::{Value, json};

/// What a token says of its end. It ends with its job all the same.
const LIFETIME: Duration = Duration::from_secs(36 * 60 * 60);

/// What a token stands for.
#[derive(Debug)]
pub(super) struct Grant {
    pub job: JobSpec,
    pub attempt: u32,
    /// The `GITHUB_` variables of the step that it was given to, which no step can change.
    pub names: BTreeMap<String, String>,
    /// Where what the job sends lies until it is whole.
    pub uploads: PathBuf,
}

impl Grant {
    pub fn new(job: &JobSpec, step: &StepSpec, uploads: PathBuf) -> Self {
        let github = step.env.iter().filter(|(name, _)| name.starts_with("GITHUB_"));
        let names: BTreeMap<String, String> =
            github.map(|(name, value)| (name.clone(), value.clone())).collect();
        let attempt = names.get("GITHUB_RUN_ATTEMPT").and_then(|text| text.parse().ok());
        Self { job: job.clone(), attempt: attempt.unwrap_or(1), names, uploads }
    }

    /// A variable's value; empty where there is none.
    pub fn name(&self, name: &str) -> &str {
        self.names.get(name).map_or("", String::as_str)
    }
}

/// The tokens that are good, by their digests: they are looked up, which tells nothing by the time
/// it takes.
#[derive(Debug, Default)]
pub(super) struct Grants {
    tokens: HashMap<JobId, String>,
    grants: HashMap<Digest, Arc<Grant>>,
}

impl Grants {
    /// The job's token, which from now on stands for the grant.
    pub fn issue(
        &mut self,
        grant: Grant,
        issuer: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        let job = grant.job.job;
        let token = self.tokens.entry(job);
        let token = token.or_insert_with(|| token_of(&grant, issuer, now, entropy)).clone();
        self.grants.insert(Digest::of(token.as_bytes()), Arc::new(grant));
        token
    }

    pub fn find(&self, token: &str) -> Option<Arc<Grant>> {
        self.grants.get(&Digest::of(token.as_bytes())).cloned()
    }

    pub fn forget(&mut self, job: JobId) {
        if let Some(token) = self.tokens.remove(&job) {
            self.grants.remove(&Digest::of(token.as_bytes()));
        }
    }
}

/// In the shape of a JWT, whose claims clients read. What makes it good is its last part, which
/// nobody can guess; nobody else verifies it.
fn token_of(grant: &Grant, issuer: &str, now: Timestamp, entropy: &dyn Entropy) -> String {
    let JobSpec { run, job, scope, .. } = &grant.job;
    let seconds = now.millis() / 1000;
    let claims = json!({
        "scp": format!("Actions.Results:{run}:{job}"),
        "ac": access(scope).to_string(),
        "iss": issuer,
        "aud": issuer,
        "nbf": seconds,
        "iat": seconds,
        "exp": seconds + i64::try_from(LIFETIME.as_secs()).unwrap_or(0),
        "runid": run.to_string(),
        "orchid": job.to_string(),
    });
    let mut secret = [0; 32];
    entropy.fill(&mut secret);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode(secret))
}

/// Whose caches it reads (1) and writes (2), for clients that look: what is done follows from the
/// grant.
fn access(scope: &JobScope) -> Value {
    let own = (!scope.own.is_empty()).then(|| json!({ "Scope": scope.own, "Permission": 3 }));
    let own_name = if scope.trust == Trust::Inside { scope.own.as_str() } else { "" };
    let others = scope.reads.iter().filter(|name| *name != own_name);
    let others = others.map(|name| json!({ "Scope": name, "Permission": 1 }));
    own.into_iter().chain(others).collect()
}
