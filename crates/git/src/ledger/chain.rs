use grit_types::CommitId;

use super::entry::{self, Entry, EntryError};

/// The entries of a lane from one of them back to its beginning.
pub(super) struct Chain<'a> {
    repository: &'a gix::Repository,
    next: Option<CommitId>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(repository: &'a gix::Repository, tip: Option<CommitId>) -> Self {
        Self { repository, next: tip }
    }
}

impl Iterator for Chain<'_> {
    /// With what cannot be read goes what is behind it.
    type Item = Result<Entry, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.next.take()?;
        match entry::read(self.repository, &id) {
            Ok(entry) => {
                self.next.clone_from(&entry.parent);
                Some(Ok(entry))
            }
            Err(source) => Some(Err(Broken { at: id, source })),
        }
    }
}

/// Where a chain cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("entry {at} of a lane cannot be read")]
pub(super) struct Broken {
    pub(super) at: CommitId,
    pub(super) source: EntryError,
}

/// How two states of a lane stand to each other.
pub(super) enum Relation {
    Same,
    /// Theirs continues ours by so many entries.
    Behind(usize),
    /// Ours continues theirs by so many entries.
    Ahead(usize),
    /// Each has what the other lacks; with the entries of both, newest first.
    Forked {
        ours: Vec<Entry>,
        theirs: Vec<Entry>,
    },
}

/// Compares by walking both back at once: as far as the shorter difference is long.
pub(super) fn relation(
    repository: &gix::Repository,
    ours: Option<&CommitId>,
    theirs: Option<&CommitId>,
) -> Result<Relation, Broken> {
    if ours == theirs {
        return Ok(Relation::Same);
    }
    let mut our_chain = Chain::new(repository, ours.cloned());
    let mut their_chain = Chain::new(repository, theirs.cloned());
    let (mut our_entries, mut their_entries) = (Vec::new(), Vec::new());
    loop {
        if their_chain.next.as_ref() == ours && theirs.is_some() {
            return Ok(Relation::Behind(their_entries.len()));
        }
        if our_chain.next.as_ref() == theirs && ours.is_some() {
            return Ok(Relation::Ahead(our_entries.len()));
        }
        let their_entry = their_chain.next().transpose()?;
        let our_entry = our_chain.next().transpose()?;
        if our_entry.is_none() && their_entry.is_none() {
            return Ok(Relation::Forked { ours: our_entries, theirs: their_entries });
        }
        their_entries.extend(their_entry);
        our_entries.extend(our_entry);
    }
}
