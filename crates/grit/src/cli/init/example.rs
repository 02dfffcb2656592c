//! `grit init --example shop`: a repository to try everything with.

use std::io;
use std::path::{Path, PathBuf};

use grit_git::{Git, GitError};
use serde::Serialize;

use super::git_failure;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// The only one so far.
const SHOP: &str = "shop";
const TAG: &str = "v1.0.0";
const SUBJECT: &str = "shop: version 1.0.0";

/// Nobody's own settings may change what is committed, or ask for a key.
const SETTINGS: [&str; 4] = [
    "core.autocrlf=false",
    "core.excludesFile=/dev/null",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
];

/// Who commits where git knows nobody.
const AUTHOR: [&str; 2] = ["user.name=Grit", "user.email=grit@localhost"];

#[derive(Serialize)]
struct Made {
    folder: PathBuf,
    example: &'static str,
    tag: &'static str,
}

pub fn run(name: &str, folder: Option<&Path>, ui: &Ui) -> Result<Exit, Failure> {
    if name != SHOP {
        return Err(Failure::new(
            Exit::NotFound,
            "not_found",
            format!("there is no example `{name}`"),
        )
        .hint(format!("`grit init --example {SHOP}`")));
    }
    let asked = folder.unwrap_or(Path::new(SHOP));
    make(&empty_folder(asked)?)?;
    report(asked, ui);
    Ok(Exit::Done)
}

/// The folder, made where it is missing; nothing may be in it.
fn empty_folder(asked: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: io::Error| {
        Failure::environment(format!("the folder {} cannot be used: {error}", asked.display()))
            .hint(format!("give another one: `grit init --example {SHOP} FOLDER`"))
    };
    std::fs::create_dir_all(asked).map_err(failed)?;
    if std::fs::read_dir(asked).map_err(failed)?.next().is_some() {
        let message = format!("the folder {} is not empty, and stays as it is", asked.display());
        return Err(Failure::new(Exit::Conflict, "exists", message)
            .hint(format!("give another one: `grit init --example {SHOP} FOLDER`")));
    }
    asked.canonicalize().map_err(failed)
}

/// Made aside and moved up when it is whole, so that a failure leaves an empty folder.
fn make(folder: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::because("the example cannot be written", &error);
    let aside = tempfile::Builder::new().prefix(".grit-").tempdir_in(folder).map_err(failed)?;
    let repository = aside.path().join(SHOP);
    let init = Git::new("init").flag("--quiet").option("--initial-branch=", "main");
    init.operand(&repository).run().map_err(|error| git_failure(&error))?;
    crate::example::write(&repository).map_err(failed)?;
    commit(&repository).map_err(|error| git_failure(&error))?;
    for entry in std::fs::read_dir(&repository).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        std::fs::rename(entry.path(), folder.join(entry.file_name())).map_err(failed)?;
    }
    aside.close().map_err(failed)
}

fn commit(repository: &Path) -> Result<(), GitError> {
    let git = |command| {
        let git = Git::new(command).worktree(repository);
        SETTINGS.into_iter().fold(git, Git::setting)
    };
    git("add").flag("--all").flag("--force").operand(".").run()?;
    let known = |name: &'static str| {
        Ok(git("config").flag("--get").operand(name).output()?.code == Some(0))
    };
    let commit = git("commit").flag("--quiet").option("--message=", SUBJECT);
    let commit = if known("user.name")? && known("user.email")? {
        commit
    } else {
        AUTHOR.into_iter().fold(commit, Git::setting)
    };
    commit.run()?;
    git("tag").operand(TAG).run().map(drop)
}

fn report(folder: &Path, ui: &Ui) {
    let shown = folder.display();
    ui.status(format!("Made {shown}: a git repository, two services, one commit, tagged {TAG}."));
    ui.status("Next:");
    if folder != Path::new(".") {
        ui.status(format!("  `cd {shown}`"));
    }
    ui.status("  `grit up`");
    ui.status(format!(
        "  and in another terminal there: `git push grit main {TAG}`, `grit status`"
    ));
    let made = Made { folder: folder.to_owned(), example: SHOP, tag: TAG };
    ui.data(&made, |made| {
        if ui.is_terminal() { String::new() } else { format!("{}\n", made.folder.display()) }
    });
}

#[cfg(test)]
mod tests {
    use grit_git::Repository;

    use super::*;

    #[test]
    fn the_folder_becomes_a_repository_with_one_tagged_commit() {
        let folder = tempfile::tempdir().unwrap();
        let made = empty_folder(&folder.path().join("a/b")).unwrap();
        make(&made).unwrap();
        let repository = Repository::open(&made).unwrap();
        let commit = repository.resolve(TAG).unwrap().unwrap();
        assert_eq!(repository.resolve("main").unwrap().unwrap(), commit);
        assert_eq!(repository.commit_info(&commit).unwrap().subject, SUBJECT);
        let status = Git::new("status").worktree(&made).flag("--porcelain").flag("--ignored");
        assert_eq!(String::from_utf8(status.run().unwrap().stdout).unwrap(), "");
        let file = repository.read_file(&commit, "services/api/VERSION", 100).unwrap().unwrap();
        assert_eq!(file, b"1.0.0\n");
        let script = std::fs::metadata(made.join("scripts/build.sh")).unwrap();
        assert_ne!(std::os::unix::fs::PermissionsExt::mode(&script.permissions()) & 0o100, 0);
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "x").unwrap();
        let refused = empty_folder(folder.path()).unwrap_err();
        assert_eq!(refused.exit, Exit::Conflict);
        let file = empty_folder(&folder.path().join("mine")).unwrap_err();
        assert_eq!(file.exit, Exit::Environment);
    }
}
