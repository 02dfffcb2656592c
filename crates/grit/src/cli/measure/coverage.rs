use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use grit_git::{Git, Repository};
use grit_insight::coverage::{self, Coverage as Lines, Gate, Verdict, added_lines};
use grit_types::CommitId;
use serde::Serialize;

use super::args::{Coverage, CoverageVerb};
use super::{text, unreadable};
use crate::cli::place::{Place, git_failure};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// What a change goes into, where nobody says so.
const BASES: [&str; 4] = ["origin/HEAD", "origin/main", "origin/master", "main"];

/// A diff is no longer.
const DIFF_BYTES_MAX: usize = 256 << 20;

#[derive(Serialize)]
struct Judged {
    covered: u64,
    total: u64,
    verdicts: Vec<Verdict>,
}

/// `grit coverage`.
pub fn coverage(options: &Coverage, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let CoverageVerb::Gate { files, overall, critical, new, base } = &options.verb;
    let critical = critical.iter().map(|text| demand(text)).collect::<Result<_, _>>()?;
    let gate = Gate { overall: *overall, critical, new: *new };
    let mut measured = merged(files)?;
    let repository = place.repository().ok();
    if let Some(repository) = &repository {
        measured.resolve(&known(repository)?);
    }
    let added = match (new, &repository) {
        (None, _) => BTreeMap::new(),
        (Some(_), Some(repository)) => added(repository, base.as_deref())?,
        (Some(_), None) => {
            return Err(Failure::environment(
                "`--new` needs a repository: what is new is what it says",
            ));
        }
    };
    let verdicts = gate.judge(&measured, &added);
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    let share = measured.share();
    ui.status(format!("Measured: {share}"));
    for verdict in verdicts.iter().filter(|verdict| !verdict.missing.is_empty()) {
        ui.status(format!("Not covered ({}): {}", verdict.what, verdict.missing.join(" ")));
    }
    let judged = Judged { covered: share.covered, total: share.total, verdicts };
    ui.data(&judged, |judged| {
        let row = |verdict: &Verdict| {
            let word = if verdict.passed { "passed" } else { "failed" };
            let wanted = format!("{} %", verdict.wanted);
            vec![verdict.what.clone(), wanted, verdict.share.to_string(), word.to_owned()]
        };
        let rows: Vec<Vec<String>> = judged.verdicts.iter().map(row).collect();
        table(&["GATE", "WANTED", "COVERED", ""], &rows)
    });
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

fn demand(text: &str) -> Result<(String, coverage::Percent), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, "usage", message);
    let (path, percent) = text
        .rsplit_once('=')
        .ok_or_else(|| usage(format!("`{text}` is no PATH=PERCENT, as in src/pay=90")))?;
    Ok((path.to_owned(), percent.parse().map_err(usage)?))
}

/// Every one of the files must be there: a shard that is missing is not a shard that covered nothing.
fn merged(files: &[PathBuf]) -> Result<Lines, Failure> {
    let mut all = Lines::default();
    for file in files {
        let one = coverage::read(&text(file)?);
        all.merge(one.map_err(|error| unreadable(file, &error.to_string()))?);
    }
    Ok(all)
}

/// The files that are tracked.
fn known(repository: &Repository) -> Result<BTreeSet<String>, Failure> {
    let Some(folder) = repository.worktree() else { return Ok(BTreeSet::new()) };
    let listed = Git::new("ls-files").worktree(&folder).flag("-z").output_max(DIFF_BYTES_MAX).run();
    let listed = listed.map_err(|error| git_failure(&error))?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// The lines that the working tree has and the merge base has not.
fn added(
    repository: &Repository,
    base: Option<&str>,
) -> Result<BTreeMap<String, BTreeSet<u32>>, Failure> {
    let failed = |error: grit_git::GitError| git_failure(&error);
    let names: Vec<&str> = base.map_or(BASES.to_vec(), |base| vec![base]);
    let mut found = None;
    for name in &names {
        if let Some(commit) = repository.resolve(name).map_err(failed)? {
            found = Some(commit);
            break;
        }
    }
    let into = found.ok_or_else(|| {
        let message = format!("there is no {} to compare with", names.join(", "));
        Failure::new(Exit::NotFound, "no_base", message).hint("`--base REVISION` names it")
    })?;
    let folder = repository.worktree();
    let folder =
        folder.ok_or_else(|| Failure::environment("a bare repository has no new lines"))?;
    let base = Git::new("merge-base").worktree(&folder).commit(&into).flag("HEAD");
    let base = base.run().map_err(failed)?;
    let base = String::from_utf8_lossy(&base.stdout).trim().to_owned();
    let base = CommitId::try_from(base)
        .map_err(|_| Failure::environment("there is no merge base: the histories are apart"))?;
    let diff = Git::new("diff")
        .worktree(&folder)
        .setting("core.quotePath=false")
        .setting("diff.noprefix=false")
        .setting("diff.mnemonicPrefix=false")
        .flag("--unified=0")
        .flag("--no-renames")
        .flag("--no-color")
        .flag("--no-ext-diff")
        .flag("--no-textconv")
        .flag("--src-prefix=a/")
        .flag("--dst-prefix=b/")
        .commit(&base)
        .output_max(DIFF_BYTES_MAX)
        .run()
        .map_err(failed)?;
    Ok(added_lines(&String::from_utf8_lossy(&diff.stdout)))
}
