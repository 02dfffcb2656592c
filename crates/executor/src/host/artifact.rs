//! `actions/upload-artifact` and `actions/download-artifact`: what a job gives to later jobs of its
//! run, and to people.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_blob::{Anchor, Item};
use grit_pipeline::keep::{DownloadSpec, IfNone, MergeSpec, UploadSpec};
use grit_pipeline::{Conclusion, JobSpec, RunnerError};
use grit_types::{RunId, Timestamp};

use super::ground::Ground;
use super::step::{Attempt, Made};
use super::{blocking, cache, chain};
use crate::store::select::{Selection, Walk, common_ancestor, select};
use crate::store::zip::ROOT;
use crate::store::{
    Artifact, ArtifactError, Content, KEPT_BYTES_MAX, NewArtifact, Store, StoreError, Stores,
    check_name,
};
use crate::text::glob::part_matches;

/// Characters that names of files in an artifact must not hold, so that every system can have them.
const REFUSED: [char; 9] = ['"', ':', '<', '>', '|', '*', '?', '\r', '\n'];

/// What the blocking part needs.
struct Shelf {
    stores: Arc<Stores>,
    job: JobSpec,
    attempt: u32,
    ground: Ground,
    /// For what is unpacked on its way.
    scratch: PathBuf,
    now: Timestamp,
}

/// Why it is not done, for people.
type Refused = String;

/// Gives files away under a name.
pub(super) async fn upload(
    at: &Attempt,
    spec: &UploadSpec,
    made: &mut Made,
) -> Result<Conclusion, RunnerError> {
    if let Some(why) = secret_in(at, &spec.name) {
        return fail(at, &why).await;
    }
    let (shelf, wanted) = (Shelf::of(at), spec.clone());
    let (_, others) = shelf.ground.within(&spec.paths);
    if !others.is_empty() {
        return fail(at, &of_image(&others)).await;
    }
    let work = blocking(move || shelf.upload(&wanted));
    let uploaded = tokio::select! {
        biased;
        uploaded = work => uploaded,
        conclusion = at.cut_short() => return Ok(conclusion),
    };
    match uploaded {
        Ok(Some((artifact, files))) => {
            tell(at, &artifact, files, made).await?;
            Ok(Conclusion::Exited(0))
        }
        Ok(None) => {
            let paths = spec.paths.join(", ");
            let said = format!(
                "No files were found with the provided path: {paths}. No artifacts will be uploaded."
            );
            match spec.if_none {
                IfNone::Error => fail(at, &said).await,
                IfNone::Warn => say(at, &format!("Warning: {said}")).await,
                IfNone::Ignore => say(at, &said).await,
            }
        }
        Err(why) => fail(at, &why).await,
    }
}

/// Brings files of earlier jobs.
pub(super) async fn download(
    at: &Attempt,
    spec: &DownloadSpec,
    made: &mut Made,
) -> Result<Conclusion, RunnerError> {
    let (shelf, wanted) = (Shelf::of(at), spec.clone());
    let path = shelf.ground.path(&wanted.path);
    let (_, others) = shelf.ground.within(std::slice::from_ref(&spec.path));
    if !others.is_empty() {
        return fail(at, &of_image(&others)).await;
    }
    let to = path.clone();
    let work = blocking(move || shelf.download(&wanted, &to));
    let downloaded = tokio::select! {
        biased;
        downloaded = work => downloaded,
        conclusion = at.cut_short() => return Ok(conclusion),
    };
    match downloaded {
        Ok(names) => {
            made.outputs.insert("download-path".to_owned(), path.display().to_string());
            let count = names.len();
            say(at, &format!("{count} artifact(s) downloaded: {}", names.join(", "))).await
        }
        Err(why) => fail(at, &why).await,
    }
}

