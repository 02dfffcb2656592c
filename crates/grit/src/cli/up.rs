use std::time::Duration;

use grit_git::Git;
use grit_types::Repo;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::args::Up;
use super::place::{Place, git_failure};
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

/// Ends when the process is asked to.
pub async fn ended() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        // Without signals only SIGKILL ends it.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Everything for this repository, in the foreground; all of it ends with the command.
pub async fn up(options: &Up, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    let repo = match &options.repo {
        Some(repo) => repo.clone(),
        None => place.repo_name()?,
    };
    let server = start(options, place, repo.clone()).await?;
    let hosted = server.data.repository(repo.as_str());
    let folder = repository.worktree().unwrap_or_else(|| repository.git_dir().to_owned());
    add_remote(&folder, &hosted)?;
    let edge = EdgeProcess::of(&server.data);
    announce(&server, ui);
    ui.status("A push deploys: `git push grit HEAD:main`, and a tag: `git push grit v1.0.0`.");
    ui.status("In another terminal: `grit status`. Ctrl-C ends everything.");
    ended().await;
    ui.status("Ending the instances, the edge and the control process.");
    let data = server.data.clone();
    server.stop().await;
    edge.stop().await?;
    end_instances(&data).await;
    Ok(Exit::Done)
}

/// A control process alone: what it started runs on without it.
pub async fn serve(options: &Up, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repo = match &options.repo {
        Some(repo) => repo.clone(),
        None => place.repo_name()?,
    };
    let server = start(options, place, repo).await?;
    announce(&server, ui);
    ended().await;
    server.stop().await;
    Ok(Exit::Done)
}

async fn start(options: &Up, place: &Place, repo: Repo) -> Result<Server, Failure> {
    let (data, listen, edge_listen) = (place.data()?, options.listen, options.edge_listen);
    compose::start(Options { data, listen, edge_listen, repo }).await
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
