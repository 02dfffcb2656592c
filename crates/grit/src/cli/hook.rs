use std::collections::BTreeSet;

use grit_control::repo::RefUpdate;
use grit_git::Repository;
use grit_types::{CommitId, ObjectId};
use serde_json::{Value, json};

use super::args::Hook;
use super::place::{Place, git_failure};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Tells the control process what a push brought; git runs it in the hosted repository.
pub async fn run(options: &Hook, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    if options.name != "post-receive" {
        return Err(Failure::new(
            Exit::Usage,
            "hook",
            format!("there is no hook `{}`", options.name),
        ));
    }
    let updates = grit_git::hook::parse(std::io::stdin().lock());
    let updates = updates.map_err(|error| git_failure(&error))?;
    let repository = Repository::open(".".as_ref()).map_err(|error| git_failure(&error))?;
    let told: Result<Vec<RefUpdate>, Failure> =
        updates.iter().map(|update| peeled(&repository, update)).collect();
    let told = told?;
    let client = Client::find(None, &place.data()?)?;
    let answer: Result<Value, Failure> =
        client.post("/api/v1/pushes", &json!({ "updates": told })).await;
    answer?;
    findings(&repository, &told, ui)?;
    Ok(Exit::Done)
}

/// Tells whoever pushed what is wrong with the files of the commits: git shows it to them.
fn findings(repository: &Repository, pushed: &[RefUpdate], ui: &Ui) -> Result<(), Failure> {
    let led_by_ref = |update: &&RefUpdate| {
        let (branch, tag) = (update.name.branch(), update.name.tag());
        branch.or(tag).is_some()
    };
    let commits = pushed.iter().filter(led_by_ref).filter_map(|update| update.new.as_ref());
    for commit in commits.collect::<BTreeSet<_>>() {
        let files = super::files::read(repository, commit, None)?;
        let told = files.told();
        if !told.is_empty() {
            ui.status(format!("{told}\nNothing of commit {} is built.", commit.short()));
        }
    }
    Ok(())
}

/// A tag object is followed to the commit that it names; a ref of the ledger concerns no pipeline.
fn peeled(
    repository: &Repository,
    update: &grit_git::hook::RefUpdate,
) -> Result<RefUpdate, Failure> {
    let commit = |id: &Option<ObjectId>| -> Result<Option<CommitId>, Failure> {
        match id {
            Some(id) => repository.resolve(id.as_str()).map_err(|error| git_failure(&error)),
            None => Ok(None),
        }
    };
    // What a ref pointed at before may be gone already.
    let old = commit(&update.old).unwrap_or_default();
    Ok(RefUpdate { name: update.name.clone(), old, new: commit(&update.new)? })
}
