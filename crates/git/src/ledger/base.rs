//! The checkpoint, `refs/grit/base`: lanes that need no ref of their own any more.
//!
//! It is a chain of commits. Each names lanes and their tips, the *cut*, and has those tips among
//! its parents, behind the record before it. So it copies nothing and loses nothing: what it covers
//! is reachable through it, and lanes read as if their refs were still there. A lane goes on behind
//! its covered tip.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, PoisonError};

use gix::objs::Kind;
use grit_ledger::canonical;
use grit_types::{CommitId, RefName, Timestamp, chain};
use serde::Deserialize;
use serde_json::json;

use super::chain::{Relation, relation};
use super::entry;
use super::sync::Tips;
use super::{GitLedger, is_lane};
use crate::durable;
use crate::error::{Doing, Reading};
use crate::refs::{self, RefWriter};
use crate::repository::commit_id;
use crate::{Git, GitError, Repository, object};

const VERSION: u64 = 1;

/// Git and others read a commit with so many parents; more lanes make more commits.
const LANES_PER_RECORD: usize = 500;

/// What one record says.
#[derive(Deserialize)]
struct Record {
    v: u64,
    /// The record before this one, the first parent.
    previous: Option<CommitId>,
    cut: Tips,
}

/// A checkpoint, read.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// Its records, newest first.
    pub(super) records: Vec<CommitId>,
    /// Where the lanes that it covers end.
    pub(super) cut: Tips,
    /// A record that cannot be used, and why. Neither can those before it.
    pub(super) broken: Option<(CommitId, String)>,
}

impl Base {
    pub(super) fn tip(&self) -> Option<&CommitId> {
        self.records.first()
    }

    pub(super) fn read(repository: &Repository, tip: Option<CommitId>) -> Self {
        let repository = repository.local();
        let (mut base, mut next) = (Self::default(), tip);
        while let Some(id) = next.take() {
            match read_record(&repository, &id) {
                Ok(record) => {
                    for (lane, tip) in record.cut {
                        base.cut.entry(lane).or_insert(tip);
                    }
                    next = record.previous;
                }
                Err(reason) => base.broken = Some((id.clone(), reason)),
            }
            base.records.push(id);
        }
        base
    }
}

fn read_record(repository: &gix::Repository, id: &CommitId) -> Result<Record, String> {
    let (message, parents) =
        entry::message_and_parents(repository, id).map_err(|error| chain(&error))?;
    let record: Record = serde_json::from_slice(&message).map_err(|error| error.to_string())?;
    if record.v > VERSION {
        return Err("a newer Grit wrote it".to_owned());
    }
    let mut reachable = parents.iter();
    if record.previous.is_some() && reachable.next() != record.previous.as_ref() {
        return Err("it does not stand behind the record that it names".to_owned());
    }
    let reachable: std::collections::BTreeSet<&CommitId> = reachable.collect();
    match record.cut.iter().find(|(lane, tip)| !is_lane(lane) || !reachable.contains(tip)) {
        Some((lane, tip)) => Err(format!("it does not hold {tip} of lane `{lane}`")),
        None => Ok(record),
    }
}

impl GitLedger {
    pub(super) fn base_name(&self) -> Result<RefName, GitError> {
        let name = format!("{}/base", self.prefix);
        name.parse().reading(|| format!("the name `{name}`"))
    }

    /// The checkpoint of this clone.
    pub(super) fn base(&self) -> Result<Arc<Base>, GitError> {
        let tip = refs::read(self.repository.common_dir(), &self.base_name()?)?;
        let mut kept = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.tip() != tip.as_ref() {
            *kept = Arc::new(Base::read(&self.repository, tip));
        }
        Ok(kept.clone())
    }

    /// Where the lanes of this clone end, those that the checkpoint covers among them.
    pub(super) fn ends(&self) -> Result<Tips, GitError> {
        // In this order: a lane loses its ref only after the checkpoint has it.
        let mut tips = self.tips(&self.prefix)?;
        let base = self.base()?;
        let settled = base.tip().is_none() || self.settled()?.as_ref() == base.tip();
        let repository = self.repository.local();
        for (lane, covered) in &base.cut {
            let Some(tip) = tips.get(lane) else {
                tips.insert(lane.clone(), covered.clone());
                continue;
            };
            if settled {
                continue;
            }
            // Somebody fetched the checkpoint by hand.
            match relation(&repository, Some(tip), Some(covered)) {
                Ok(Relation::Same | Relation::Ahead(_)) => {}
                Ok(Relation::Behind(_)) => drop(tips.insert(lane.clone(), covered.clone())),
                Ok(Relation::Forked { .. }) | Err(_) => {
                    tips.insert(format!("base/{lane}"), covered.clone());
                }
            }
        }
        Ok(tips)
    }

    /// What to append to a lane behind.
    pub(super) fn end(&self, lane: &str, name: &RefName) -> Result<Option<CommitId>, GitError> {
        match refs::read(self.repository.common_dir(), name)? {
            Some(tip) => Ok(Some(tip)),
            None => Ok(self.base()?.cut.get(lane).cloned()),
        }
    }

