//! Remotes that take no refs but branches and tags.
//!
//! Lanes are below `refs/grit` in every clone. At such a remote they are branches below
//! `refs/heads/grit`: found out by its refusal, remembered in the setting `grit.prefix`, and found
//! again by other clones because they are there.

use std::sync::PoisonError;

use grit_ledger::LedgerError;
use grit_types::RefName;

use super::{GitLedger, storage};
use crate::{Git, Repository};

/// Every host takes branches.
const BRANCHES: &str = "refs/heads/grit";

const SETTING: &str = "grit.prefix";

/// How hosts word that it is the name of a ref that they do not take.
const WORDS: [&str; 5] =
    ["hidden ref", "funny refname", "invalid ref", "ref is not allowed", "unsupported ref"];

/// What the setting says, when it is the name of a folder of refs.
pub(super) fn configured(repository: &Repository) -> Option<String> {
    let value = repository.local().config_snapshot().string(SETTING)?.to_string();
    let name: RefName = value.parse().ok()?;
    name.as_str().starts_with("refs/").then(|| name.to_string())
}

impl GitLedger {
    /// Where the lanes are at the remote.
    pub(super) fn there(&self) -> String {
        self.moved().unwrap_or_else(|| self.prefix.clone())
    }

    fn moved(&self) -> Option<String> {
        self.remote_prefix.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the lanes could be branches instead, after this refusal.
    pub(super) fn may_be_branches(&self, reason: &str) -> bool {
        self.moved().is_none() && WORDS.iter().any(|words| reason.contains(words))
    }

    /// Has the lanes be branches at the remote from now on, or no more.
    pub(super) fn be_branches(&self, branches: bool) {
        let mut prefix = self.remote_prefix.write().unwrap_or_else(PoisonError::into_inner);
        *prefix = branches.then(|| BRANCHES.to_owned());
    }

    /// Whether somebody had to make branches of the lanes at a remote that has none otherwise.
    pub(super) fn finds_branches(&self, remote: &str) -> Result<bool, LedgerError> {
        if self.moved().is_some() {
            return Ok(false);
        }
        let listed = Git::new("ls-remote")
            .repository(self.repository.git_dir())
            .flag("--quiet")
            .timeout(self.timeout)
            .operand(remote)
            .operand(format!("{BRANCHES}/a/*"))
            .operand(format!("{BRANCHES}/ci/*"))
            .operand(format!("{BRANCHES}/base"))
            .run()
            .map_err(|error| storage("look for lanes among the branches", error))?;
        Ok(!listed.stdout.is_empty())
    }

    /// Keeps in the repository's configuration that the lanes are branches.
    pub(super) fn remember_branches(&self) -> Result<(), LedgerError> {
        let config = Git::new("config")
            .repository(self.repository.git_dir())
            .flag("--local")
            .operand(SETTING)
            .operand(BRANCHES);
        config.run().map(drop).map_err(|error| storage("remember where the lanes are", error))
    }
}
