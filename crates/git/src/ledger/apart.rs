//! Fetching lanes each by itself, where git refuses an object of one of them: one hostile commit in
//! one lane must not keep everybody from everything.

use std::collections::BTreeMap;

use grit_ledger::LedgerError;
use grit_types::{CommitId, RefName};

use super::sync::{AUDIT, tracking, unreachable};
use super::{GitLedger, is_lane, storage};
use crate::error::Reading;
use crate::{Git, GitError, refs, remote};

impl GitLedger {
    /// Fetches each lane that moved, and answers what is wrong with the first that cannot be taken.
    pub(super) fn fetch_apart(
        &self,
        remote: &str,
        audit: bool,
    ) -> Result<Option<LedgerError>, LedgerError> {
        let listed = self.list(remote)?;
        let failed = |error| storage("read what was fetched", error);
        let (theirs, here) = (self.there(), tracking(remote));
        let mut moved = Vec::new();
        for (lane, tip) in &listed {
            let name: RefName =
                format!("{here}/{lane}").parse().reading(|| lane.clone()).map_err(failed)?;
            let known = refs::read(self.repository.common_dir(), &name).map_err(failed)?;
            if (audit || !lane.starts_with(AUDIT)) && known.as_ref() != Some(tip) {
                moved.push((lane, format!("+{theirs}/{lane}:{here}/{lane}")));
            }
        }
        let refused = remote::fetch_apart(self.repository.git_dir(), remote, self.timeout, moved)
            .map_err(|error| unreachable(remote, error))?;
        let mut bad = None;
        for (lane, error) in refused {
            tracing::warn!(lane, %error, "a lane of the remote is not taken");
            bad.get_or_insert(storage(&format!("take lane {lane}"), error));
        }
        for lane in self.tips(&here).map_err(failed)?.into_keys() {
            if !listed.contains_key(&lane) && (audit || !lane.starts_with(AUDIT)) {
                self.forget(&format!("{here}/{lane}")).map_err(failed)?;
            }
        }
        Ok(bad)
    }

    fn list(&self, remote: &str) -> Result<BTreeMap<String, CommitId>, LedgerError> {
        let theirs = self.there();
        let text = remote::list(self.repository.git_dir(), remote, &theirs, self.timeout)
            .map_err(|error| unreachable(remote, error))?;
        let lane = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            let lane = name.strip_prefix(&theirs)?.strip_prefix('/')?;
            let is_ours = is_lane(lane) || ["base", "meta"].contains(&lane);
            Some((lane.to_owned(), id.parse().ok()?)).filter(|_| is_ours)
        };
        Ok(text.lines().filter_map(lane).collect())
    }

    /// What the remote does not have any more.
    fn forget(&self, name: &str) -> Result<(), GitError> {
        let git = Git::new("update-ref").repository(self.repository.git_dir());
        git.flag("-d").operand(name).run().map(drop)
    }
}