    /// Writes records behind `previous` that cover these lanes too; answers the last.
    pub(super) fn write_base(
        &self,
        previous: Option<CommitId>,
        lanes: &BTreeMap<&String, &CommitId>,
        now: Timestamp,
    ) -> Result<Option<CommitId>, GitError> {
        let objects = self.repository.objects();
        let tree = super::files::write(&objects, &[])?;
        let seconds = entry::seconds(now.millis());
        let by = format!("grit <grit@grit> {seconds} +0000");
        let lanes: Vec<(&&String, &&CommitId)> = lanes.iter().collect();
        let mut tip = previous;
        for lanes in lanes.chunks(LANES_PER_RECORD) {
            let cut: BTreeMap<&str, &str> =
                lanes.iter().map(|(lane, tip)| (lane.as_str(), tip.as_str())).collect();
            let record = json!({ "v": VERSION, "kind": "base", "previous": tip, "cut": cut });
            let mut commit = format!("tree {tree}\n");
            let mut parents: Vec<&CommitId> = tip.iter().collect();
            for (_, covered) in lanes {
                // Two lanes may end in one entry, and git refuses a parent twice.
                if !parents.contains(covered) {
                    parents.push(covered);
                }
            }
            parents.iter().for_each(|id| commit.push_str(&format!("parent {id}\n")));
            commit.push_str(&format!("author {by}\ncommitter {by}\n\n{}\n", canonical(&record)));
            tip = Some(commit_id(object::write(&objects, Kind::Commit, commit.as_bytes())?));
        }
        Ok(tip)
    }

    /// Moves this clone's checkpoint, and then puts its lanes in order with it.
    pub(super) fn move_base(
        &self,
        ours: Option<&CommitId>,
        to: &CommitId,
    ) -> Result<Vec<String>, GitError> {
        let name = self.base_name()?;
        self.writing(|| RefWriter::acquire(self.repository.common_dir())?.set(&name, ours, to))?;
        self.settle()
    }

    /// Has every lane that has a ref end behind what the checkpoint covers, and takes the ref of
    /// every other away. Answers which.
    pub(super) fn settle(&self) -> Result<Vec<String>, GitError> {
        let base = self.base()?;
        let Some(tip) = base.tip() else { return Ok(Vec::new()) };
        if self.settled()?.as_ref() == Some(tip) {
            return Ok(Vec::new());
        }
        self.writing(|| {
            let writer = RefWriter::acquire(self.repository.common_dir())?;
            let refs = self.tips(&self.prefix)?;
            let mut covered = Tips::new();
            for (lane, tip) in &base.cut {
                if let Some(ours) = refs.get(lane)
                    && self.settle_lane(&writer, lane, ours, tip)?
                {
                    covered.insert(lane.clone(), tip.clone());
                }
            }
            self.remove(&covered)?;
            let path = self.settled_path();
            durable::create_folders(durable::parent(&path))?;
            durable::replace(&path, tip.as_str().as_bytes(), 0o644)?;
            Ok(covered.into_keys().collect())
        })
    }

    /// Whether the lane's ref is at what is covered, and can go.
    fn settle_lane(
        &self,
        writer: &RefWriter<'_>,
        lane: &str,
        ours: &CommitId,
        covered: &CommitId,
    ) -> Result<bool, GitError> {
        let repository = self.repository.local();
        let relation = relation(&repository, Some(ours), Some(covered));
        match relation.reading(|| format!("lane `{lane}`"))? {
            Relation::Same => Ok(true),
            Relation::Ahead(_) => Ok(false),
            // Moved first: a removal that a power cut undoes must not bring back less.
            Relation::Behind(_) => {
                writer.set(&self.ref_name(lane)?, Some(ours), covered).map(|()| true)
            }
            Relation::Forked { ours: mine, theirs } => {
                let joined = self.joined(&mine, &theirs, covered)?;
                writer.set(&self.ref_name(lane)?, Some(ours), &joined)?;
                Ok(joined == *covered)
            }
        }
    }

    /// Takes refs away that are still where they are expected. Their lock is the caller's.
    fn remove(&self, lanes: &Tips) -> Result<(), GitError> {
        if lanes.is_empty() {
            return Ok(());
        }
        let mut input = String::new();
        for (lane, tip) in lanes {
            input.push_str(&format!("delete {} {tip}\n", self.ref_name(lane)?));
        }
        Git::new("update-ref")
            .repository(self.repository.git_dir())
            .setting("core.fsync=all")
            .setting("core.fsyncMethod=fsync")
            .flag("--no-deref")
            .flag("--stdin")
            .input(input.into_bytes())
            .run()
            .map(drop)
    }

    /// The checkpoint that this clone's lanes are in order with; no clone carries it along.
    fn settled(&self) -> Result<Option<CommitId>, GitError> {
        let path = self.settled_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing("read", &path),
        }
    }

    fn settled_path(&self) -> std::path::PathBuf {
        self.repository.common_dir().join("grit/settled")
    }
}