/// Makes one artifact of several.
pub(super) async fn merge(
    at: &Attempt,
    spec: &MergeSpec,
    made: &mut Made,
) -> Result<Conclusion, RunnerError> {
    if let Some(why) = secret_in(at, &spec.name) {
        return fail(at, &why).await;
    }
    let (shelf, wanted) = (Shelf::of(at), spec.clone());
    match blocking(move || shelf.merge(&wanted)).await {
        Ok((artifact, files)) => {
            tell(at, &artifact, files, made).await?;
            Ok(Conclusion::Exited(0))
        }
        Err(why) => fail(at, &why).await,
    }
}

async fn say(at: &Attempt, text: &str) -> Result<Conclusion, RunnerError> {
    at.say(text).await.map(|()| Conclusion::Exited(0))
}

async fn fail(at: &Attempt, text: &str) -> Result<Conclusion, RunnerError> {
    at.say(text).await.map(|()| Conclusion::Exited(1))
}

fn of_image(paths: &[&str]) -> String {
    format!(
        "{} is of the image of the job's container: artifacts are what lies in the workspace, in \
         $RUNNER_TEMP and in ~.",
        paths.join(", ")
    )
}

async fn tell(
    at: &Attempt,
    artifact: &Artifact,
    files: u64,
    made: &mut Made,
) -> Result<(), RunnerError> {
    let Artifact { name, id, digest, run, .. } = artifact;
    let server = at.spec.env.get("GRIT_SERVER").filter(|server| !server.is_empty());
    let url = server.map(|server| format!("{server}/api/v1/runs/{run}/artifacts/{name}"));
    made.outputs.insert("artifact-id".to_owned(), id.to_string());
    made.outputs.insert("artifact-url".to_owned(), url.unwrap_or_default());
    made.outputs.insert("artifact-digest".to_owned(), digest.hex());
    at.say(&format!("Artifact {name} is kept: {files} file(s), id {id}, {digest}")).await
}

/// The name goes where logs do not: it is never masked, so it must not need to be.
fn secret_in(at: &Attempt, name: &str) -> Option<Refused> {
    let masked = at.job.masks().apply(name.as_bytes()) != name.as_bytes();
    masked.then(|| "The artifact name holds a secret.".to_owned())
}

impl Shelf {
    fn of(at: &Attempt) -> Self {
        let attempt = at.spec.env.get("GITHUB_RUN_ATTEMPT").and_then(|text| text.parse().ok());
        Self {
            stores: at.shared.stores.clone(),
            job: at.job.spec.clone(),
            attempt: attempt.unwrap_or(1),
            ground: Ground::of(at),
            scratch: at.job.folder.scratch(at.spec.index),
            now: at.shared.config.clock.now(),
        }
    }

    /// `None`: there is nothing to give.
    fn upload(&self, spec: &UploadSpec) -> Result<Option<(Artifact, u64)>, Refused> {
        check_name(&spec.name).map_err(|error| told(&error))?;
        let walk = Walk { follow: true, hidden: spec.hidden };
        let selection = select(&spec.paths, self.ground.bases(), walk)
            .map_err(|error| format!("The files cannot be looked for: {error}"))?;
        // What a link of a container leads to on this machine is not the job's.
        if let Some(strange) = selection.found.iter().find(|path| !self.ground.owns(path)) {
            return Err(format!("{} leads out of the job's folders", strange.display()));
        }
        let items = items(&selection)?;
        if items.is_empty() {
            return Ok(None);
        }
        let store = self.store()?;
        let artifact = self.keep(&store, &items, spec)?;
        cache::tidy(&store, self.now);
        Ok(Some(artifact))
    }

    fn keep(
        &self,
        store: &Store,
        items: &[Item],
        spec: &UploadSpec,
    ) -> Result<(Artifact, u64), Refused> {
        let _hold = store.trees.hold().map_err(|error| told(&error))?;
        let kept = store.trees.keep(items, KEPT_BYTES_MAX).map_err(|error| told(&error))?;
        let added = self.add(store, spec, Content::Tree(kept.tree));
        added.map(|artifact| (artifact, kept.files)).map_err(|error| told(&error))
    }

