//! `actions/cache`: what a job keeps by a key, for later runs.

use std::sync::Arc;

use grit_blob::TreeError;
use grit_pipeline::keep::CACHE_KEY;
use grit_pipeline::{Conclusion, JobSpec, RunnerError};
use grit_types::Timestamp;

use super::ground::Ground;
use super::step::{Attempt, Made};
use super::{blocking, chain};
use crate::store::select::{Walk, select};
use crate::store::{Content, KEPT_BYTES_MAX, NewCache, Store, StoreError, Stores};

/// The variable in which the step that keeps a cache finds [`CACHE_KEY`].
const KEY_VARIABLE: &str = "STATE_CACHE_KEY";

/// A cache that is wanted.
pub(super) struct Wanted<'a> {
    pub keys: Vec<String>,
    pub paths: &'a [String],
    pub lookup_only: bool,
}

/// What the blocking part needs.
pub(super) struct Shelf {
    stores: Arc<Stores>,
    job: JobSpec,
    ground: Ground,
    version: String,
    now: Timestamp,
}

impl Shelf {
    pub fn of(at: &Attempt, paths: &[String]) -> Self {
        let ground = Ground::of(at);
        Self {
            stores: at.shared.stores.clone(),
            job: at.job.spec.clone(),
            version: ground.version(paths),
            ground,
            now: at.shared.config.clock.now(),
        }
    }

    /// The key of the cache that was restored. One that is damaged is forgotten.
    pub fn restore(
        &self,
        keys: &[String],
        lookup_only: bool,
    ) -> Result<Option<String>, StoreError> {
        let store = self.stores.caches()?;
        let _hold = store.trees.hold()?;
        let at = (&self.job.tenant, &self.job.repo);
        let found = store.find_cache(at, &self.job.scope, &self.version, keys, self.now)?;
        let Some(cache) = found else { return Ok(None) };
        let Content::Tree(tree) = cache.content else { return Ok(None) };
        if lookup_only {
            return Ok(Some(cache.key));
        }
        let anchor = |name: &std::ffi::OsStr| self.ground.anchor(name);
        let restored = store.trees.tree(tree).and_then(|tree| store.trees.restore(&tree, &anchor));
        match restored {
            Ok(_) => Ok(Some(cache.key)),
            Err(error) => {
                if matches!(&error, TreeError::Blob(error) if error.is_lost()) {
                    store.drop_cache(at, &cache)?;
                }
                Err(error.into())
            }
        }
    }

    /// Keeps what the paths select; what to say about it.
    pub fn save(&self, key: &str, paths: &[String]) -> Result<String, StoreError> {
        let store = self.stores.caches()?;
        let at = (&self.job.tenant, &self.job.repo);
        let there = "there is one already, or this run may keep none";
        if store.has_cache(at, &self.job.scope, &self.version, key) {
            return Ok(format!("The cache `{key}` is not kept: {there}."));
        }
        let all = Walk { follow: false, hidden: true };
        let selection = select(paths, self.ground.bases(), all)
            .map_err(StoreError::io("select files of", &self.ground.workspace))?;
        if selection.found.is_empty() {
            return Ok(format!("The cache `{key}` is not kept: none of its paths exist."));
        }
        let kept = {
            let _hold = store.trees.hold()?;
            let kept = store.trees.keep(&self.ground.items(&selection.found), KEPT_BYTES_MAX)?;
            let (key, version) = (key.to_owned(), self.version.clone());
            let content = Content::Tree(kept.tree);
            let new = NewCache { key, version, content, bytes: kept.bytes };
            store.add_cache(at, &self.job.scope, new, self.now)?.then_some(kept)
        };
        let Some(kept) = kept else {
            return Ok(format!("The cache `{key}` is not kept: {there}."));
        };
        tidy(&store, self.now);
        let (files, bytes) = (kept.files, kept.bytes);
        Ok(format!("Cache saved with key: {key} ({files} files, {bytes} bytes)"))
    }
}

