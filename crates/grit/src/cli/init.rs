use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use grit_git::{Git, Repository};
use grit_rollout::config::FILE_NAME;
use serde::Serialize;

use super::args::Init;
use super::place::{Place, git_failure};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

mod detect;
mod example;
mod file;

use detect::Detected;

/// What `ls-files` may answer with; a path has some 60 bytes.
const LISTING_BYTES_MAX: usize = 64 << 20;

#[derive(Serialize)]
struct Made<'a> {
    file: PathBuf,
    services: &'a [Detected],
}

/// Writes a `grit.yaml` for the repository here; or makes a new repository from an example.
pub fn run(options: &Init, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    if let Some(name) = &options.example {
        return example::run(name, options.folder.as_deref(), ui);
    }
    let repository = match &options.folder {
        Some(folder) => Repository::discover(folder).map_err(|error| git_failure(&error))?,
        None => place.repository()?,
    };
    let root = repository.worktree().ok_or_else(|| {
        Failure::environment("a bare repository has no files to look at")
            .hint("clone it, and type `grit init` in the clone")
    })?;
    let paths = listing(&root)?;
    let repo = detect::name(&root.file_name().unwrap_or_default().to_string_lossy());
    let services = detect::services(&paths, &repo);
    let path = root.join(FILE_NAME);
    write_new(&root, &path, &file::text(&repo, &branch(&repository)?, &services))?;
    report(&Made { file: path, services: &services }, &repo, &paths, ui);
    Ok(Exit::Done)
}

/// Every file that is or may become part of a commit, from the root of the repository.
fn listing(root: &Path) -> Result<Vec<String>, Failure> {
    let listed = Git::new("ls-files")
        .worktree(root)
        .flag("-z")
        .flag("--cached")
        .flag("--others")
        .flag("--exclude-standard")
        .output_max(LISTING_BYTES_MAX)
        .run()
        .map_err(|error| git_failure(&error))?;
    // A path that is no text cannot stand in a grit.yaml either.
    let text = |path: &[u8]| String::from_utf8(path.to_vec()).ok().filter(|path| !path.is_empty());
    Ok(listed.stdout.split(|byte| *byte == 0).filter_map(text).collect())
}

/// The branch that HEAD stands on, with or without a commit.
fn branch(repository: &Repository) -> Result<String, Failure> {
    let head = repository.head().map_err(|error| git_failure(&error))?;
    Ok(head.branch.as_ref().and_then(|name| name.branch()).unwrap_or("main").to_owned())
}

/// Whole or not at all, and never over a file that is there.
fn write_new(root: &Path, path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::because("grit.yaml cannot be written", &error);
    let mode = std::fs::Permissions::from_mode(0o666); // less what the umask takes
    let mut new = tempfile::Builder::new()
        .prefix(".grit.yaml.")
        .permissions(mode)
        .tempfile_in(root)
        .map_err(failed)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    match new.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::new(
            Exit::Conflict,
            "exists",
            format!("{} is there already, and stays as it is", path.display()),
        )
        .hint("`grit up` works by it; `git mv grit.yaml grit.old.yaml` makes room for a new one")),
        Err(refused) => Err(failed(refused.error)),
    }
}

fn report(made: &Made<'_>, repo: &str, paths: &[String], ui: &Ui) {
    ui.status(format!("Wrote {}; nothing else was touched.", made.file.display()));
    if made.services.is_empty() {
        ui.status("Nothing here looked like a service: say in it what is run, and how.");
    } else {
        ui.status(format!("\n{}", found(made.services)));
    }
    if !paths.iter().any(|path| path.starts_with(".github/workflows/")) {
        ui.status("There is no workflow in .github/workflows yet; a push runs what is there.");
    }
    let name = made.services.first().map_or(repo, |service| &service.name);
    ui.status("Next:");
    ui.status(format!(
        "  in the workflow, publish what was built: `grit artifact push {} FOLDER`",
        file::image(repo, name)
    ));
    ui.status(format!("  `git add {FILE_NAME}` and `git commit`"));
    ui.status("  `grit up`, and in another terminal `git push grit HEAD`");
    ui.data(made, |made| {
        if ui.is_terminal() { String::new() } else { format!("{}\n", made.file.display()) }
    });
}

fn found(services: &[Detected]) -> String {
    let row = |service: &Detected| {
        vec![
            service.name.clone(),
            service.sign.clone(),
            service.language.to_owned(),
            service.command.join(" "),
        ]
    };
    let rows: Vec<Vec<String>> = services.iter().map(row).collect();
    table(&["SERVICE", "RECOGNISED BY", "LANGUAGE", "COMMAND"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE_NAME);
        write_new(root.path(), &path, "first").unwrap();
        let refused = write_new(root.path(), &path, "second").unwrap_err();
        assert_eq!(refused.exit, Exit::Conflict);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "something else is there");
    }
}