    fn add(
        &self,
        store: &Store,
        spec: &UploadSpec,
        content: Content,
    ) -> Result<Artifact, ArtifactError> {
        let new = NewArtifact {
            name: spec.name.clone(),
            run: self.job.run,
            job: self.job.job,
            attempt: self.attempt,
            retention_days: spec.retention_days,
            overwrite: spec.overwrite,
            content,
        };
        store.add_artifact(new, self.now)
    }

    fn store(&self) -> Result<Arc<Store>, Refused> {
        self.stores.artifacts().map_err(|error| told(&error))
    }

    fn download(&self, spec: &DownloadSpec, to: &Path) -> Result<Vec<String>, Refused> {
        let store = self.store()?;
        let all = self.all(&store, &spec.run)?;
        let wanted = chosen(all, spec)?;
        let alone = !spec.name.is_empty() || spec.ids.len() == 1;
        let mut names = Vec::new();
        for artifact in wanted {
            let folder = match alone || spec.merge {
                true => to.to_owned(),
                false => to.join(&artifact.name),
            };
            self.place(&store, &artifact, &folder)?;
            names.push(artifact.name);
        }
        Ok(names)
    }

    /// The artifacts of a run, if it is one of the same repository: others are not in this store.
    fn all(&self, store: &Store, run: &str) -> Result<Vec<Artifact>, Refused> {
        let run: RunId = match run.is_empty() || *run == self.job.run.to_string() {
            true => self.job.run,
            false => run.parse().map_err(|_| format!("`{run}` is no run of this repository"))?,
        };
        store.artifacts(run, self.now).map_err(|error| told(&error))
    }

    fn place(&self, store: &Store, artifact: &Artifact, to: &Path) -> Result<(), Refused> {
        let failed = |error: StoreError| format!("Artifact {}: {}", artifact.name, told(&error));
        let _hold = store.trees.hold().map_err(|error| failed(error.into()))?;
        let tree = store.files_of(artifact, &self.scratch(artifact)).map_err(failed)?;
        let anchor = |name: &std::ffi::OsStr| {
            (name == ROOT).then(|| Anchor { folder: to.to_owned(), follows: false })
        };
        store.trees.restore(&tree, &anchor).map(drop).map_err(|error| failed(error.into()))
    }

    fn scratch(&self, artifact: &Artifact) -> PathBuf {
        self.scratch.join(artifact.id.to_string())
    }

    fn merge(&self, spec: &MergeSpec) -> Result<(Artifact, u64), Refused> {
        check_name(&spec.name).map_err(|error| told(&error))?;
        let store = self.store()?;
        let pattern = DownloadSpec { pattern: spec.pattern.clone(), ..DownloadSpec::default() };
        let merged = chosen(self.all(&store, "")?, &pattern)?;
        if merged.is_empty() {
            return Err(format!("No artifacts were found matching `{}`", spec.pattern));
        }
        let whole = self.scratch.join("merged");
        for artifact in &merged {
            let folder = if spec.separate { whole.join(&artifact.name) } else { whole.clone() };
            self.place(&store, artifact, &folder)?;
        }
        let walk = Walk { follow: false, hidden: true };
        let all = [whole.display().to_string()];
        let selection =
            select(&all, self.ground.bases(), walk).map_err(|error| error.to_string())?;
        let upload = UploadSpec {
            name: spec.name.clone(),
            retention_days: spec.retention_days,
            ..UploadSpec::default()
        };
        let kept = self.keep(&store, &items(&selection)?, &upload)?;
        for artifact in merged.iter().filter(|_| spec.delete) {
            let gone = store.delete_artifact(self.job.run, &artifact.name, self.now);
            gone.map_err(|error| told(&error))?;
        }
        cache::tidy(&store, self.now);
        Ok(kept)
    }
}

