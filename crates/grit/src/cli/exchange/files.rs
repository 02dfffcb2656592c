//! The bytes of attachments: those that the ledger has, and those that a document brings.

use std::collections::BTreeMap;

use grit_git::GitLedger;
use grit_issues::exchange::document::{Files, attachment};
use grit_issues::{ATTACHMENT_BYTES_MAX, Attachment, shown};
use grit_ledger::{BytesError, Entry, Ledger};
use grit_types::{Digest, chain};

use crate::exit::{Exit, Failure};

/// Most bytes of attachments in one document: as base64, and with the events, they stay below what
/// an import reads.
const FILES_BYTES_MAX: u64 = 160 << 20;

/// An attachment, and the entries that may have brought its bytes.
pub struct Named<'a> {
    about: Attachment,
    entries: Vec<&'a str>,
}

/// The attachments that these entries name, also those that were taken off since.
pub fn named(entries: &[Entry]) -> BTreeMap<Digest, Named<'_>> {
    let mut named = BTreeMap::new();
    for entry in entries {
        let Some(about) = attachment(&entry.event) else { continue };
        let new = || Named { about: about.clone(), entries: Vec::new() };
        named.entry(about.digest).or_insert_with(new).entries.push(&entry.at);
    }
    named
}

impl Named<'_> {
    /// Where one of its entries has no bytes, another lane may.
    pub fn bytes(&self, ledger: &GitLedger) -> Result<Vec<u8>, BytesError> {
        let digest = &self.about.digest;
        let mut found = self.entries.iter().map(|at| ledger.bytes_at(at, digest));
        found.find_map(Result::ok).map_or_else(|| ledger.bytes(digest), Ok)
    }
}

/// The bytes of all of them; where some are missing, none.
pub fn read(ledger: &GitLedger, entries: &[Entry]) -> Result<Files, Failure> {
    let (mut files, mut total) = (Files::new(), 0);
    for (digest, named) in named(entries) {
        let bytes = named.bytes(ledger).map_err(|error| missing(&named.about, &error))?;
        total += bytes.len() as u64;
        if total > FILES_BYTES_MAX || bytes.len() as u64 > ATTACHMENT_BYTES_MAX {
            let name = shown(&named.about.name, 80);
            let message = format!(
                "with the attachment `{name}` they are more than one document may have: {} MiB, \
                 and {} MiB each",
                FILES_BYTES_MAX >> 20,
                ATTACHMENT_BYTES_MAX >> 20
            );
            return Err(Failure::new(Exit::Usage, "too_large", message).hint(WITHOUT));
        }
        files.insert(digest, bytes);
    }
    Ok(files)
}

const WITHOUT: &str = "`grit export --no-files` leaves the bytes of attachments out";

fn missing(about: &Attachment, error: &BytesError) -> Failure {
    let message = format!("the attachment `{}`: {}", shown(&about.name, 80), chain(error));
    let hint = format!("export from a clone that has it whole; {WITHOUT}");
    Failure::new(Exit::Environment, "bytes_missing", message).hint(hint)
}
