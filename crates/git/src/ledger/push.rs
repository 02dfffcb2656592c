//! Moving refs at the remote, and what it says to that.

use std::collections::BTreeMap;

use grit_ledger::LedgerError;
use grit_types::CommitId;

use super::sync::{Offer, unreachable};
use super::{GitLedger, storage};
use crate::remote;

/// What a remote said to a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    /// Another was faster.
    Raced,
    Refused(String),
}

impl GitLedger {
    /// Pushes lanes, each by itself; answers what became of each.
    pub(super) fn push(&self, remote: &str, offers: &[Offer]) -> Result<Vec<Verdict>, LedgerError> {
        let mut moves = Vec::new();
        for Offer { lane, tip, expected, .. } in offers {
            self.ref_name(lane).map_err(|error| storage("push", error))?;
            // What is expected was found to be an ancestor, so the lease forces nothing.
            moves.push((lane.as_str(), expected.as_ref(), Some(tip)));
        }
        self.move_refs(remote, &moves)
    }

    /// Moves refs below the prefix at the remote, each by itself, from what is expected: `(NAME,
    /// EXPECTED, NEW)`; without a new value it goes.
    pub(super) fn move_refs(
        &self,
        remote: &str,
        moves: &[(&str, Option<&CommitId>, Option<&CommitId>)],
    ) -> Result<Vec<Verdict>, LedgerError> {
        let mut push = remote::push(self.repository.git_dir(), remote, self.timeout);
        let mut names = Vec::new();
        for (name, expected, new) in moves {
            let name = format!("{}/{name}", self.there());
            push = match (expected, new) {
                (expected, Some(new)) => remote::moving(push, &name, *expected, new),
                (Some(expected), None) => remote::removing(push, &name, expected),
                (None, None) => push,
            };
            names.push(name);
        }
        let output = push.output().map_err(|error| unreachable(remote, error))?;
        if remote::is_locked(&output.stderr) {
            remote::unlock_there(&self.repository, remote);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let told: BTreeMap<&str, Verdict> = text.lines().filter_map(pushed).collect();
        // The remote was read a moment ago, so that what it says to a push is its answer.
        let silence = || Verdict::Refused(first_reason(&output.stderr));
        Ok(names
            .iter()
            .map(|name| told.get(name.as_str()).cloned().unwrap_or_else(silence))
            .collect())
    }
}

/// What hosts call it when two pushes to one ref meet.
const RACES: [&str; 4] =
    ["failed to update ref", "cannot lock ref", "incorrect old value", "reference already exists"];

/// The ref of a line of `git push --porcelain`, `FLAG TAB FROM:TO TAB SUMMARY`, and whether it has
/// the pushed value now.
fn pushed(line: &str) -> Option<(&str, Verdict)> {
    let mut parts = line.split('\t');
    let (flag, refs, summary) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let (_, to) = refs.split_once(':')?;
    let verdict = if flag != "!" {
        Verdict::Accepted
    } else if summary.starts_with("[rejected]") || RACES.iter().any(|race| summary.contains(race)) {
        Verdict::Raced
    } else {
        let printable = |c: &char| !c.is_control();
        Verdict::Refused(summary.chars().filter(printable).collect())
    };
    Some((to, verdict))
}

/// The line in which git says why, without what it says around it.
fn first_reason(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = |start: &str| lines.iter().find(|line| line.starts_with(start));
    let line = said("remote: ").or_else(|| said("fatal: ")).or(lines.first());
    line.map_or_else(|| "it does not say why".to_owned(), |line| (*line).to_owned())
}

#[cfg(test)]
mod tests {
    use grit_testkit::{git, temp_dir};

    use super::*;
    use crate::Repository;

    #[test]
    fn what_others_pushed_since_the_last_look_stays() {
        let folder = temp_dir();
        let remote = folder.path().join("remote.git");
        Repository::init_bare(&remote).unwrap();
        git(folder.path(), &["clone", "--quiet", "remote.git", "clone"]);
        let clone = folder.path().join("clone");
        let ledger = GitLedger::new(Repository::open(&clone).unwrap());
        let tree = git(&clone, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = |message: &str| -> CommitId {
            CommitId::try_from(git(&clone, &["commit-tree", "-m", message, &tree])).unwrap()
        };
        let (theirs, ours, other) = (commit("theirs"), commit("ours"), commit("other"));
        let push = |expected, new| {
            ledger.move_refs("origin", &[("ci/00", expected, Some(new))]).unwrap().remove(0)
        };
        assert_eq!(push(None, &theirs), Verdict::Accepted);
        assert_eq!(push(None, &ours), Verdict::Raced);
        assert_eq!(push(Some(&other), &ours), Verdict::Raced);
        assert_eq!(git(&remote, &["rev-parse", "refs/grit/ci/00"]), theirs.as_str());
        assert_eq!(push(Some(&theirs), &ours), Verdict::Accepted);
        assert_eq!(git(&remote, &["rev-parse", "refs/grit/ci/00"]), ours.as_str());
    }

    #[test]
    fn porcelain_lines() {
        let name = "refs/grit/a/x";
        let said =
            |flag: &str, summary: &str| pushed_owned(&format!("{flag}\tabc:{name}\t{summary}"));
        assert_eq!(said("*", "[new reference]"), Some(Verdict::Accepted));
        assert_eq!(said("!", "[rejected] (stale info)"), Some(Verdict::Raced));
        assert_eq!(said("!", "[remote rejected] (failed to update ref)"), Some(Verdict::Raced));
        let hook = "[remote rejected] (pre-receive hook declined)";
        assert_eq!(said("!", hook), Some(Verdict::Refused(hook.to_owned())));
        assert_eq!(pushed("To /tmp/x.git"), None);
        assert_eq!(pushed("Done"), None);
    }

    fn pushed_owned(line: &str) -> Option<Verdict> {
        pushed(line).map(|(_, verdict)| verdict)
    }
}
