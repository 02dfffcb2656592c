//! Who asks, and what they may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grit_control::ports::RepoId;
use grit_types::{
    Actor, Clock, CommitId, Digest, Entropy, NameError, Principal, Role, RunId, Timestamp, TokenId,
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
}

impl Action {
    /// The weakest role that may; `None`: no person may, only a job.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Read | Self::Approve => Some(Role::Viewer),
            Self::Push | Self::Deploy => Some(Role::Member),
            Self::Steer => Some(Role::Admin),
            Self::ManageTokens => Some(Role::Owner),
            Self::PublishArtifact => None,
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
    /// A job of a run: it may publish artifacts of its own commit, and read.
    Job {
        run: RunId,
        at: RepoId,
        commit: CommitId,
    },
}

impl Grant {
    /// Whether it covers an action.
    pub fn allows(&self, action: Action) -> bool {
        match self {
            Self::User { role, .. } => action.role().is_some_and(|least| *role >= least),
            Self::Job { .. } => matches!(action, Action::Read | Action::PublishArtifact),
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

/// Tokens of running jobs; they end with the process, and so do its jobs' attempts.
#[derive(Default)]
pub struct JobTokens {
    held: Mutex<BTreeMap<Digest, Grant>>,
}

impl JobTokens {
    /// A token for the jobs of a run.
    pub fn issue(&self, run: RunId, at: RepoId, commit: CommitId, entropy: &dyn Entropy) -> String {
        let token = format!("grit_job_{run}_{}", secret(entropy));
        let grant = Grant::Job { run, at, commit };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(Digest::of(token.as_bytes()), grant);
        token
    }

    /// Ends the tokens of a run.
    pub fn revoke(&self, run: RunId) {
        let of_run = |grant: &Grant| matches!(grant, Grant::Job { run: of, .. } if *of == run);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, grant| !of_run(grant));
    }

    fn find(&self, hash: &Digest) -> Option<Grant> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
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
