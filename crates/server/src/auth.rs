//! Who asks, and what they may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grit_control::ports::RepoId;
use grit_pipeline::JobSpec;
use grit_pipeline::plan::{Access, Permissions};
use grit_types::{
    Actor, Clock, CommitId, Digest, Entropy, JobId, NameError, Principal, Role, RunId, Timestamp,
    TokenId,
};
use serde::{Deserialize, Serialize};

/// What a request does; see [`Action::role`] for who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Read,
    Push,
    Deploy,
    Steer,
    /// The gate itself says which roles count.
    Approve,
    ManageTokens,
    PublishArtifact,
    /// The names of secrets, and variables.
    ReadSettings,
    ManageSettings,
    /// Start a pipeline by hand, cancel a run, run once more.
    RunPipelines,
    /// Tell that something happened elsewhere.
    TellEvent,
}

impl Action {
    /// The weakest role that may; `None`: no person may, only a job.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Read | Self::Approve => Some(Role::Viewer),
            Self::Push | Self::Deploy | Self::ReadSettings => Some(Role::Member),
            Self::RunPipelines | Self::TellEvent => Some(Role::Member),
            Self::Steer | Self::ManageSettings => Some(Role::Admin),
            Self::ManageTokens => Some(Role::Owner),
            Self::PublishArtifact => None,
        }
    }

    /// What a job's token must be permitted, any of these; none: no job may.
    fn permission(self) -> &'static [(&'static str, Access)] {
        match self {
            Self::Read => &[("contents", Access::Read), ("actions", Access::Read)],
            Self::PublishArtifact => &[("packages", Access::Write)],
            Self::RunPipelines => &[("actions", Access::Write)],
            Self::TellEvent => &[("contents", Access::Write)],
            Self::Push | Self::Deploy | Self::Steer | Self::Approve => &[],
            Self::ManageTokens | Self::ReadSettings | Self::ManageSettings => &[],
        }
    }
}

/// What a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    User {
        principal: Principal,
        role: Role,
    },
    /// A job of a run: what its `permissions` say, of its own repository and commit.
    Job {
        job: JobId,
        run: RunId,
        at: RepoId,
        commit: CommitId,
        permissions: Permissions,
    },
}

impl Grant {
    /// Whether it covers an action.
    pub fn allows(&self, action: Action) -> bool {
        match self {
            Self::User { role, .. } => action.role().is_some_and(|least| *role >= least),
            Self::Job { permissions, .. } => {
                let enough = |(scope, least): &(&str, Access)| permissions.of(scope) >= *least;
                action.permission().iter().any(enough)
            }
        }
    }

    /// Who it is, in the record.
    pub fn actor(&self) -> Actor {
        match self {
            Self::User { principal, .. } => Actor::new(principal.clone(), "api"),
            Self::Job { run, .. } => Actor::grit(format!("job/{run}")),
        }
    }
}

/// A person's token, as it is kept: never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub id: TokenId,
    pub principal: Principal,
    pub role: Role,
    /// Of the whole token.
    pub hash: Digest,
    pub created_at: Timestamp,
}

/// A token that was just made: the only time its text is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewToken {
    pub id: TokenId,
    pub principal: Principal,
    pub role: Role,
    pub token: String,
}

