//! What the team agreed on, `refs/grit/meta`: records like those of a lane, but one line of them
//! for everybody, which moves at the remote by compare-and-swap.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use gix::objs::Kind;
use grit_ledger::{
    Event, Hlc, LedgerError, Meta, MetaRefusal, Policy, Quarantined, SignatureProblem, Signed,
};
use grit_types::{CommitId, Entropy, RefName, chain};

use super::chain::{Chain, Relation, relation};
use super::entry::{self, Entry};
use super::push::Verdict;
use super::sign::{self, Signer, Wanted};
use super::sync::{Exchange, pause, tracking};
use super::{GitLedger, files, storage};
use crate::error::Reading;
use crate::refs::{self, RefWriter};
use crate::repository::commit_id;
use crate::{GitError, object};

/// How often it starts again because another was faster.
const ROUNDS_MAX: usize = 8;

/// The records of this clone, read.
#[derive(Debug, Default)]
pub struct Agreed {
    pub meta: Meta,
    /// Records that do not count.
    pub refused: Vec<Quarantined>,
    /// The time of the last record, for clocks that must not fall behind it.
    pub latest: Option<Hlc>,
    pub(super) tip: Option<CommitId>,
}

/// Why a record was not added.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    #[error("the record would not count")]
    Refused(#[source] MetaRefusal),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl GitLedger {
    /// What was agreed on, as far as this clone knows.
    pub fn agreed(&self) -> Result<Arc<Agreed>, LedgerError> {
        self.read_agreed().map_err(|error| storage("read what was agreed on", error))
    }

    pub(super) fn read_agreed(&self) -> Result<Arc<Agreed>, GitError> {
        let tip = refs::read(self.repository.common_dir(), &self.meta_name()?)?;
        let mut kept = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.tip != tip {
            *kept = Arc::new(self.fold_agreed(tip));
        }
        Ok(kept.clone())
    }

    fn fold_agreed(&self, tip: Option<CommitId>) -> Agreed {
        let repository = self.repository.local();
        let mut records: Vec<_> = Chain::new(&repository, tip.clone()).collect();
        records.reverse();
        let mut agreed = Agreed { tip, ..Agreed::default() };
        for record in records {
            let refused = match record {
                Ok(entry) => match apply(&mut agreed, &entry) {
                    Ok(()) => continue,
                    Err(reason) => (entry.id, reason),
                },
                Err(broken) => (broken.at, chain(&broken.source)),
            };
            let (at, reason) = (refused.0.to_string(), refused.1);
            agreed.refused.push(Quarantined { lane: "meta".to_owned(), at, reason });
        }
        agreed
    }

    fn meta_name(&self) -> Result<RefName, GitError> {
        let name = format!("{}/meta", self.prefix);
        name.parse().reading(|| format!("the name `{name}`"))
    }

    /// Adds a record: at the remote first, or here alone where no remote is configured. Answers
    /// whether the remote has it.
    pub fn agree(&self, event: &Event) -> Result<bool, MetaError> {
        let failed = |error| storage("record what was agreed on", error);
        let remote = match self.remote_name() {
            Ok(remote) => Some(remote),
            Err(LedgerError::NoRemote) if self.remote.is_none() => None,
            Err(error) => return Err(error.into()),
        };
        for round in 1..=ROUNDS_MAX {
            if remote.is_some() {
                self.exchange(&Exchange { send: false, audit: false })?;
            }
            let agreed = self.read_agreed().map_err(failed)?;
            let signer = self.signer(true).map_err(failed)?;
            let by = signer.and_then(Signer::fingerprint);
            let mut after = agreed.meta.clone();
            after.apply(event, by.as_deref(), sign::fingerprint).map_err(MetaError::Refused)?;
            let tip = self
                .writing(|| {
                    let objects = self.repository.objects();
                    let (tree, bytes) = (files::write(&objects, &[])?, event.encode());
                    let commit = entry::encode(event, &bytes, &tree, agreed.tip.as_ref(), signer)?;
                    object::write(&objects, Kind::Commit, &commit).map(commit_id)
                })
                .map_err(failed)?;
            let verdict = match &remote {
                None => Some(Verdict::Accepted),
                Some(remote) => {
                    let there = self.their_meta(remote).map_err(failed)?;
                    self.move_refs(remote, &[("meta", there.as_ref(), Some(&tip))])?.pop()
                }
            };
            match verdict {
                Some(Verdict::Accepted) => {
                    self.move_meta(agreed.tip.as_ref(), &tip).map_err(failed)?;
                    return Ok(remote.is_some());
                }
                Some(Verdict::Refused(reason)) => {
                    let remote = remote.unwrap_or_default();
                    return Err(LedgerError::Refused { remote, reason, waiting: 0 }.into());
                }
                Some(Verdict::Raced) | None => std::thread::sleep(pause(round)),
            }
        }
        let reason = format!("others changed what was agreed on {ROUNDS_MAX} times in a row");
        let remote = remote.unwrap_or_default();
        Err(LedgerError::Refused { remote, reason, waiting: 0 }.into())
    }

    fn move_meta(&self, from: Option<&CommitId>, to: &CommitId) -> Result<(), GitError> {
        let name = self.meta_name()?;
        self.writing(|| {
            let writer = RefWriter::acquire(self.repository.common_dir())?;
            match writer.set(&name, from, to) {
                // A sync of another process was faster.
                Err(GitError::Moved { .. }) => Ok(()),
                moved => moved,
            }
        })
    }

    fn their_meta(&self, remote: &str) -> Result<Option<CommitId>, GitError> {
        let name = format!("{}/meta", tracking(remote));
        let name = name.parse().reading(|| format!("the name `{name}`"))?;
        refs::read(self.repository.common_dir(), &name)
    }

    /// Takes over what continues what this clone knows, and answers what the remote lacks. Another
    /// history than the known one is never taken: whoever wrote it could have written any key.
    pub(super) fn take_meta(
        &self,
        remote: &str,
    ) -> Result<Option<(Option<CommitId>, CommitId)>, LedgerError> {
        let failed = |error| storage("take what was agreed on", error);
        let theirs = self.their_meta(remote).map_err(failed)?;
        let ours = self.read_agreed().map_err(failed)?.tip.clone();
        let repository = self.repository.local();
        let relation = relation(&repository, ours.as_ref(), theirs.as_ref())
            .reading(|| "its records".to_owned())
            .map_err(failed)?;
        match (relation, ours, theirs) {
            (Relation::Behind(_), ours, Some(theirs)) => {
                self.move_meta(ours.as_ref(), &theirs).map_err(failed)?;
                Ok(None)
            }
            (Relation::Ahead(_), Some(ours), theirs) => Ok(Some((theirs, ours))),
            (Relation::Forked { .. }, Some(_), Some(theirs)) => {
                let reason = format!(
                    "{theirs} does not go on from what this clone knows; whoever trusts it removes \
                     refs/grit/meta here"
                );
                let error = Err::<(), _>(std::io::Error::other(reason));
                Err(failed(error.reading(|| "its records".to_owned()).unwrap_err()))
            }
            _ => Ok(None),
        }
    }

    /// The stricter of what the team and this clone say.
    pub fn policy(&self) -> Result<Policy, LedgerError> {
        Ok(self.agreed()?.meta.signatures.max(self.own_policy()))
    }

    /// What `grit.signatures` says. A word that is none of them is taken for the strictest.
    pub(super) fn own_policy(&self) -> Policy {
        let local = self.repository.local();
        let setting = local.config_snapshot().string("grit.signatures");
        setting.map_or(Policy::Off, |text| text.to_string().parse().unwrap_or(Policy::Require))
    }

    /// What to sign with; none where nothing is configured or asked for.
    pub(super) fn signer(&self, asked: bool) -> Result<Option<&Signer>, GitError> {
        let setting = match sign::wanted(&self.repository) {
            Some(Wanted::Always(setting)) => setting,
            Some(Wanted::WhenAsked(setting)) => {
                let asked = asked
                    || self.own_policy() != Policy::Off
                    || self.read_agreed()?.meta.signatures != Policy::Off;
                if !asked {
                    return Ok(None);
                }
                setting
            }
            None => return Ok(None),
        };
        if let Some(signer) = self.signer.get() {
            return Ok(Some(signer));
        }
        let signer = Signer::open(&self.repository, &setting)?;
        Ok(Some(self.signer.get_or_init(|| signer)))
    }

    /// The public half of the key that this clone signs with, as in `id_ed25519.pub`.
    pub fn signing_key(&self) -> Result<Option<String>, LedgerError> {
        let failed = |error| storage("read the signing key", error);
        self.signer(true)
            .and_then(|signer| signer.map(Signer::public_line).transpose())
            .map_err(failed)
    }

    /// Makes a key in `file`, and has this clone sign with it.
    pub fn create_key(
        &self,
        file: &Path,
        comment: &str,
        entropy: &dyn Entropy,
    ) -> Result<String, LedgerError> {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        let made = sign::create(file, &seed, comment).and_then(|line| {
            crate::Git::new("config")
                .repository(self.repository.git_dir())
                .flag("--local")
                .operand("grit.signingKey")
                .operand(file)
                .run()
                .map(|_| line)
        });
        made.map_err(|error| storage("make a signing key", error))
    }

    /// The fingerprint of a public key's line.
    pub fn fingerprint(line: &str) -> Option<String> {
        sign::fingerprint(line)
    }
}

fn apply(agreed: &mut Agreed, entry: &Entry) -> Result<(), String> {
    let event = entry.event().map_err(|error| chain(&error))?;
    agreed.latest = agreed.latest.max(Some(event.hlc));
    let signer = sign::signer(entry.signature(), entry.message());
    if let Err(problem @ SignatureProblem::Wrong) = signer {
        return Err(chain(&problem));
    }
    let signer = signer.ok();
    agreed.meta.apply(&event, signer.as_deref(), sign::fingerprint).map_err(|error| chain(&error))
}

/// What an entry's signature comes to.
pub(super) fn signed(meta: &Meta, entry: &Entry, event: &Event) -> Signed {
    let checked = sign::signer(entry.signature(), entry.message())
        .and_then(|signer| meta.accepts(&signer, event).map(|()| signer));
    checked.map_or_else(Signed::Bad, Signed::Good)
}
