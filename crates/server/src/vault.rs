use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grit_control::ports::{RepoId, RepoSettings, Settings};
use grit_pipeline::plan::EnvironmentSpec;
use grit_pipeline::run::of_environment;
use grit_secret::{Book, BookError, Key, Listed, Name, OpenError, Scope, Secret};
use grit_types::{Entropy, Principal, Timestamp};

/// The secrets and variables of one data folder: `secrets.json`, and the key that seals it in
/// `keys/secrets.key`. Each change replaces the file as a whole before it is told.
pub struct Vault {
    path: PathBuf,
    key: Key,
    held: Mutex<Book>,
}

/// Why secrets cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("{} cannot be {action}", path.display())]
    File {
        path: PathBuf,
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is damaged, or of a newer Grit", path.display())]
    Damaged { path: PathBuf },
    #[error("the key {} is gone, and with it what the secrets are", path.display())]
    NoKey { path: PathBuf },
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("a secret cannot be opened")]
    Open(#[from] OpenError),
}

impl Vault {
    /// Opens that of a data folder; a new one, with a key of its own, where there is none.
    pub fn open(data: &Path, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        let path = data.join("secrets.json");
        let damaged = || VaultError::Damaged { path: path.clone() };
        let book: Book = match read(&path)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| damaged())?,
            None => Book::default(),
        };
        if !book.is_known() {
            return Err(damaged());
        }
        let key = key(&data.join("keys").join("secrets.key"), &book, entropy)?;
        Ok(Self { path, key, held: Mutex::new(book) })
    }

    /// Keeps a secret; it is durable before it is told.
    pub fn set_secret(
        &self,
        scope: Scope,
        name: Name,
        secret: &Secret,
        by: Principal,
        at: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), VaultError> {
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce);
        self.change(|book| book.set_secret(&self.key, nonce, scope, name, secret, by, at))
    }

    /// Keeps a variable.
    pub fn set_variable(
        &self,
        scope: Scope,
        name: Name,
        value: String,
        by: Principal,
        at: Timestamp,
    ) -> Result<(), VaultError> {
        self.change(|book| book.set_variable(scope, name, value, by, at))
    }

    /// Whether there was one.
    pub fn remove_secret(&self, scope: &Scope, name: &Name) -> Result<bool, VaultError> {
        self.change(|book| Ok(book.remove_secret(scope, name)))
    }

    /// Whether there was one.
    pub fn remove_variable(&self, scope: &Scope, name: &Name) -> Result<bool, VaultError> {
        self.change(|book| Ok(book.remove_variable(scope, name)))
    }

    /// The secrets of a scope, without their values: those are never told.
    pub fn secrets(&self, scope: &Scope) -> Vec<Listed> {
        self.held().secrets(scope)
    }

    /// The variables of a scope.
    pub fn variables(&self, scope: &Scope) -> Vec<Listed> {
        self.held().variables(scope)
    }

    /// What the marks of a job stand for: the secrets of its repository under their names, those
    /// of its environment, and of no other, as [`of_environment`] names them.
    pub fn values(
        &self,
        at: &RepoId,
        environment: Option<&str>,
    ) -> Result<BTreeMap<String, String>, VaultError> {
        let book = self.held().clone();
        let plain = |(name, secret): (Name, Secret)| (name.into(), secret.reveal().to_owned());
        let mut values: BTreeMap<String, String> =
            book.open(&self.key, &shared(at))?.into_iter().map(plain).collect();
        if let Some(environment) = environment {
            let own = book.open(&self.key, &[own(at, environment)])?;
            let own = own.into_iter().map(plain);
            values.extend(own.map(|(name, value)| (of_environment(&name), value)));
        }
        Ok(values)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Book) -> Result<T, BookError>,
    ) -> Result<T, VaultError> {
        let mut held = self.held();
        let mut book = held.clone();
        let changed = change(&mut book)?;
        let failed =
            |source| VaultError::File { path: self.path.clone(), action: "written", source };
        let bytes = serde_json::to_vec_pretty(&book).map_err(|error| failed(error.into()))?;
        grit_host::durable::write(&self.path, &bytes).map_err(failed)?;
        *held = book;
        Ok(changed)
    }

    fn held(&self) -> MutexGuard<'_, Book> {
        // It is replaced as a whole, so a panic leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings for Vault {
    fn of(&self, at: &RepoId) -> RepoSettings {
        let book = self.held();
        let texts = |scopes: &[Scope]| {
            let values = book.values(scopes).into_iter();
            values.map(|(name, value)| (name.into(), value)).collect()
        };
        let names =
            |scopes: &[Scope]| book.secret_names(scopes).into_iter().map(Into::into).collect();
        let environment = |name: String| {
            let scope = [own(at, &name)];
            let spec = EnvironmentSpec {
                vars: texts(&scope),
                secrets: names(&scope),
                ..EnvironmentSpec::default()
            };
            (name, spec)
        };
        let environments = book.environments(&at.tenant, &at.repo).into_iter();
        RepoSettings {
            secrets: names(&shared(at)),
            vars: texts(&shared(at)),
            environments: environments.map(environment).collect(),
        }
    }
}

