//! `grit pipeline`: the workflows as they are written, and nothing is run.

pub mod args;
mod lint;
mod list;
mod pin;
mod sarif;

pub use list::trigger;

use std::path::PathBuf;

use grit_git::Repository;
use grit_types::CommitId;

use super::files::Tree;
use super::place::{Place, git_failure};
use super::{remote, run};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use args::{Pipeline, PipelineVerb};

pub async fn run(options: &Pipeline, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match &options.verb {
        PipelineVerb::Lint(options) => lint::run(options, place, ui),
        PipelineVerb::List(options) => list::run(options, place, ui),
        PipelineVerb::Pin(options) => pin::run(options, place, ui),
        PipelineVerb::Start(options) => remote::start(options, place, ui).await,
        PipelineVerb::Runs(options) => remote::runs(options, place, ui).await,
        PipelineVerb::Cancel(options) => remote::cancel(options, place, ui).await,
        PipelineVerb::Rerun(options) => remote::rerun(options, place, ui).await,
        PipelineVerb::Plan(options) => {
            let repository = place.repository()?;
            let commit = match &options.at {
                Some(text) => commit(&repository, text)?,
                None => run::head(&repository)?,
            };
            let wanted = run::wanted(&options.what, &repository, &commit, ui)?;
            run::show_plans(&wanted.plans, ui);
            Ok(Exit::Done)
        }
    }
}

/// Where the files are read from.
enum Origin {
    Commit(Box<(Repository, CommitId)>),
    Folder(PathBuf),
}

impl Origin {
    fn of(place: &Place, at: Option<&str>) -> Result<Self, Failure> {
        let repository = place.repository()?;
        match (at, repository.worktree()) {
            (Some(text), _) => {
                let commit = commit(&repository, text)?;
                Ok(Self::Commit(Box::new((repository, commit))))
            }
            (None, Some(folder)) => Ok(Self::Folder(folder)),
            (None, None) => {
                let commit = run::head(&repository)?;
                Ok(Self::Commit(Box::new((repository, commit))))
            }
        }
    }

    fn tree(&self) -> Tree<'_> {
        match self {
            Self::Commit(of) => Tree::Commit(&of.0, &of.1),
            Self::Folder(folder) => Tree::Folder(folder),
        }
    }
}

fn commit(repository: &Repository, text: &str) -> Result<CommitId, Failure> {
    let found = repository.resolve(text).map_err(|error| git_failure(&error))?;
    found.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            "not_found",
            format!("there is no `{text}` in this repository"),
        )
    })
}