/// What cannot be removed now is removed the next time.
pub(super) fn tidy(store: &Store, now: Timestamp) {
    if let Err(error) = store.tidy(now) {
        let error = chain(&error);
        tracing::warn!(error, "what is over was not removed from a store");
    }
}

/// Restores a cache; `must`: the step fails where there is none.
pub(super) async fn restore(
    at: &Attempt,
    wanted: Wanted<'_>,
    must: bool,
    made: &mut Made,
) -> Result<Conclusion, RunnerError> {
    if let Some(why) = refused(at, &wanted.keys) {
        at.say(&why).await?;
        return Ok(Conclusion::Exited(1));
    }
    let Wanted { keys, paths, lookup_only } = wanted;
    let paths = &own(at, paths).await?;
    let primary = keys[0].clone();
    let told = keys.join(", ");
    made.outputs.insert("cache-primary-key".to_owned(), primary.clone());
    made.state.insert(CACHE_KEY.to_owned(), primary.clone());
    let shelf = Shelf::of(at, paths);
    let work = blocking(move || shelf.restore(&keys, lookup_only));
    let found = tokio::select! {
        biased;
        found = work => found,
        conclusion = at.cut_short() => return Ok(conclusion),
    };
    let (said, is_there) = match found {
        Ok(Some(found)) => {
            made.outputs.insert("cache-hit".to_owned(), (found == primary).to_string());
            let verb = if lookup_only { "found and can be restored" } else { "restored" };
            let said = format!("Cache {verb} from key: {found}");
            made.outputs.insert("cache-matched-key".to_owned(), found);
            (said, true)
        }
        Ok(None) => (format!("Cache not found for input keys: {told}"), false),
        // A cache never fails a step by itself: what it holds can be made again.
        Err(error) => (format!("The cache is not used: {}", chain(&error)), false),
    };
    at.say(&said).await?;
    if must && !is_there {
        at.say(&format!("`fail-on-cache-miss` is set. Input key: {primary}")).await?;
        return Ok(Conclusion::Exited(1));
    }
    Ok(Conclusion::Exited(0))
}

/// Keeps the paths, unless there is a cache of that key. Whatever comes of it fails no step.
pub(super) async fn save(
    at: &Attempt,
    key: &str,
    paths: &[String],
) -> Result<Conclusion, RunnerError> {
    let key = at.spec.env.get(KEY_VARIABLE).map_or(key, String::as_str).to_owned();
    if let Some(why) = refused(at, std::slice::from_ref(&key)) {
        at.say(&why).await?;
        return Ok(Conclusion::Exited(0));
    }
    let paths = own(at, paths).await?;
    let shelf = Shelf::of(at, &paths);
    let saved = blocking(move || shelf.save(&key, &paths)).await;
    let said = saved.unwrap_or_else(|error| format!("The cache is not kept: {}", chain(&error)));
    at.say(&said).await.map(|()| Conclusion::Exited(0))
}

/// The paths, without those of the image that the job's container is of.
pub(super) async fn own(at: &Attempt, paths: &[String]) -> Result<Vec<String>, RunnerError> {
    let (own, others) = Ground::of(at).within(paths);
    if !others.is_empty() {
        let others = others.join(", ");
        at.say(&format!(
            "Of the image of the job's container nothing is kept, and so not {others}: what lies in \
             the workspace, in $RUNNER_TEMP and in ~ is."
        ))
        .await?;
    }
    Ok(own)
}

/// Why the keys are none. What a key was filled with is known only now.
pub(super) fn refused(at: &Attempt, keys: &[String]) -> Option<String> {
    let masks = at.job.masks();
    let refuse = |key: &String| {
        if masks.apply(key.as_bytes()) != key.as_bytes() {
            return Some("A key of the cache holds a secret.".to_owned());
        }
        let wrong = key.is_empty() || key.contains(',') || key.chars().count() > 512;
        wrong.then(|| format!("`{key}` is no key of a cache: 1 to 512 characters, no comma."))
    };
    keys.iter().find_map(refuse)
}
