use grit_control::repo::RefUpdate;
use grit_git::Repository;
use grit_types::{CommitId, ObjectId};
use serde_json::{Value, json};

use super::args::Hook;
use super::place::{Place, git_failure};
use crate::client::Client;
use crate::exit::{Exit, Failure};

/// Tells the control process what a push brought; git runs it in the hosted repository.
pub async fn run(options: &Hook, place: &Place) -> Result<Exit, Failure> {
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
    let client = Client::find(None, &place.data()?)?;
    let answer: Result<Value, Failure> =
        client.post("/api/v1/pushes", &json!({ "updates": told? })).await;
    answer.map(|_| Exit::Done)
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
