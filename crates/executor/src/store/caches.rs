use std::path::{Path, PathBuf};
use std::time::Duration;

use grit_host::durable;
use grit_pipeline::keep::{JobScope, Trust};
use grit_types::{Digest, Repo, Tenant, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Content, Store, StoreError, UNUSED_DAYS_MAX, record};

/// A cache that there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cache {
    v: u32,
    pub key: String,
    version: String,
    /// The ref that it was kept under.
    pub scope: String,
    /// In milliseconds since 1970.
    pub created: i64,
    bytes: u64,
    pub content: Content,
}

/// A cache that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewCache {
    pub key: String,
    /// What it can be restored as: a digest of its paths, and of how it was packed.
    pub version: String,
    pub content: Content,
    pub bytes: u64,
}

/// Whose caches are read: of a ref, kept by jobs of that trust.
type Source<'a> = (Trust, &'a str);

impl Store {
    /// The cache of the first key, else the newest whose key begins with one of them, in their
    /// order; of the job's own ref, then of those that it reads besides. It counts as used.
    pub fn find_cache(
        &self,
        at: (&Tenant, &Repo),
        scope: &JobScope,
        version: &str,
        keys: &[String],
        now: Timestamp,
    ) -> Result<Option<Cache>, StoreError> {
        for (trust, name) in sources(scope) {
            let folder = self.folder(at, trust);
            let all = record::all::<Cache>(&folder).map_err(StoreError::io("read", &folder))?;
            let mut all: Vec<(PathBuf, Cache)> = all
                .into_iter()
                .filter(|(_, cache)| cache.scope == name && cache.version == version)
                .collect();
            all.sort_by(|(_, a), (_, b)| (b.created, &b.key).cmp(&(a.created, &a.key)));
            if let Some((path, cache)) = choose(all, keys) {
                // Who cannot write the store can still read it.
                if let Err(error) = record::touch(&path, now) {
                    tracing::debug!(%error, "the use of a cache is not noted");
                }
                return Ok(Some(cache));
            }
        }
        Ok(None)
    }

    /// Whether the job's own ref has a cache of that key.
    pub fn has_cache(
        &self,
        at: (&Tenant, &Repo),
        scope: &JobScope,
        version: &str,
        key: &str,
    ) -> bool {
        let Some((trust, name)) = target(scope) else { return false };
        self.folder(at, trust).join(file_name(name, version, key)).exists()
    }

    /// Keeps a cache under the job's own ref; `false`: there is one of that key, or the job keeps
    /// none. What is answered is on the disk.
    pub fn add_cache(
        &self,
        at: (&Tenant, &Repo),
        scope: &JobScope,
        new: NewCache,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some((trust, name)) = target(scope) else { return Ok(false) };
        let path = self.folder(at, trust).join(file_name(name, &new.version, &new.key));
        let NewCache { key, version, content, bytes } = new;
        let created = now.millis();
        let cache = Cache { v: 1, key, version, scope: name.to_owned(), created, bytes, content };
        let added = record::create(&path, &cache).map_err(StoreError::io("write", &path))?;
        if added {
            record::touch(&path, now).map_err(StoreError::io("write", &path))?;
        }
        Ok(added)
    }

