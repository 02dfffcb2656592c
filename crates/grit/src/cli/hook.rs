use std::collections::BTreeSet;

use grit_control::repo::RefUpdate;
use grit_git::Repository;
use grit_git::hook::RefUpdate as Pushed;
use grit_types::{CommitId, ObjectId, RefName};
use serde_json::json;

use super::args::Hook;
use super::place::{Place, git_failure};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// What git runs in the hosted repository around a push.
pub async fn run(options: &Hook, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let updates = grit_git::hook::parse(std::io::stdin().lock());
    let updates = updates.map_err(|error| git_failure(&error))?;
    match options.name.as_str() {
        "pre-receive" => before(&updates, place).await,
        "post-receive" => after(&updates, place, ui).await,
        other => Err(Failure::new(Exit::Usage, "hook", format!("there is no hook `{other}`"))),
    }
}

/// Refuses a push that the control process could not take note of. The ledger's own refs come
/// without it: they are for everybody's clones.
async fn before(updates: &[Pushed], place: &Place) -> Result<Exit, Failure> {
    if updates.iter().any(|update| leads_somewhere(&update.name)) {
        let client = Client::find(None, &place.data()?)?;
        client.tell("/api/v1/pushes/check", &json!({ "updates": [] })).await?;
    }
    Ok(Exit::Done)
}

/// Tells the control process what a push brought.
async fn after(updates: &[Pushed], place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = Repository::open(".".as_ref()).map_err(|error| git_failure(&error))?;
    let told: Result<Vec<RefUpdate>, Failure> = updates
        .iter()
        .filter(|update| leads_somewhere(&update.name))
        .map(|update| peeled(&repository, update))
        .collect();
    let told = told?;
    if told.is_empty() {
        return Ok(Exit::Done);
    }
    let client = Client::find(None, &place.data()?)?;
    client.tell("/api/v1/pushes", &json!({ "updates": told })).await?;
    findings(&repository, &told, ui)?;
    Ok(Exit::Done)
}

/// Pipelines and deployments follow branches and tags.
fn leads_somewhere(name: &RefName) -> bool {
    name.branch().or(name.tag()).is_some()
}

/// Tells whoever pushed what is wrong with the files of the commits: git shows it to them.
fn findings(repository: &Repository, pushed: &[RefUpdate], ui: &Ui) -> Result<(), Failure> {
    let commits = pushed.iter().filter_map(|update| update.new.as_ref());
    for commit in commits.collect::<BTreeSet<_>>() {
        let files = super::files::read(repository, commit, None)?;
        let told = files.told();
        if !told.is_empty() {
            ui.status(format!("{told}\nNothing of commit {} is built.", commit.short()));
        }
    }
    Ok(())
}

/// A tag object is followed to the commit that it names.
fn peeled(repository: &Repository, update: &Pushed) -> Result<RefUpdate, Failure> {
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
