//! Where the refs of locks are: at a remote, or, where there is none, in the repository itself.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use grit_types::{CommitId, RefName};

use super::{LockError, record};
use crate::durable::sync_changed;
use crate::error::Reading;
use crate::filelock::FileLock;
use crate::refs::{self, RefWriter};
use crate::repository::commit_id;
use crate::{GitError, Output, Repository, remote};

/// How often refs are read again that git packs at the same moment.
const READS_MAX: usize = 5;

/// Records that others may have written since this clone has looked.
const CHAIN_MAX: usize = 100_000;

/// The last record of each lock, by the lock's key.
pub(super) type Tips = BTreeMap<String, CommitId>;

/// What a look at a place found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) tips: Tips,
    /// Locks whose history there is not the one that was seen before.
    pub(super) rewound: Vec<String>,
    /// Locks of which git takes nothing over because of what an object holds: what their refs are
    /// there, and git's reason. In `tips` they are as they were seen before.
    pub(super) refused: BTreeMap<String, (CommitId, GitError)>,
}

/// A lock's ref that moves, or none of those that move together does.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) name: RefName,
    /// What it must still be; none: it must not exist.
    pub(super) expected: Option<CommitId>,
    pub(super) new: CommitId,
}

/// What became of moves.
#[derive(Debug)]
pub(super) enum Published {
    Accepted,
    /// A lock's ref was not as expected, or the remote does not want it to move.
    Rejected {
        why: String,
    },
    /// Nothing moved, because of the other refs that were to be pushed.
    PayloadRejected {
        why: String,
    },
    /// The answer was lost: it may have happened.
    Unknown(GitError),
}

/// Where the refs of locks are.
pub(super) struct Place<'a> {
    pub(super) repository: &'a Repository,
    /// `refs/grit/lock`
    pub(super) refs: String,
    /// None: the repository itself.
    pub(super) remote: Option<String>,
    pub(super) timeout: Duration,
}