    /// Forgets a cache that cannot be restored.
    pub fn drop_cache(&self, at: (&Tenant, &Repo), cache: &Cache) -> Result<(), StoreError> {
        for trust in [Trust::Inside, Trust::Outside] {
            let folder = self.folder(at, trust);
            let path = folder.join(file_name(&cache.scope, &cache.version, &cache.key));
            let there = record::all::<Cache>(&folder).map_err(StoreError::io("read", &folder))?;
            if there.iter().any(|(known, record)| *known == path && record == cache) {
                durable::remove(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// What all caches of all repositories hold.
    pub(super) fn cached(&self) -> Result<Vec<Content>, StoreError> {
        let mut contents = Vec::new();
        for repo in self.repos()? {
            let records = records_of(&repo)?;
            contents.extend(records.into_iter().map(|(_, cache)| cache.content));
        }
        Ok(contents)
    }

    /// Removes caches that nobody uses, and of each repository as many as are too many; answers
    /// how many.
    pub(super) fn expire_caches(&self, now: Timestamp) -> Result<usize, StoreError> {
        let unused = Duration::from_secs(UNUSED_DAYS_MAX * 24 * 60 * 60);
        let mut gone = 0;
        for repo in self.repos()? {
            let mut kept = Vec::new();
            for (path, cache) in records_of(&repo)? {
                let used = record::used(&path).map_err(StoreError::io("look at", &path))?;
                if now.since(used) > unused {
                    durable::remove(&path).map_err(StoreError::io("remove", &path))?;
                    gone += 1;
                } else {
                    kept.push((used, path, cache.bytes));
                }
            }
            kept.sort();
            let mut bytes: u64 = kept.iter().map(|(_, _, bytes)| *bytes).sum();
            for (_, path, size) in kept {
                if bytes <= self.repo_bytes_max {
                    break;
                }
                durable::remove(&path).map_err(StoreError::io("remove", &path))?;
                bytes = bytes.saturating_sub(size);
                gone += 1;
            }
        }
        Ok(gone)
    }

    fn repos(&self) -> Result<Vec<PathBuf>, StoreError> {
        let root = self.root.join("caches");
        let list = |folder: &Path| record::entries(folder).map_err(StoreError::io("read", folder));
        let mut repos = Vec::new();
        for tenant in list(&root)? {
            repos.extend(list(&tenant)?);
        }
        Ok(repos)
    }

    fn folder(&self, (tenant, repo): (&Tenant, &Repo), trust: Trust) -> PathBuf {
        let root = self.root.join("caches").join(tenant.as_str()).join(repo.as_str());
        root.join(trust_name(trust))
    }
}

fn records_of(repo: &Path) -> Result<Vec<(PathBuf, Cache)>, StoreError> {
    let mut records = Vec::new();
    for trust in [Trust::Inside, Trust::Outside] {
        let folder = repo.join(trust_name(trust));
        records.extend(record::all(&folder).map_err(StoreError::io("read", &folder))?);
    }
    Ok(records)
}

/// Two worlds: whatever refs are called, what one keeps is never looked at for the other.
fn trust_name(trust: Trust) -> &'static str {
    match trust {
        Trust::Inside => "inside",
        Trust::Outside => "outside",
    }
}

/// Where a job's caches are kept.
fn target(scope: &JobScope) -> Option<Source<'_>> {
    (!scope.own.is_empty()).then_some((scope.trust, scope.own.as_str()))
}

/// Where a job's caches come from. From outside it reads what those inside keep, never the other
/// way round.
fn sources(scope: &JobScope) -> Vec<Source<'_>> {
    let others = scope.reads.iter().map(|name| (Trust::Inside, name.as_str()));
    target(scope).into_iter().chain(others).collect()
}

fn choose(mut all: Vec<(PathBuf, Cache)>, keys: &[String]) -> Option<(PathBuf, Cache)> {
    let exact = |key: &String| all.iter().position(|(_, cache)| cache.key == *key);
    let begins =
        |key: &String| all.iter().position(|(_, cache)| cache.key.starts_with(key.as_str()));
    let at = keys.first().and_then(exact).or_else(|| keys.iter().find_map(begins))?;
    Some(all.swap_remove(at))
}

fn file_name(scope: &str, version: &str, key: &str) -> String {
    format!("{}.json", Digest::of(format!("{scope}\0{version}\0{key}").as_bytes()).hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(trust: Trust, own: &str, reads: &[&str]) -> JobScope {
        let reads = reads.iter().map(ToString::to_string).collect();
        JobScope { trust, own: own.to_owned(), reads }
    }

    struct Shelf {
        _folder: tempfile::TempDir,
        store: Store,
        tenant: Tenant,
        repo: Repo,
    }

    fn at(days: i64, millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + days * 86_400_000 + millis)
    }

    impl Shelf {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            Self { _folder: folder, store, tenant: Tenant::local(), repo: "shop".parse().unwrap() }
        }

        fn add(&self, scope: &JobScope, key: &str, now: Timestamp) -> bool {
            let bytes = key.repeat(10);
            let blob = self.store.trees.blobs().put(&mut bytes.as_bytes()).unwrap();
            let content = Content::Archive(blob.digest);
            let new =
                NewCache { key: key.to_owned(), version: "v".to_owned(), content, bytes: 100 };
            self.store.add_cache((&self.tenant, &self.repo), scope, new, now).unwrap()
        }

        fn find(&self, scope: &JobScope, keys: &[&str], now: Timestamp) -> Option<String> {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            let at = (&self.tenant, &self.repo);
            self.store.find_cache(at, scope, "v", &keys, now).unwrap().map(|cache| cache.key)
        }
    }

