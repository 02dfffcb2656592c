use std::time::Duration;

use grit_git::Git;
use grit_types::Repo;
use serde::Serialize;

use super::args::Up;
use super::place::{Place, git_failure, git_is_there};
use super::signals::Signals;
use crate::compose::{self, EdgeProcess, Options, Server};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// The remote that `grit up` adds to the repository.
const REMOTE: &str = "grit";

#[derive(Serialize)]
struct Running<'a> {
    server: String,
    edge: String,
    remote: &'a str,
    data: String,
}

/// Everything for this repository, in the foreground; all of it ends with the command.
pub async fn up(options: &Up, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    git_is_there()?;
    let mut signals = Signals::listen()?;
    let repo = match &options.repo {
        Some(repo) => repo.clone(),
        None => place.repo_name()?,
    };
    let server = start(options, place, repo.clone()).await?;
    let hosted = server.data.repository(repo.as_str());
    let folder = repository.worktree().unwrap_or_else(|| repository.git_dir().to_owned());
    let remote = add_remote(&folder, &hosted);
    if remote.is_ok() {
        announce(&server, ui);
        ui.status("A push deploys: `git push grit HEAD:main`, and a tag: `git push grit v1.0.0`.");
        ui.status("In another terminal: `grit status`. Ctrl-C ends everything.");
        signals.next().await;
        ui.status("Ending the instances, the edge and the control process.");
    }
    end(server).await?;
    remote.map(|()| Exit::Done)
}

async fn end(server: Server) -> Result<(), Failure> {
    let (edge, data) = (EdgeProcess::of(&server.data), server.data.clone());
    server.stop().await;
    edge.stop().await?;
    end_instances(&data).await;
    Ok(())
}

/// A control process alone: what it started runs on without it.
pub async fn serve(options: &Up, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let named = |failure| outside(failure, "name what is hosted: `--repo NAME`");
    let repo = match &options.repo {
        Some(repo) => repo.clone(),
        None => place.repo_name().map_err(named)?,
    };
    git_is_there()?;
    let mut signals = Signals::listen()?;
    let server = start(options, place, repo).await?;
    announce(&server, ui);
    signals.next().await;
    server.stop().await;
    Ok(Exit::Done)
}

async fn start(options: &Up, place: &Place, repo: Repo) -> Result<Server, Failure> {
    let (listen, edge_listen) = (options.listen, options.edge_listen);
    let elsewhere = |failure| outside(failure, "say where everything is kept: `--data FOLDER`");
    let data = place.data().map_err(elsewhere)?;
    let slots = compose::slots(options.slots);
    compose::start(Options { data, listen, edge_listen, repo, slots }).await
}

/// A control process needs no repository around it where it is told what it would find there.
fn outside(failure: Failure, hint: &str) -> Failure {
    if failure.code == "no_repository" { failure.hint(hint) } else { failure }
}

fn announce(server: &Server, ui: &Ui) {
    let running = Running {
        server: format!("http://{}", server.file.server),
        edge: format!("http://{}", server.file.edge),
        remote: REMOTE,
        data: server.data.root().display().to_string(),
    };
    ui.data(&running, |running| {
        format!(
            "control  {}\nedge     {}\ndata     {}\n",
            running.server, running.edge, running.data
        )
    });
}

/// Points the remote `grit` at the hosted repository, and the ledger at that remote.
fn add_remote(folder: &std::path::Path, hosted: &std::path::Path) -> Result<(), Failure> {
    let set = |verb: &'static str| {
        Git::new("remote").worktree(folder).flag(verb).operand(REMOTE).operand(hosted).output()
    };
    let known = set("set-url").map_err(|error| git_failure(&error))?;
    if known.code != Some(0) {
        let added = Git::new("remote").worktree(folder).flag("add").operand(REMOTE).operand(hosted);
        added.run().map_err(|error| git_failure(&error))?;
    }
    let ledger = Git::new("config").worktree(folder).operand("grit.remote").operand(REMOTE);
    ledger.run().map(drop).map_err(|error| git_failure(&error))
}

/// Ends what runs below the data folder; SIGTERM first, and time to finish.
pub async fn end_instances(data: &compose::DataFolder) {
    let Ok(entries) = std::fs::read_dir(data.path("instances")) else { return };
    let mut ending = tokio::task::JoinSet::new();
    for entry in entries.flatten() {
        let record = entry.path().join("process.json");
        if let Ok(Some(session)) = grit_host::record::read(&record) {
            ending.spawn(async move {
                if let Err(error) = session.terminate(Duration::from_secs(10)).await {
                    tracing::warn!(%error, "an instance could not be ended");
                }
            });
        }
    }
    while ending.join_next().await.is_some() {}
}
