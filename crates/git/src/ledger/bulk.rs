//! Appending, one entry or many: what they consist of is written and synced, then the ref moves
//! once. Many are one pack.

use std::io::Write;
use std::path::Path;

use gix::hash::Kind as HashKind;
use gix::objs::{Kind, compute_hash};
use gix::zlib::{Compression, stream::deflate};
use grit_ledger::{Addition, Event, FILE_BYTES_MAX};
use grit_types::EventId;

use super::{ATTEMPTS_MAX, GitLedger, entry, files};
use crate::durable::sync_folder;
use crate::error::Reading;
use crate::refs::{self, RefWriter};
use crate::repository::commit_id;
use crate::{Git, GitError, object};

/// So many are not worth a pack, which every read has to look into.
const LOOSE_MAX: usize = 16;

/// A commit's type in a pack.
const COMMIT: u8 = 1;

/// An event to be appended, as the bytes that will be read again.
pub(super) struct Encoded<'a> {
    event: &'a Event,
    bytes: Vec<u8>,
    files: &'a [&'a [u8]],
}

/// What cannot be read again would block every later read of everyone.
pub(super) fn encoded<'a>(
    addition: &Addition<'a>,
) -> Result<Encoded<'a>, Box<dyn std::error::Error + Send + Sync>> {
    let Addition { event, files } = *addition;
    let bytes = event.encode();
    Event::decode(&bytes)?;
    if let Some(file) = files.iter().find(|file| file.len() > FILE_BYTES_MAX) {
        let (limit, bytes) = (FILE_BYTES_MAX as u64, file.len() as u64);
        return Err(GitError::TooLarge { what: "a file".to_owned(), bytes, limit }.into());
    }
    Ok(Encoded { event, bytes, files })
}

impl GitLedger {
    /// Appends all of them: the ref moves once, when everything that it leads to is synced.
    pub(super) fn append_many(
        &self,
        lane: &str,
        entries: &[Encoded<'_>],
    ) -> Result<Vec<EventId>, GitError> {
        let name = self.ref_name(lane)?;
        let (common, objects) = (self.repository.common_dir(), self.repository.objects());
        let mut trees = Vec::with_capacity(entries.len());
        let mut empty = None;
        for entry in entries {
            let tree = match empty.filter(|_| entry.files.is_empty()) {
                Some(empty) => empty,
                None => files::write(&objects, entry.files)?,
            };
            empty = if entry.files.is_empty() { Some(tree) } else { empty };
            trees.push(tree);
        }
        let signer = self.signer(false)?;
        let writer = RefWriter::acquire(common)?;
        let mut attempt = 1;
        loop {
            let before = refs::read(common, &name)?;
            let mut tip = self.end(lane, &name)?;
            let mut commits = Vec::with_capacity(entries.len());
            for (Encoded { event, bytes, .. }, tree) in entries.iter().zip(&trees) {
                let commit = entry::encode(event, bytes, tree, tip.as_ref(), signer)?;
                let id = compute_hash(HashKind::Sha1, Kind::Commit, &commit);
                tip = Some(commit_id(id.reading(|| "own commit".to_owned())?));
                commits.push(commit);
            }
            let Some(tip) = tip.filter(|_| !commits.is_empty()) else { return Ok(Vec::new()) };
            self.write_commits(&objects, &commits)?;
            match writer.set(&name, before.as_ref(), &tip) {
                Err(GitError::Moved { .. }) if attempt < ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(entries.iter().map(|one| EventId::of(&one.bytes)).collect()),
            }
        }
    }

    fn write_commits(&self, objects: &Path, commits: &[Vec<u8>]) -> Result<(), GitError> {
        if commits.len() <= LOOSE_MAX {
            for commit in commits {
                object::write(objects, Kind::Commit, commit)?;
            }
            return Ok(());
        }
        Git::new("index-pack")
            .repository(self.repository.git_dir())
            .setting("core.fsync=all")
            .setting("core.fsyncMethod=fsync")
            .flag("--stdin")
            .timeout(self.timeout)
            .input(pack(commits)?)
            .run()?;
        // Git syncs what it writes, but not the folders.
        sync_folder(&objects.join("pack"))?;
        sync_folder(objects)
    }
}

/// A pack of these commits, none as a difference to another (git's gitformat-pack, version 2).
fn pack(commits: &[Vec<u8>]) -> Result<Vec<u8>, GitError> {
    let own = || "own pack".to_owned();
    let packing = |source| GitError::Io { action: "pack commits".to_owned(), source };
    let count = u32::try_from(commits.len()).unwrap_or(u32::MAX);
    let mut pack = [b"PACK", &2u32.to_be_bytes()[..], &count.to_be_bytes()].concat();
    for commit in commits {
        pack.extend(entry_head(COMMIT, commit.len()));
        let mut stream = deflate::Write::new(pack, Compression::BEST_SPEED);
        stream.write_all(commit).and_then(|()| stream.flush()).map_err(packing)?;
        pack = stream.into_inner();
    }
    let mut hasher = gix::hash::hasher(HashKind::Sha1);
    hasher.update(&pack);
    pack.extend(hasher.try_finalize().reading(own)?.as_slice());
    Ok(pack)
}

/// The type and the size: four bits of it in the first byte, seven in each that follows.
fn entry_head(kind: u8, size: usize) -> Vec<u8> {
    let low = |size: usize, mask: usize| u8::try_from(size & mask).unwrap_or(0);
    let mut head = vec![kind << 4 | low(size, 0xf)];
    let mut rest = size >> 4;
    while rest > 0 {
        if let Some(last) = head.last_mut() {
            *last |= 0x80;
        }
        head.push(low(rest, 0x7f));
        rest >>= 7;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_git_reads_them() {
        assert_eq!(entry_head(COMMIT, 5), [0x15]);
        assert_eq!(entry_head(COMMIT, 16), [0x90, 0x01]);
        assert_eq!(entry_head(COMMIT, 0x1234), [0x94, 0xa3, 0x02]);
    }
}
