//! Caches by key: `CACHES/DIGEST/{key,files/N}`, where the digest is of the paths that a cache is for,
//! as only the same paths can be restored from it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use grit_host::durable;
use grit_pipeline::Conclusion;
use sha2::{Digest, Sha256};

use super::blocking;
use super::folder::remove_all;
use super::step::Attempt;

/// What a restore answers besides the files.
type Outputs = BTreeMap<String, String>;

/// Restores a cache; `must`: it fails where there is none.
pub(super) async fn restore(
    at: &Attempt,
    key: &str,
    others: &[String],
    paths: &[String],
    must: bool,
) -> (Outputs, Conclusion, String) {
    let place = Place::of(at, paths);
    let (wanted, others) = (key.to_owned(), others.to_vec());
    let found = blocking(move || {
        let Some(found) = place.find(&wanted, &others)? else { return Ok(None) };
        place.restore(&found)?;
        Ok::<_, io::Error>(Some(found.key))
    });
    let mut outputs = Outputs::from([("cache-primary-key".to_owned(), key.to_owned())]);
    match found.await {
        Ok(Some(found)) => {
            outputs.insert("cache-hit".to_owned(), (found == key).to_string());
            let said = format!("The cache `{found}` is restored.");
            outputs.insert("cache-matched-key".to_owned(), found);
            (outputs, Conclusion::Exited(0), said)
        }
        Ok(None) => {
            let said = format!("There is no cache for `{key}`.");
            (outputs, Conclusion::Exited(i32::from(must)), said)
        }
        // A cache never fails a step: what it holds can be made again.
        Err(error) => (outputs, Conclusion::Exited(0), format!("The cache is not used: {error}")),
    }
}

/// Keeps the paths, unless there is a cache of that key; answers what to say.
pub(super) async fn save(at: &Attempt, key: &str, paths: &[String]) -> String {
    let place = Place::of(at, paths);
    let (wanted, clock) = (key.to_owned(), at.shared.config.clock.now());
    match blocking(move || place.save(&wanted, u64::try_from(clock.millis()).unwrap_or(0))).await {
        Ok(true) => format!("The cache `{key}` is kept."),
        Ok(false) => format!("There is a cache `{key}` already, or nothing to keep."),
        Err(error) => format!("The cache is not kept: {error}"),
    }
}

struct Place {
    folder: PathBuf,
    paths: Vec<PathBuf>,
    temp: PathBuf,
}

struct Found {
    key: String,
    folder: PathBuf,
}

impl Place {
    fn of(at: &Attempt, paths: &[String]) -> Self {
        let digest = hex::encode(Sha256::digest(paths.join("\n")));
        let repo = format!("{}/{}", at.job.spec.tenant, at.job.spec.repo);
        let workspace = at.job.folder.workspace();
        let home = std::ffi::OsStr::new("HOME");
        let home = at.variables.get(home).map(PathBuf::from).unwrap_or_default();
        let absolute = |path: &String| match path.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => workspace.join(path),
        };
        let folder = at.shared.config.caches.join(repo);
        Self {
            temp: folder.join(format!(".{}-{}", at.spec.job, at.spec.index)),
            folder: folder.join(digest),
            paths: paths.iter().map(absolute).collect(),
        }
    }

    /// The cache of the key; else the newest whose key begins with one of the others, in order.
    fn find(&self, key: &str, others: &[String]) -> io::Result<Option<Found>> {
        let mut all: Vec<(u64, Found)> = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let folder = entry?.path();
            let Ok(text) = fs::read_to_string(folder.join("key")) else { continue };
            let Some((saved, key)) = text.split_once('\n') else { continue };
            all.push((saved.parse().unwrap_or(0), Found { key: key.to_owned(), folder }));
        }
        all.sort_by_key(|(saved, _)| std::cmp::Reverse(*saved));
        let exact = all.iter().position(|(_, found)| found.key == key);
        let begins = |prefix: &str| all.iter().position(|(_, found)| found.key.starts_with(prefix));
        let prefixes = || std::iter::once(key).chain(others.iter().map(String::as_str));
        let at = exact.or_else(|| prefixes().find_map(begins));
        Ok(at.map(|at| all.swap_remove(at).1))
    }

    fn restore(&self, found: &Found) -> io::Result<()> {
        for (index, path) in self.paths.iter().enumerate() {
            let kept = found.folder.join("files").join(index.to_string());
            if fs::symlink_metadata(&kept).is_ok() {
                if let Some(above) = path.parent() {
                    fs::create_dir_all(above)?;
                }
                copy(&kept, path)?;
            }
        }
        Ok(())
    }

    fn save(&self, key: &str, now: u64) -> io::Result<bool> {
        let to = self.folder.join(hex::encode(Sha256::digest(key)));
        if to.exists() || !self.paths.iter().any(|path| path.exists()) {
            return Ok(false);
        }
        remove_all(&self.temp)?;
        durable::create_dir_all(&self.temp.join("files"))?;
        for (index, path) in self.paths.iter().enumerate() {
            if fs::symlink_metadata(path).is_ok() {
                copy(path, &self.temp.join("files").join(index.to_string()))?;
            }
        }
        durable::write(&self.temp.join("key"), format!("{now}\n{key}").as_bytes())?;
        durable::create_dir_all(&self.folder)?;
        match fs::rename(&self.temp, &to) {
            Ok(()) => Ok(true),
            // Another job was faster.
            Err(_) if to.exists() => remove_all(&self.temp).map(|()| false),
            Err(error) => Err(error),
        }
    }
}

/// Copies a file, a link as a link, or a folder with what is in it, over what is there; shares the
/// blocks on file systems that can.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if fs::symlink_metadata(to).is_ok_and(|there| !there.is_dir()) {
        fs::remove_file(to)?;
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if kind.is_file() {
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Whether the paths can be kept: none may lead above the folder that it counts from.
pub(super) fn refused(paths: &[String]) -> Option<String> {
    let above = |path: &&String| {
        Path::new(path.as_str()).components().any(|part| part == Component::ParentDir)
    };
    let other = |path: &&String| path.contains(['*', '?', '!']);
    if let Some(path) = paths.iter().find(above) {
        return Some(format!("the path `{path}` of a cache leads upward"));
    }
    let path = paths.iter().find(other)?;
    Some(format!("patterns are not kept by this version: `{path}`"))
}