/// Why tokens cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{} cannot be {action}", path.display())]
    File {
        path: PathBuf,
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Name(#[from] NameError),
}

#[derive(Serialize, Deserialize)]
struct File {
    v: u32,
    tokens: Vec<TokenRecord>,
}

/// The people's tokens of one data folder, in a file that only its owner reads.
pub struct Tokens {
    path: PathBuf,
    held: Mutex<Vec<TokenRecord>>,
}

impl Tokens {
    /// Opens `keys/tokens.json` of a data folder, new where there is none.
    pub fn open(data: &Path) -> Result<Self, TokenError> {
        let path = data.join("keys").join("tokens.json");
        let held = match std::fs::read(&path) {
            Ok(bytes) => {
                let damaged = |source| TokenError::Damaged { path: path.clone(), source };
                serde_json::from_slice::<File>(&bytes).map_err(damaged)?.tokens
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![],
            Err(source) => return Err(TokenError::File { path, action: "read", source }),
        };
        Ok(Self { path, held: Mutex::new(held) })
    }

    /// Makes a token; it is durable before it is told.
    pub fn create(
        &self,
        principal: Principal,
        role: Role,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<NewToken, TokenError> {
        self.make(principal, role, clock, entropy, |_| true)
    }

    /// Makes a token that takes the place of all that the principal had.
    pub fn renew(
        &self,
        principal: Principal,
        role: Role,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<NewToken, TokenError> {
        let whose = principal.clone();
        self.make(principal, role, clock, entropy, |known| known.principal != whose)
    }

    fn make(
        &self,
        principal: Principal,
        role: Role,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
        kept: impl Fn(&TokenRecord) -> bool,
    ) -> Result<NewToken, TokenError> {
        let now = clock.now();
        let id = TokenId::new(now, entropy);
        let token = format!("grit_user_{id}_{}", secret(entropy));
        let record = TokenRecord {
            id,
            principal: principal.clone(),
            role,
            hash: Digest::of(token.as_bytes()),
            created_at: now,
        };
        let mut held = self.held();
        let tokens: Vec<TokenRecord> =
            held.iter().filter(|known| kept(known)).cloned().chain([record]).collect();
        self.write(&tokens)?;
        *held = tokens;
        Ok(NewToken { id, principal, role, token })
    }

    /// Those that there are.
    pub fn list(&self) -> Vec<TokenRecord> {
        self.held().clone()
    }

    fn find(&self, hash: &Digest) -> Option<Grant> {
        let held = self.held();
        let record = held.iter().find(|record| record.hash == *hash)?;
        Some(Grant::User { principal: record.principal.clone(), role: record.role })
    }

    fn held(&self) -> MutexGuard<'_, Vec<TokenRecord>> {
        // It is replaced as a whole, so a panic leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, tokens: &[TokenRecord]) -> Result<(), TokenError> {
        let file = File { v: 1, tokens: tokens.to_vec() };
        let failed =
            |source| TokenError::File { path: self.path.clone(), action: "written", source };
        let bytes = serde_json::to_vec_pretty(&file).map_err(|error| failed(error.into()))?;
        if let Some(folder) = self.path.parent() {
            grit_host::durable::create_dir_all(folder).map_err(failed)?;
        }
        grit_host::durable::write(&self.path, &bytes).map_err(failed)
    }
}

/// Tokens of running jobs; they end with the job, and with the process.
#[derive(Default)]
pub struct JobTokens {
    held: Mutex<BTreeMap<JobId, (String, Grant)>>,
}

impl JobTokens {
    /// The token of a job, the same as long as it runs.
    pub fn of(&self, job: &JobSpec, entropy: &dyn Entropy) -> String {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, _) = held.entry(job.job).or_insert_with(|| {
            let grant = Grant::Job {
                job: job.job,
                run: job.run,
                at: RepoId { tenant: job.tenant.clone(), repo: job.repo.clone() },
                commit: job.commit.clone(),
                permissions: job.permissions.clone(),
            };
            (format!("grit_job_{}_{}", job.run, secret(entropy)), grant)
        });
        token.clone()
    }

    /// Ends the token of a job.
    pub fn revoke(&self, job: JobId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    fn find(&self, hash: &Digest) -> Option<Grant> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = held.values();
        let found = known.find(|(token, _)| Digest::of(token.as_bytes()) == *hash);
        found.map(|(_, grant)| grant.clone())
    }
}

/// What a token stands for. It is looked up by its hash, which tells nothing by the time it takes.
pub(crate) fn grant(tokens: &Tokens, jobs: &JobTokens, token: &str) -> Option<Grant> {
    let hash = Digest::of(token.as_bytes());
    tokens.find(&hash).or_else(|| jobs.find(&hash))
}

/// 160 random bits in hexadecimal.
fn secret(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 20];
    entropy.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_types::Tenant;

    fn job(permissions: Permissions) -> Grant {
        let zero = Timestamp::from_millis(0);
        Grant::Job {
            job: JobId::derived(zero, b"j"),
            run: RunId::derived(zero, b"r"),
            at: RepoId { tenant: Tenant::local(), repo: "shop".parse().unwrap() },
            commit: "0".repeat(40).parse().unwrap(),
            permissions,
        }
    }

    #[test]
    fn a_jobs_token_may_what_its_permissions_say() {
        let some = |scope: &str, access| Permissions {
            scopes: [(scope.to_owned(), access)].into(),
            ..Permissions::default()
        };
        let all = job(Permissions::by_default());
        assert!(all.allows(Action::Read) && all.allows(Action::PublishArtifact));
        assert!(all.allows(Action::RunPipelines) && all.allows(Action::TellEvent));
        for never in [
            Action::ManageSettings,
            Action::ReadSettings,
            Action::ManageTokens,
            Action::Approve,
            Action::Push,
            Action::Deploy,
            Action::Steer,
        ] {
            assert!(!all.allows(never), "{never:?}");
        }
        let reader = job(some("contents", Access::Read));
        assert!(reader.allows(Action::Read));
        assert!(!reader.allows(Action::PublishArtifact) && !reader.allows(Action::RunPipelines));
        assert!(!reader.allows(Action::TellEvent));
        assert!(!job(Permissions::default()).allows(Action::Read));
        assert!(job(some("packages", Access::Write)).allows(Action::PublishArtifact));
    }
}