/// What every job of the repository has, the repository's own in place of the tenant's.
fn shared(at: &RepoId) -> [Scope; 2] {
    let (tenant, repo) = (at.tenant.clone(), at.repo.clone());
    [Scope::Tenant { tenant: tenant.clone() }, Scope::Repository { tenant, repo }]
}

fn own(at: &RepoId, environment: &str) -> Scope {
    Scope::environment(at.tenant.clone(), at.repo.clone(), environment)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, VaultError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::File { path: path.to_owned(), action: "read", source }),
    }
}

/// The key of the folder. Where secrets are sealed with one that is gone, no other takes its place.
fn key(path: &Path, book: &Book, entropy: &dyn Entropy) -> Result<Key, VaultError> {
    if let Some(bytes) = read(path)? {
        let bytes: Result<[u8; 32], _> = bytes.try_into();
        return bytes.map(Key::new).map_err(|_| VaultError::Damaged { path: path.to_owned() });
    }
    if book.has_secrets() {
        return Err(VaultError::NoKey { path: path.to_owned() });
    }
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let failed = |source| VaultError::File { path: path.to_owned(), action: "written", source };
    if let Some(folder) = path.parent() {
        grit_host::durable::create_dir_all(folder).map_err(failed)?;
    }
    grit_host::durable::write(path, &bytes).map_err(failed)?;
    Ok(Key::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let next = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            bytes.fill(next);
        }
    }

    fn shop() -> RepoId {
        RepoId { tenant: grit_types::Tenant::local(), repo: "shop".parse().unwrap() }
    }

    fn set(vault: &Vault, scope: Scope, name: &str, value: &str) {
        let (name, secret) = (name.parse().unwrap(), Secret::new(value));
        let (by, at) = ("ann".parse().unwrap(), Timestamp::from_millis(0));
        let entropy = Counting(9.into());
        vault.set_secret(scope, name, &secret, by, at, &entropy).unwrap();
    }

    #[test]
    fn a_job_gets_its_own_environments_secrets_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path(), &Counting(1.into())).unwrap();
        let at = shop();
        set(&vault, shared(&at)[1].clone(), "TOKEN", "of-the-repository");
        set(&vault, own(&at, "Staging"), "TOKEN", "of-staging");
        set(&vault, own(&at, "production"), "KEY", "of-production");
        let staging = vault.values(&at, Some("staging")).unwrap();
        assert_eq!(staging["TOKEN"], "of-the-repository");
        assert_eq!(staging[&of_environment("TOKEN")], "of-staging");
        assert!(staging.values().all(|value| value != "of-production"), "another environment's");
        assert_eq!(vault.values(&at, None).unwrap().len(), 1);
    }

    #[test]
    fn secrets_outlive_a_restart_and_lie_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path(), &Counting(1.into())).unwrap();
        set(&vault, shared(&shop())[1].clone(), "TOKEN", "hunter2hunter2");
        drop(vault);
        let text = std::fs::read_to_string(folder.path().join("secrets.json")).unwrap();
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
        let key = folder.path().join("keys/secrets.key");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = Vault::open(folder.path(), &Counting(5.into())).unwrap();
        assert_eq!(again.values(&shop(), None).unwrap()["TOKEN"], "hunter2hunter2");
        std::fs::remove_file(key).unwrap();
        let gone = Vault::open(folder.path(), &Counting(5.into()));
        assert!(matches!(gone, Err(VaultError::NoKey { .. })));
    }
}
