use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use grit_pipeline::{CheckoutPart, Conclusion, RunnerError};

use super::container::Paths;
use super::folder::{Folder, read_bounded, remove_all};
use super::job::Job;
use super::step::Attempt;
use super::{blocking, chain};

/// No settings of git's are longer.
const GIT_CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The files of a commit, moved into the workspace once all of them are there.
pub(super) async fn run(
    at: &Attempt,
    reference: Option<&str>,
    path: Option<&str>,
    depth: u32,
    part: &CheckoutPart,
) -> Result<Conclusion, RunnerError> {
    let Some(path) = inside(path.unwrap_or_default()) else {
        at.say("The `path` of a checkout must be a relative path within the workspace.").await?;
        return Ok(Conclusion::Exited(1));
    };
    at.say(&announcement(at, reference, &path, part)).await?;
    let checked_out = tokio::select! {
        biased;
        checked_out = check_out(at, reference, path, depth, part) => checked_out,
        conclusion = at.cut_short() => return Ok(conclusion),
    };
    match checked_out {
        Ok(()) => Ok(Conclusion::Exited(0)),
        Err(reason) => {
            at.say(&format!("The checkout failed: {reason}")).await?;
            Ok(Conclusion::Exited(1))
        }
    }
}

/// First into a folder of its own: the source wants none that has something in it, and a checkout
/// that fails changes nothing.
async fn check_out(
    at: &Attempt,
    reference: Option<&str>,
    path: PathBuf,
    depth: u32,
    part: &CheckoutPart,
) -> Result<(), String> {
    let from = aside(at, reference, depth, part).await?;
    let job = at.job.clone();
    let placed = blocking(move || {
        place(&job.folder, &from, &path)?;
        match job.inside() {
            Some(_) => trust(&job, &path),
            None => Ok(()),
        }
    });
    placed.await.map_err(|error| error.to_string())
}

/// The user of a container is another than the one who owns the files, and its git wants to be told
/// that they are to be trusted: as the service's own checkout tells it, in the home that it has.
fn trust(job: &Job, path: &Path) -> io::Result<()> {
    let paths = Paths::of_job(&job.folder, &job.spec.repo);
    let seen = paths.inside(&job.folder.workspace().join(path).to_string_lossy());
    let seen = seen.trim_end_matches('/');
    let quoted = seen.replace('\\', "\\\\").replace('"', "\\\"");
    let entry = format!("[safe]\n\tdirectory = \"{quoted}\"\n");
    job.folder.make_seen()?;
    let file = job.folder.home().join(".gitconfig");
    let there = read_bounded(&file, GIT_CONFIG_BYTES_MAX)?.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&there).into_owned();
    if text.contains(&entry) || there.len() as u64 > GIT_CONFIG_BYTES_MAX {
        return Ok(());
    }
    text.push_str(&entry);
    // Another file in its place: a link that the container made is not followed.
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    io::Write::write_all(&mut fs::File::create_new(&file)?, text.as_bytes())
}

/// A checkout in a folder of the step's own, outside of the workspace.
pub(super) async fn aside(
    at: &Attempt,
    reference: Option<&str>,
    depth: u32,
    part: &CheckoutPart,
) -> Result<PathBuf, String> {
    let (source, job, index) = (at.shared.config.source.clone(), at.job.clone(), at.spec.index);
    let (reference, part) = (reference.map(str::to_owned), part.clone());
    blocking(move || {
        let to = job.folder.checkout(index);
        remove_all(&to).map_err(|error| error.to_string())?;
        let done = source.checkout(&job.spec, reference.as_deref(), depth, &part, &to);
        done.map_err(|error| chain(error.as_ref()))?;
        Ok(to)
    })
    .await
}

fn announcement(at: &Attempt, reference: Option<&str>, path: &Path, part: &CheckoutPart) -> String {
    let job = &at.job.spec;
    let mut text = format!("Checking out {}/{} at ", job.tenant, job.repo);
    // Writing to a string does not fail.
    if let Some(other) = &part.repository {
        text = format!("Checking out {other} at ");
    }
    let _ = match (reference, &job.ref_name) {
        (None, _) if part.repository.is_some() => write!(text, "its default branch"),
        (Some(reference), _) => write!(text, "{reference}"),
        (None, Some(name)) => write!(text, "{} ({})", job.commit, name.as_str()),
        (None, None) => write!(text, "{}", job.commit),
    };
    if !path.as_os_str().is_empty() {
        let _ = write!(text, " into {}", path.display());
    }
    text
}

/// `path` without what changes nothing; `None` if it leads out of the workspace.
fn inside(path: &str) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside)
}

fn place(folder: &Folder, from: &Path, path: &Path) -> io::Result<()> {
    let workspace = folder.workspace();
    let to = workspace.join(path);
    fs::create_dir_all(&to)?;
    if !to.canonicalize()?.starts_with(workspace.canonicalize()?) {
        return Err(io::Error::other("`path` leads out of the workspace by a symbolic link"));
    }
    if fs::symlink_metadata(to.join(".git")).is_ok() {
        // What an earlier checkout had and this one has not would look like part of it.
        empty(&to)?;
    }
    merge(from, &to)?;
    remove_all(from)
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        remove_any(&entry?.path())?;
    }
    Ok(())
}

/// Moves what is in `from` into `to`: folders are merged, everything else is replaced.
fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_folder = match fs::symlink_metadata(&target) {
            Ok(there) => Some(there.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match is_folder {
            Some(true) if entry.file_type()?.is_dir() => {
                merge(&source, &target)?;
                continue;
            }
            Some(_) => remove_any(&target)?,
            None => {}
        }
        fs::rename(source, target)?;
    }
    Ok(())
}

fn remove_any(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { remove_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside("").unwrap(), Path::new(""));
        assert_eq!(inside("./a//b/").unwrap(), Path::new("a/b"));
        for path in ["/etc", "..", "a/../../b"] {
            assert_eq!(inside(path), None, "{path}");
        }
    }

    #[test]
    fn merges_into_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str| {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), name).unwrap();
        };
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        for name in ["from/src/new", "from/file", "from/folder/deep", "from/link/x"] {
            write(name);
        }
        for name in ["to/src/old", "to/file/was/a/folder", "to/folder"] {
            write(name);
        }
        std::os::unix::fs::symlink("/etc", path("to/link")).unwrap();
        merge(&path("from"), &path("to")).unwrap();
        assert_eq!(read("to/src/new"), "from/src/new");
        assert_eq!(read("to/src/old"), "to/src/old");
        assert_eq!(read("to/file"), "from/file");
        assert_eq!(read("to/folder/deep"), "from/folder/deep");
        assert_eq!(read("to/link/x"), "from/link/x");
    }
}
