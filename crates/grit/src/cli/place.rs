//! Where a command is typed: which repository, which data folder, which server.

use std::path::PathBuf;

use grit_git::{Git, GitError, GitLedger, Repository};
use grit_types::{Actor, Principal, Repo, RunId};

use super::args::Args;
use crate::client::Client;
use crate::compose::{LOCAL_REPO_DEFAULT, OsEntropy};
use crate::exit::{Exit, Failure};
use grit_types::chain;

/// The circumstances of a command, looked up when they are needed.
pub struct Place {
    server: Option<String>,
    data: Option<PathBuf>,
}

impl Place {
    pub fn new(args: &Args) -> Self {
        Self { server: args.server.clone(), data: args.data.clone() }
    }

    /// The repository of the current folder.
    pub fn repository(&self) -> Result<Repository, Failure> {
        Repository::discover(".".as_ref()).map_err(|error| git_failure(&error))
    }

    /// The ledger of the repository.
    ///
    /// The clone of a CI job does not live long, and appends to lanes that such clones share: one
    /// is recognised by `CI` in its environment or by being shallow, and `grit.lane`, `ci` or
    /// `own`, decides otherwise.
    pub fn ledger(&self) -> Result<GitLedger, Failure> {
        let repository = self.repository()?;
        let failed = |error: GitError| git_failure(&error);
        let setting = repository.setting("grit.lane").map_err(failed)?;
        let short_lived = match setting.as_deref() {
            Some("ci") => true,
            Some("own") => false,
            Some(other) => {
                let message = format!("the setting grit.lane is `{other}`");
                return Err(Failure::new(Exit::Usage, "grit_lane", message)
                    .hint("`git config grit.lane ci`, or `own`"));
            }
            None => is_ci() || repository.common_dir().join("shallow").exists(),
        };
        if !short_lived {
            return Ok(GitLedger::new(repository));
        }
        let own = repository.actor(&OsEntropy).map_err(failed)?;
        Ok(GitLedger::new(repository).short_lived(own))
    }

    /// The data folder that is meant: the one named, else this repository's own.
    pub fn data(&self) -> Result<PathBuf, Failure> {
        match &self.data {
            Some(data) => Ok(data.clone()),
            None => Ok(self.repository()?.common_dir().join("grit").join("data")),
        }
    }

    /// Whether a server is asked for by its address.
    pub fn names_server(&self) -> bool {
        self.server.is_some()
    }

    /// The control process that is meant.
    pub fn client(&self) -> Result<Client, Failure> {
        let data = match (&self.server, self.data()) {
            (_, Ok(data)) => data,
            (Some(_), Err(_)) => PathBuf::new(),
            (None, Err(failure)) => return Err(failure),
        };
        Client::find(self.server.as_deref(), &data)
    }

    /// A name for the repository: that of its folder, as far as it is one.
    pub fn repo_name(&self) -> Result<Repo, Failure> {
        Ok(Self::name_of(&self.repository()?))
    }

    /// The same, of that repository.
    pub fn name_of(repository: &Repository) -> Repo {
        let folder = repository.worktree().unwrap_or_else(|| repository.git_dir().to_owned());
        let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase());
        let name = name.unwrap_or_default();
        let name = name.trim_end_matches(".git");
        // A valid name by its form.
        name.parse().unwrap_or_else(|_| LOCAL_REPO_DEFAULT.parse().expect("a valid name"))
    }

    /// Who works here: GRIT_ACTOR, else the user of this machine.
    pub fn actor(&self) -> Actor {
        let named = ["GRIT_ACTOR", "USER", "LOGNAME"].into_iter();
        let found = named
            .filter_map(|name| std::env::var(name).ok())
            .find_map(|name| name.parse::<Principal>().ok());
        // A valid principal by its form.
        let somebody = || "somebody".parse().expect("a valid name");
        // What a job does is known as the job's, so that it starts no other.
        let run = std::env::var("GRIT_RUN_ID").ok().and_then(|run| run.parse::<RunId>().ok());
        let via = run.map_or_else(|| "cli".to_owned(), |run| format!("run/{run}"));
        Actor::new(found.unwrap_or_else(somebody), via)
    }
}

/// GitHub, GitLab and most others set `CI` to true or 1.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| ["true", "1"].contains(&value.as_str()))
}

/// Refused at once where the git command is missing, and not in the middle.
pub fn git_is_there() -> Result<(), Failure> {
    Git::new("version").run().map(drop).map_err(|error| git_failure(&error))
}

/// What git's refusals mean to whoever typed a command.
pub fn git_failure(error: &GitError) -> Failure {
    let failure = |exit, code: &str| Failure::new(exit, code, chain(error));
    // Their causes say the same again, in a library's words.
    let alone = |code: &str| Failure::new(Exit::Environment, code, error.to_string());
    match error {
        GitError::Missing { .. } => alone("no_git").hint("install git: `apt-get install git`"),
        GitError::NotARepository { .. } => alone("no_repository").hint(
            "`git init` makes one, `grit init --example shop` makes one with something in it",
        ),
        GitError::ObjectFormat { .. } => alone("object_format")
            .hint("`git init --object-format=sha1` makes a repository that Grit can work in"),
        GitError::NoObject { .. } => failure(Exit::NotFound, "not_found"),
        GitError::Ambiguous { .. } => failure(Exit::Usage, "ambiguous"),
        _ => failure(Exit::Environment, "git"),
    }
}
