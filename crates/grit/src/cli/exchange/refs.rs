//! Trackers that live in the refs of a repository.

use std::collections::BTreeMap;

use grit_git::{GitError, Repository, Told};
use grit_issues::exchange::{Found, ImportError, bugs, grite, native};
use grit_types::CommitId;

use super::args::{Format, Import};
use super::import::unreadable;
use crate::cli::place::{Place, git_failure};
use crate::exit::{Exit, Failure};

/// Commits of one ref.
const COMMITS_MAX: usize = 1_000_000;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Folders in folders.
const DEPTH_MAX: usize = 8;

pub fn read(options: &Import, place: &Place) -> Result<Found, Failure> {
    let repository = match &options.from {
        Some(path) => Repository::discover(path).map_err(|error| git_failure(&error))?,
        None => place.repository()?,
    };
    let failed = |error: GitError| git_failure(&error);
    let read = match options.format {
        Format::Grite => from_grite(&repository).map_err(failed)?,
        Format::GitNativeIssue => from_native(&repository).map_err(failed)?,
        _ => from_bugs(&repository).map_err(failed)?,
    };
    let name = repository.git_dir().display().to_string();
    let found = read.map_err(|error| unreadable(&name, &error))?;
    if found.issues.is_empty() {
        let what = match options.format {
            Format::Grite => "refs/grite/wal",
            Format::GitNativeIssue => "refs/issues/",
            _ => "refs/bugs/",
        };
        let message = format!("{name} has no issues in {what}");
        let hint = format!("`git fetch origin '{0}*:{0}*'`", what.trim_end_matches("wal"));
        return Err(Failure::new(Exit::NotFound, "import", message).hint(hint));
    }
    Ok(found)
}

/// What git says of it, then what the reader says of it.
type Read<T> = Result<Result<T, ImportError>, GitError>;

fn from_grite(repository: &Repository) -> Read<Found> {
    let refs = repository.refs_below("refs/grite/")?;
    let Some(tip) = refs.get("wal") else { return Ok(Ok(Found::default())) };
    let mut chunks = Vec::new();
    for commit in repository.told(tip, COMMITS_MAX)? {
        chunks_in(repository, &commit.id, "events", 0, &mut chunks)?;
    }
    Ok(grite::read(chunks.iter().map(|(place, bytes)| (place.as_str(), bytes.as_slice()))))
}

fn chunks_in(
    repository: &Repository,
    commit: &CommitId,
    folder: &str,
    depth: usize,
    chunks: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), GitError> {
    for entry in repository.list_dir(commit, folder)?.unwrap_or_default() {
        let path = format!("{folder}/{}", entry.name);
        if entry.name.ends_with(".bin") {
            let bytes = repository.read_file(commit, &path, FILE_BYTES_MAX)?;
            chunks.extend(bytes.map(|bytes| (format!("{}:{path}", commit.short()), bytes)));
        } else if depth < DEPTH_MAX {
            chunks_in(repository, commit, &path, depth + 1, chunks)?;
        }
    }
    Ok(())
}

fn from_native(repository: &Repository) -> Read<Found> {
    let mut issues = Vec::new();
    for (uuid, tip) in repository.refs_below("refs/issues/")? {
        let commits = repository.told(&tip, COMMITS_MAX)?;
        let commits = commits.into_iter().map(|commit| {
            let Told { id, parents, name, email, at, message } = commit;
            let (id, parents) = (id.to_string(), parents.len());
            native::Commit { id, parents, name, email, at, message }
        });
        issues.push((uuid, commits.collect()));
    }
    Ok(native::read(&issues))
}

fn from_bugs(repository: &Repository) -> Read<Found> {
    let mut people = BTreeMap::new();
    for (id, tip) in repository.refs_below("refs/identities/")? {
        let bytes = repository.read_file(&tip, "version", FILE_BYTES_MAX)?.unwrap_or_default();
        // One that cannot be read leaves its name out, and the bugs are there all the same.
        let identity = serde_json::from_slice::<bugs::Identity>(&bytes).unwrap_or_default();
        people.insert(id, identity);
    }
    let mut all = Vec::new();
    for (id, tip) in repository.refs_below("refs/bugs/")? {
        let mut packs = Vec::new();
        for commit in repository.told(&tip, COMMITS_MAX)? {
            match pack(repository, &commit.id, &id)? {
                Ok(pack) => packs.extend(pack),
                Err(error) => return Ok(Err(error)),
            }
        }
        all.push((id, packs));
    }
    Ok(bugs::read(&all, &people))
}

/// The operations of a commit; a merge may have none.
fn pack(repository: &Repository, commit: &CommitId, id: &str) -> Read<Option<bugs::Pack>> {
    let place = format!("refs/bugs/{id}, commit {}", commit.short());
    let entries = repository.list_dir(commit, "")?.unwrap_or_default();
    let number = |prefix: &str| {
        entries.iter().find_map(|entry| entry.name.strip_prefix(prefix)?.parse::<u64>().ok())
    };
    let version = number("version-").unwrap_or_default();
    if !bugs::VERSIONS.contains(&version) {
        let (first, last) = (bugs::VERSIONS.start(), bugs::VERSIONS.end());
        let message = format!("it has format version {version}; {first} to {last} are read here");
        return Ok(Err(ImportError::thing(place, message)));
    }
    let Some(ops) = repository.read_file(commit, "ops", FILE_BYTES_MAX)? else {
        return Ok(Ok(None));
    };
    let clock = number("edit-clock-").unwrap_or_default();
    Ok(Ok(Some(bugs::Pack { place, clock, ops })))
}
