use grit_ledger::LedgerError;
use grit_types::CommitId;

use super::entry::{self, Entry, EntryError};

/// The entries of a lane from one of them back to its beginning.
pub(super) struct Chain<'a> {
    repository: &'a gix::Repository,
    lane: &'a str,
    next: Option<CommitId>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(
        repository: &'a gix::Repository,
        lane: &'a str,
        tip: Option<CommitId>,
    ) -> Self {
        Self { repository, lane, next: tip }
    }
}

impl Iterator for Chain<'_> {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.next.take()?;
        match entry::read(self.repository, &id) {
            Ok(entry) => {
                self.next.clone_from(&entry.parent);
                Some(Ok(entry))
            }
            Err(EntryError::Decode(source)) => {
                Some(Err(LedgerError::Damaged { at: id.to_string(), source }))
            }
            Err(error) => {
                let action = format!("read entry {id} of lane {}", self.lane);
                Some(Err(LedgerError::Storage { action, source: error.into() }))
            }
        }
    }
}

/// How two states of a lane stand to each other.
pub(super) enum Relation {
    Same,
    /// Theirs continues ours.
    Behind,
    /// Ours continues theirs.
    Ahead,
    /// Each has what the other lacks; with the entries of both, newest first.
    Forked {
        ours: Vec<Entry>,
        theirs: Vec<Entry>,
    },
}

/// Compares by walking both back at once: as far as the shorter difference is long.
///
/// Everything that theirs adds is read, and so proven to be events.
pub(super) fn relation(
    repository: &gix::Repository,
    lane: &str,
    ours: Option<&CommitId>,
    theirs: Option<&CommitId>,
) -> Result<Relation, LedgerError> {
    if ours == theirs {
        return Ok(Relation::Same);
    }
    if theirs.is_none() {
        return Ok(Relation::Ahead);
    }
    let mut our_chain = Chain::new(repository, lane, ours.cloned());
    let mut their_chain = Chain::new(repository, lane, theirs.cloned());
    let (mut our_entries, mut their_entries) = (Vec::new(), Vec::new());
    loop {
        if their_chain.next.as_ref() == ours {
            return Ok(Relation::Behind);
        }
        if our_chain.next.as_ref() == theirs {
            return Ok(Relation::Ahead);
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