impl Place<'_> {
    /// The name of the place in what is kept from look to look.
    pub(super) fn name(&self) -> &str {
        self.remote.as_deref().unwrap_or_default()
    }

    pub(super) fn ref_name(&self, key: &str) -> Result<RefName, GitError> {
        let name = format!("{}/{key}", self.refs);
        name.parse().reading(|| format!("the name of lock ref `{name}`"))
    }

    /// Takes the records over that are there.
    pub(super) fn fetch(&self) -> Result<Found, LockError> {
        let Some(remote) = &self.remote else {
            return Ok(Found { tips: self.tips(&self.refs)?, ..Found::default() });
        };
        let mut output = self.fetch_once(remote)?;
        if remote::is_bad_object(&output.stderr) {
            return self.fetch_apart(remote);
        }
        if output.code == Some(1) {
            // A ref was not taken over: a dead git has left its lock, or the history is another.
            self.repository.clear_stale_locks()?;
            output = self.fetch_once(remote)?;
        }
        let tips = self.tips(&tracking(remote))?;
        match output.code {
            Some(0) => Ok(Found { tips, ..Found::default() }),
            Some(1) => self.sorted_out(tips, BTreeMap::new()),
            _ => Err(unreachable(remote, output.into_failure("fetch"))),
        }
    }

    /// Takes over each lock that moved, but for those that git refuses.
    fn fetch_apart(&self, remote: &str) -> Result<Found, LockError> {
        let (listed, here) = (self.list()?, tracking(remote));
        let known = self.tips(&here)?;
        let moved = listed.iter().filter(|(key, tip)| known.get(*key) != Some(*tip));
        let refspecs = moved.map(|moved| (moved, format!("{}/{1}:{here}/{1}", self.refs, moved.0)));
        let started = SystemTime::now();
        let git_dir = self.repository.git_dir();
        let failed = remote::fetch_apart(git_dir, remote, self.timeout, refspecs)
            .map_err(|error| unreachable(remote, error))?;
        sync_changed(&self.repository.objects(), started)?;
        let mut refused = BTreeMap::new();
        for ((key, tip), error) in failed {
            match &error {
                GitError::Failed { stderr, .. } if remote::is_bad_object(stderr) => {
                    tracing::warn!(key, %error, "a lock of the remote is not taken");
                    refused.insert(key.clone(), (tip.clone(), error));
                }
                GitError::Failed { code: Some(1), .. } => {}
                _ => return Err(unreachable(remote, error)),
            }
        }
        self.sorted_out(self.tips(&here)?, refused)
    }

    /// Of refs that a fetch did not move: those whose history goes on from what was seen are taken
    /// all the same, the others are another history.
    fn sorted_out(
        &self,
        mut tips: Tips,
        refused: BTreeMap<String, (CommitId, GitError)>,
    ) -> Result<Found, LockError> {
        let repository = self.repository.local();
        let mut rewound = Vec::new();
        for (key, there) in self.list()? {
            if refused.contains_key(&key) {
                continue;
            }
            let seen = tips.get(&key).cloned();
            let goes_on = seen
                .as_ref()
                .is_none_or(|seen| record::is_in_chain(&repository, &there, seen, CHAIN_MAX));
            if goes_on && record::read(&repository, &there, &key).is_ok() {
                tips.insert(key, there);
            } else {
                rewound.push(key);
            }
        }
        Ok(Found { tips, rewound, refused })
    }

    /// The right to move what is kept of the remote's refs, among the processes of this clone.
    pub(super) fn alone(&self) -> Result<FileLock, GitError> {
        let path = self.repository.common_dir().join("grit/leases/look.lock");
        FileLock::acquire(&path, self.timeout)
    }

    fn fetch_once(&self, remote: &str) -> Result<Output, LockError> {
        let started = SystemTime::now();
        let output = remote::fetch(self.repository.git_dir(), remote, self.timeout)
            // Without `+`: the history of a lock only grows, and git refuses what does not.
            .operand(format!("{}/*:{}/*", self.refs, tracking(remote)))
            .output()
            .map_err(|error| unreachable(remote, error))?;
        sync_changed(&self.repository.objects(), started)?;
        Ok(output)
    }

    /// What is there now, without taking anything over.
    pub(super) fn list(&self) -> Result<Tips, LockError> {
        let Some(remote) = &self.remote else { return Ok(self.tips(&self.refs)?) };
        let text = remote::list(self.repository.git_dir(), remote, &self.refs, self.timeout)
            .map_err(|error| unreachable(remote, error))?;
        listed(&text, &self.refs).map_err(|line| {
            let error = std::io::Error::other(format!("`{line}` is no ref"));
            unreachable(
                remote,
                Err::<(), _>(error).reading(|| "what it has".to_owned()).unwrap_err(),
            )
        })
    }

    /// Moves all refs or none, and pushes `payload` with them.
    pub(super) fn publish(
        &self,
        moves: &[Move],
        payload: &[String],
    ) -> Result<Published, LockError> {
        match &self.remote {
            Some(remote) => self.push(remote, moves, payload),
            None => self.set(moves),
        }
    }

    fn push(
        &self,
        remote: &str,
        moves: &[Move],
        payload: &[String],
    ) -> Result<Published, LockError> {
        let push = remote::push(self.repository.git_dir(), remote, self.timeout);
        let mut push = push.flag("--atomic");
        for Move { name, expected, new } in moves {
            push = remote::moving(push, name.as_str(), expected.as_ref(), new);
        }
        for refspec in payload {
            push = push.operand(refspec);
        }
        let output = push.output();
        if output.as_ref().is_ok_and(|output| remote::is_locked(&output.stderr)) {
            remote::unlock_there(self.repository, remote);
        }
        match output.map(|output| judge(output, moves)) {
            Ok(published) => {
                if matches!(published, Published::Accepted) {
                    self.remember(remote, moves);
                }
                Ok(published)
            }
            Err(missing @ GitError::Missing(_)) => Err(missing.into()),
            Err(error) => Ok(Published::Unknown(error)),
        }
    }

    /// What a push moved needs no fetching. Only a help: a fetch brings it as well, unless the
    /// remote loses it before.
    fn remember(&self, remote: &str, moves: &[Move]) {
        let common = self.repository.common_dir();
        // A fetch at the same time would find its refs locked.
        let remembered = self.alone().and_then(|_alone| {
            let writer = RefWriter::acquire(common)?;
            for Move { name, new, .. } in moves {
                let key = name.as_str().rsplit('/').next().unwrap_or_default();
                let name: RefName =
                    format!("{}/{key}", tracking(remote)).parse().reading(|| key.to_owned())?;
                writer.set(&name, refs::read(common, &name)?.as_ref(), new)?;
            }
            Ok(())
        });
        if let Err(error) = remembered {
            tracing::debug!(%error, "what was pushed is not remembered");
        }
    }

    fn set(&self, moves: &[Move]) -> Result<Published, LockError> {
        let common = self.repository.common_dir();
        let writer = RefWriter::acquire(common)?;
        for Move { name, expected, .. } in moves {
            if refs::read(common, name)? != *expected {
                return Ok(Published::Rejected { why: "it moved meanwhile".to_owned() });
            }
        }
        for Move { name, expected, new } in moves {
            writer.set(name, expected.as_ref(), new)?;
        }
        Ok(Published::Accepted)
    }

    /// The refs below `folder` in this repository.
    fn tips(&self, folder: &str) -> Result<Tips, GitError> {
        let mut attempt = 1;
        loop {
            match self.tips_now(folder) {
                Err(_) if attempt < READS_MAX => attempt += 1,
                result => return result,
            }
        }
    }

    fn tips_now(&self, folder: &str) -> Result<Tips, GitError> {
        let repository = self.repository.local();
        let what = || format!("the locks in `{folder}`");
        let prefix = format!("{folder}/");
        let platform = repository.references().reading(what)?;
        let mut tips = Tips::new();
        for found in platform.prefixed(prefix.as_str()).reading(what)? {
            let found = found.reading(what)?;
            let name = found.name().as_bstr().to_string();
            let key = name.strip_prefix(&prefix).unwrap_or_default();
            if let (true, Some(tip)) = (is_key(key), found.try_id()) {
                tips.insert(key.to_owned(), commit_id(tip));
            }
        }
        Ok(tips)
    }
}

