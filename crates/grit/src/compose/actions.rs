//! Actions of others: from a mirror or from their host, at the commit that `grit.lock` says.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use grit_executor::{ActionRepo, Actions};
use grit_git::{Elsewhere, GitError, Repository};
use grit_host::durable;
use grit_pipeline::JobSpec;
use grit_types::CommitId;

use super::pins::{Pin, Pins};

/// Where actions live unless somebody says so.
const HOST_DEFAULT: &str = "https://github.com";
const LOCK_BYTES_MAX: u64 = 4 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where actions are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// Holds `OWNER/REPO.git`.
    pub mirror: Option<PathBuf>,
    /// Before `/OWNER/REPO`; none: nothing is fetched from a host.
    pub host: Option<String>,
}

impl Places {
    /// As the environment says, else the settings of the repository that is worked in.
    pub fn find(repository: Option<&Repository>) -> Self {
        let setting = |variable: &str, name: &str| {
            let set = std::env::var(variable).ok().filter(|value| !value.is_empty());
            set.or_else(|| repository?.setting(name).ok().flatten())
        };
        let host = setting("GRIT_ACTIONS_URL", "grit.actionsUrl");
        let host = host.unwrap_or_else(|| HOST_DEFAULT.to_owned());
        Self {
            mirror: setting("GRIT_ACTIONS_MIRROR", "grit.actionsMirror").map(PathBuf::from),
            host: (host != "off").then(|| host.trim_end_matches('/').to_owned()),
        }
    }

    /// The bare repository of the mirror, where it has one.
    pub fn mirrored(&self, owner: &str, repo: &str) -> Option<PathBuf> {
        let path = self.mirror.as_ref()?.join(owner).join(format!("{repo}.git"));
        path.is_dir().then_some(path)
    }

    /// Where to ask, and whether that is on this machine.
    fn source(&self, owner: &str, repo: &str) -> Option<(String, bool)> {
        if let Some(path) = self.mirrored(owner, repo) {
            return Some((path.display().to_string(), true));
        }
        self.host.as_ref().map(|host| (format!("{host}/{owner}/{repo}"), false))
    }

    /// The commit that the reference is now, and where.
    pub fn ask(&self, wanted: &ActionRepo) -> Result<(Elsewhere, String), BoxError> {
        let ActionRepo { owner, repo, reference } = wanted;
        let (url, _) = self.source(owner, repo).ok_or_else(|| self.nowhere(wanted))?;
        let found = Elsewhere::ask(&url, reference);
        let found = found.map_err(|error| self.unreachable(wanted, &url, &error))?;
        let found =
            found.ok_or_else(|| format!("there is no `{reference}` in {owner}/{repo} at {url}"))?;
        Ok((found, url))
    }

    fn nowhere(&self, wanted: &ActionRepo) -> String {
        format!(
            "`{wanted}` is not built in, not in .grit/actions and in no mirror, and nothing is \
             fetched from a host here"
        )
    }

    fn unreachable(&self, wanted: &ActionRepo, url: &str, error: &GitError) -> String {
        format!(
            "`{wanted}` is not built in, not in .grit/actions and in no mirror, and {url} does not \
             answer: {}",
            grit_types::chain(error)
        )
    }
}

/// Reads the `grit.lock` of a job's commit.
pub type ReadLock = Box<dyn Fn(&JobSpec) -> Result<Option<String>, BoxError> + Send + Sync>;

/// Whose `grit.lock` counts.
pub enum Pinning {
    /// That of the working tree; what is fetched for the first time is written there.
    WorkingTree(PathBuf),
    /// That of the commit; nothing is written.
    Commit(ReadLock),
}

/// Fetched actions, kept as bare repositories: a commit that is there is never asked for again.
pub struct GitActions {
    pub places: Places,
    /// `DATA/actions`.
    pub store: PathBuf,
    pub pinning: Pinning,
    /// One at a time: the store and the file are written.
    pub alone: Mutex<()>,
}

impl Actions for GitActions {
    fn fetch(&self, job: &JobSpec, wanted: &ActionRepo, into: &Path) -> Result<String, BoxError> {
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let key = wanted.to_string();
        let mut pins = Pins::read(self.lock_text(job)?.as_deref())?;
        let kept = self.kept(wanted)?;
        let (commit, from) = self.commit(wanted, &key, &pins, &kept)?;
        kept.export_tree(&commit, into)?;
        let mut said = format!("`{key}` is {commit}, from {from}.");
        if pins.get(&key).is_none() {
            match &self.pinning {
                Pinning::WorkingTree(folder) => {
                    pins.set(&key, Pin { commit, from });
                    durable::write(&folder.join(Pins::FILE), pins.text().as_bytes())?;
                    said.push_str(" It is pinned in grit.lock.");
                }
                Pinning::Commit(_) => {
                    said.push_str(" It is not pinned: `grit pipeline pin` does that.");
                }
            }
        }
        Ok(said)
    }
}

impl GitActions {
    fn lock_text(&self, job: &JobSpec) -> Result<Option<String>, BoxError> {
        match &self.pinning {
            Pinning::WorkingTree(folder) => lock_text(folder),
            Pinning::Commit(read) => read(job),
        }
    }

    /// What is kept of an action's repository.
    fn kept(&self, wanted: &ActionRepo) -> Result<Repository, BoxError> {
        let path = self.store.join(&wanted.owner).join(format!("{}.git", wanted.repo));
        match path.is_dir() {
            true => Ok(Repository::open(&path)?),
            false => Ok(Repository::init_bare(&path)?),
        }
    }

    /// The commit that is meant, which is in `kept` then. A host is not asked for what is pinned
    /// and there; a mirror, which costs nothing, is.
    fn commit(
        &self,
        wanted: &ActionRepo,
        key: &str,
        pins: &Pins,
        kept: &Repository,
    ) -> Result<(CommitId, String), BoxError> {
        let is_mirrored = self.places.mirrored(&wanted.owner, &wanted.repo).is_some();
        if let Some(pin) = pins.get(key)
            && !is_mirrored
            && kept.commit_info(&pin.commit).is_ok()
        {
            return Ok((pin.commit.clone(), pin.from.clone()));
        }
        let (found, url) = self.places.ask(wanted)?;
        pins.check(key, &found.commit, &url)?;
        kept.bring(&url, &found)?;
        Ok((found.commit, url))
    }
}

/// What is pinned in a folder's file.
pub fn lock_text(folder: &Path) -> Result<Option<String>, BoxError> {
    use std::io::Read;
    let file = match std::fs::File::open(folder.join(Pins::FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    file.take(LOCK_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}