/// Which of a run's artifacts are meant.
fn chosen(all: Vec<Artifact>, spec: &DownloadSpec) -> Result<Vec<Artifact>, Refused> {
    if !spec.name.is_empty() {
        let found = all.into_iter().find(|artifact| artifact.name == spec.name);
        let missing = || format!("Artifact not found for name: {}", spec.name);
        return found.map(|artifact| vec![artifact]).ok_or_else(missing);
    }
    if !spec.ids.is_empty() {
        let known: BTreeSet<u64> = all.iter().map(|artifact| artifact.id).collect();
        if let Some(missing) = spec.ids.iter().find(|id| !known.contains(id)) {
            return Err(format!("Artifact not found for id: {missing}"));
        }
        return Ok(all.into_iter().filter(|artifact| spec.ids.contains(&artifact.id)).collect());
    }
    let patterns = alternatives(&spec.pattern);
    let fits = |artifact: &Artifact| {
        spec.pattern.is_empty()
            || patterns.iter().any(|pattern| part_matches(pattern, &artifact.name))
    };
    Ok(all.into_iter().filter(fits).collect())
}

/// `a-{b,c}` as `a-b` and `a-c`; the first group only, as names rarely have more.
fn alternatives(pattern: &str) -> Vec<String> {
    let group = pattern.split_once('{').and_then(|(before, rest)| {
        let (group, after) = rest.split_once('}')?;
        Some((before, group, after))
    });
    match group {
        Some((before, group, after)) if group.contains(',') => {
            group.split(',').map(|one| format!("{before}{one}{after}")).collect()
        }
        _ => vec![pattern.to_owned()],
    }
}

/// The files under their names in the artifact: from the folder that all searches have in common.
/// Folders come with what is in them.
fn items(selection: &Selection) -> Result<Vec<Item>, Refused> {
    let files: Vec<&PathBuf> = selection.found.iter().filter(|path| path.is_file()).collect();
    let root = match &selection.roots[..] {
        [only] if files.len() == 1 && files[0] == only => {
            only.parent().map(Path::to_owned).unwrap_or_default()
        }
        roots => common_ancestor(roots),
    };
    let item = |path: &&PathBuf| {
        let below = path.strip_prefix(&root).unwrap_or(path);
        let text = below.to_string_lossy();
        match text.find(REFUSED) {
            Some(_) => Err(format!(
                "The path of one of the files in artifact is not valid: {text:?}. None of these \
                 may be in it: \" : < > | * ? and line ends"
            )),
            None => {
                let name = Path::new(ROOT).join(below);
                Ok(Item { name, path: (*path).clone(), follow: true })
            }
        }
    };
    files.iter().map(item).collect()
}

fn told(error: &(dyn std::error::Error + 'static)) -> Refused {
    chain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_told_apart() {
        assert_eq!(alternatives("a-{b,c}-*"), ["a-b-*", "a-c-*"]);
        assert_eq!(alternatives("a-{b}"), ["a-{b}"]);
        assert_eq!(alternatives("*"), ["*"]);
    }

    #[test]
    fn names_begin_where_all_searches_do() {
        let place = tempfile::tempdir().unwrap();
        for name in ["out/a.txt", "out/sub/b.txt", "docs/c.md"] {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let names = |patterns: &[&str]| -> Vec<String> {
            let bases = crate::store::select::Bases { workspace: place.path(), home: place.path() };
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            let found = select(&patterns, bases, Walk { follow: true, hidden: true }).unwrap();
            items(&found).unwrap().iter().map(|item| item.name.display().to_string()).collect()
        };
        assert_eq!(names(&["out"]), ["all/a.txt", "all/sub/b.txt"]);
        assert_eq!(names(&["out/a.txt"]), ["all/a.txt"]);
        assert_eq!(names(&["out/**/*.txt"]), ["all/a.txt", "all/sub/b.txt"]);
        assert_eq!(names(&["out/a.txt", "docs"]), ["all/docs/c.md", "all/out/a.txt"]);
    }
}