/// Where the records of a remote are kept.
fn tracking(remote: &str) -> String {
    format!("refs/grit/remotes/{remote}/lock")
}

/// Refs beside those of locks are none of ours.
fn is_key(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Reads lines `ID TAB REF`; a line with another id than a whole one is answered as wrong, because
/// an empty id in a push deletes.
fn listed<'a>(text: &'a str, refs: &str) -> Result<Tips, &'a str> {
    let mut tips = Tips::new();
    for line in text.lines() {
        let (id, name) = line.split_once('\t').ok_or(line)?;
        let tip: CommitId = id.parse().map_err(|_| line)?;
        let key = name.strip_prefix(refs).and_then(|rest| rest.strip_prefix('/'));
        if let Some(key) = key.filter(|key| is_key(key)) {
            tips.insert(key.to_owned(), tip);
        }
    }
    Ok(tips)
}

/// What `git push --porcelain` tells: lines `FLAG TAB FROM:TO TAB SUMMARY`.
fn judge(output: Output, moves: &[Move]) -> Published {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Vec<(&str, &str, &str)> = text.lines().filter_map(told).collect();
    let ours = |name: &str| moves.iter().any(|Move { name: own, .. }| own.as_str() == name);
    let accepted =
        |name: &RefName| told.iter().any(|(flag, to, _)| *to == name.as_str() && *flag != "!");
    if output.code == Some(0) && moves.iter().all(|Move { name, .. }| accepted(name)) {
        return Published::Accepted;
    }
    // The one that is at fault; the others only say that nothing moves without it.
    let is_cause = |summary: &str| !summary.contains("atomic");
    let refused = |of_ours: bool| {
        let refused = |(flag, to, _): &&(&str, &str, &str)| *flag == "!" && ours(to) == of_ours;
        told.iter().filter(refused).map(|(_, _, summary)| *summary).collect::<Vec<_>>()
    };
    let (locks, payload) = (refused(true), refused(false));
    let cause = |list: &[&str]| list.iter().copied().find(|s| is_cause(s)).map(printable);
    let said = said(&output.stderr);
    match (cause(&locks), cause(&payload)) {
        (Some(why), _) => Published::Rejected { why: why + &said },
        (None, Some(why)) => Published::PayloadRejected { why: why + &said },
        (None, None) if !locks.is_empty() => Published::Rejected { why: printable(&output.stderr) },
        (None, None) => Published::Unknown(output.into_failure("push")),
    }
}