    #[test]
    fn the_newest_of_the_first_key_that_fits() {
        let shelf = Shelf::new();
        let main = scope(Trust::Inside, "refs/heads/main", &[]);
        for (number, key) in ["npm-1", "npm-2", "npm-20", "other"].into_iter().enumerate() {
            assert!(shelf.add(&main, key, at(0, number as i64)));
        }
        let find = |keys: &[&str]| shelf.find(&main, keys, at(0, 9));
        assert_eq!(find(&["npm-2"]).unwrap(), "npm-2", "the key itself before the newest");
        assert_eq!(find(&["npm-3", "npm-"]).unwrap(), "npm-20");
        assert_eq!(find(&["none", "oth", "npm"]).unwrap(), "other");
        assert_eq!(find(&["none"]), None);
        assert!(!shelf.add(&main, "npm-1", at(0, 10)), "it is never replaced");
        let wrong = shelf.store.find_cache(
            (&shelf.tenant, &shelf.repo),
            &main,
            "w",
            &["npm-1".to_owned()],
            at(0, 0),
        );
        assert_eq!(wrong.unwrap(), None, "of other paths");
    }

    #[test]
    fn a_branch_reads_its_own_first_then_the_default() {
        let shelf = Shelf::new();
        let main = scope(Trust::Inside, "refs/heads/main", &[]);
        let topic = scope(Trust::Inside, "refs/heads/topic", &["refs/heads/main"]);
        let other = scope(Trust::Inside, "refs/heads/other", &["refs/heads/main"]);
        shelf.add(&main, "k-main", at(0, 0));
        shelf.add(&topic, "k-topic", at(0, 1));
        assert_eq!(shelf.find(&topic, &["k-main", "k-"], at(0, 2)).unwrap(), "k-topic");
        assert_eq!(shelf.find(&other, &["k-"], at(0, 2)).unwrap(), "k-main");
        assert_eq!(shelf.find(&main, &["k-topic"], at(0, 2)), None);
        assert_eq!(shelf.find(&scope(Trust::Inside, "", &[]), &["k"], at(0, 2)), None);
        assert!(!shelf.add(&scope(Trust::Inside, "", &[]), "k", at(0, 2)));
    }

    #[test]
    fn what_a_stranger_keeps_nobody_inside_reads() {
        let shelf = Shelf::new();
        let main = scope(Trust::Inside, "refs/heads/main", &["refs/pull/1/merge"]);
        // Whatever a stranger says its ref is.
        for own in ["refs/heads/main", "refs/pull/1/merge"] {
            let stranger = scope(Trust::Outside, own, &["refs/heads/main"]);
            assert!(shelf.add(&stranger, &format!("poison-{own}"), at(0, 0)));
            assert!(shelf.find(&stranger, &["poison"], at(0, 1)).is_some());
        }
        assert_eq!(shelf.find(&main, &["poison"], at(0, 1)), None);
        shelf.add(&main, "good", at(0, 2));
        let stranger = scope(Trust::Outside, "refs/pull/2/merge", &["refs/heads/main"]);
        assert_eq!(shelf.find(&stranger, &["good"], at(0, 3)).unwrap(), "good");
    }

    #[test]
    fn what_is_used_least_goes_first() {
        let mut shelf = Shelf::new();
        shelf.store.repo_bytes_max = 250;
        let main = scope(Trust::Inside, "refs/heads/main", &[]);
        for (number, key) in ["a", "b", "c"].into_iter().enumerate() {
            shelf.add(&main, key, at(0, number as i64));
        }
        assert_eq!(shelf.find(&main, &["a"], at(0, 10)).unwrap(), "a");
        shelf.store.tidy(at(0, 11)).unwrap();
        let blobs = || record::entries(&shelf.store.root.join("blobs/sha256")).unwrap().len();
        assert_eq!(shelf.find(&main, &["b"], at(1, 0)), None);
        assert_eq!((shelf.find(&main, &["c"], at(1, 0)).unwrap(), blobs()), ("c".to_owned(), 2));
        shelf.store.tidy(at(7, 1000)).unwrap();
        assert_eq!(shelf.find(&main, &["a"], at(8, 0)), None, "unused for a week");
        assert_eq!((shelf.find(&main, &["c"], at(8, 0)).is_some(), blobs()), (true, 1));
    }
}