/// What the remote itself said went wrong, to be put behind git's word for it.
fn said(stderr: &str) -> String {
    let errors = stderr.lines().filter_map(|line| line.strip_prefix("remote: "));
    let first = errors.map(printable).find(|line| !line.is_empty());
    first.map(|line| format!(": {line}")).unwrap_or_default()
}

fn told(line: &str) -> Option<(&str, &str, &str)> {
    let mut parts = line.split('\t');
    let (flag, refs) = (parts.next()?, parts.next()?);
    let (_, to) = refs.split_once(':')?;
    Some((flag, to, parts.next().unwrap_or_default()))
}

/// On one line, because a remote may have written it.
fn printable(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}

pub(super) fn unreachable(remote: &str, error: GitError) -> LockError {
    match error {
        missing @ GitError::Missing(_) => missing.into(),
        source => LockError::Unreachable { remote: remote.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const REFS: &str = "refs/grit/lock";

    fn judged(code: i32, stdout: &str) -> Published {
        let name: RefName = format!("{REFS}/{A}").parse().unwrap();
        let moves = [Move { name, expected: None, new: A.parse().unwrap() }];
        let stdout = stdout.as_bytes().to_vec();
        judge(Output { code: Some(code), stdout, stderr: "lost".to_owned() }, &moves)
    }

    #[test]
    fn an_id_that_is_not_whole_is_never_taken() {
        let good = format!("{A}\t{REFS}/{A}\n{A}\trefs/heads/main\n{A}\t{REFS}/other\n");
        assert_eq!(listed(&good, REFS).unwrap().len(), 1);
        for id in ["", "a", &A[1..], &format!("{A}a"), "0x"] {
            assert!(listed(&format!("{id}\t{REFS}/{A}\n"), REFS).is_err(), "{id:?}");
        }
        assert!(listed("no tab", REFS).is_err());
    }

    #[test]
    fn only_an_accepted_ref_is_accepted() {
        let line = |flag: &str, to: &str, why: &str| format!("{flag}\t{A}:{to}\t{why}\n");
        let lock = format!("{REFS}/{A}");
        assert!(matches!(judged(0, &line("*", &lock, "[new reference]")), Published::Accepted));
        assert!(matches!(judged(1, &line("*", &lock, "[new reference]")), Published::Unknown(_)));
        assert!(matches!(judged(0, "Done\n"), Published::Unknown(_)), "nothing was said of it");
        assert!(matches!(judged(128, ""), Published::Unknown(_)));
        let stale = line("!", &lock, "[rejected] (stale info)");
        assert!(matches!(judged(1, &stale), Published::Rejected { why } if why.contains("stale")));
        let payload = line("!", &lock, "[rejected] (atomic push failed)")
            + &line("!", "refs/heads/main", "[rejected] (non-fast-forward)");
        assert!(matches!(judged(1, &payload), Published::PayloadRejected { .. }));
        let both = stale + &line("!", "refs/heads/main", "[rejected] (atomic push failed)");
        assert!(matches!(judged(1, &both), Published::Rejected { .. }));
    }
}
