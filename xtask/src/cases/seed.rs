//! The page that says how a team uses the tracker and the locks: every block of code in it is run as it stands, with
//! the real `grit`, two clones and a bare remote, and the effect of each command is looked up in the other clone.
//!
//! Nothing of the page is known here. What a command must have done follows from the words that it was called with.

pub mod blocks;
mod calls;
mod check;
mod model;
mod report;
mod script;
mod scripts;
mod snippets;
mod world;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{cases::Score, repo::Repo};
use blocks::Block;
use report::Report;
use script::Simple;

/// What the name of the page begins with.
const PAGE: &str = "000_";

/// Runs the page that lies in a folder.
///
/// # Errors
/// There is no such page, it does not read, or a part does not start.
pub fn run(repo: &Repo, folder: &Path) -> Result<Score> {
    let page = page(folder, PAGE)?;
    let text = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let wrong = |error: String| anyhow!("{}: {error}", page.display());
    let blocks = blocks::read(&text).map_err(wrong)?;
    let cases: Vec<(Block, Kind)> = blocks
        .into_iter()
        .map(|block| Ok((kind(&block).map_err(wrong)?, block)).map(|(kind, block)| (block, kind)))
        .collect::<Result<_>>()?;
    println!("{}", counts(&cases));
    let grit = repo.debug_grit()?;
    let mut report = Report::default();
    for (block, kind) in &cases {
        try_block(&grit, block, kind, &mut report)
            .with_context(|| format!("the block in line {}", block.line))?;
    }
    let Score { passed, failed, skipped } = report.score;
    println!("seed: {passed} passed, {failed} failed, {skipped} skipped");
    Ok(report.score)
}

/// The one page of a folder whose name begins so.
pub fn page(folder: &Path, begin: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let is_page = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin))
    };
    let mut pages = entries
        .map(|entry| Ok(entry?.path()))
        .filter(|path| path.as_ref().map_or(true, is_page))
        .collect::<Result<Vec<_>>>()?;
    match (pages.pop(), pages.is_empty()) {
        (Some(page), true) => Ok(page),
        (Some(_), false) => bail!("{} has several pages `{begin}…`", folder.display()),
        (None, _) => bail!("{} has no page `{begin}…`", folder.display()),
    }
}

/// How a block is run.
enum Kind {
    Script(Vec<Simple>),
    /// A step of a workflow, for `grit run`; and the commands of its script.
    Step(Vec<Simple>),
    /// The script of a job.
    Job(String, Vec<Simple>),
}

fn kind(block: &Block) -> Result<Kind, String> {
    match block.language.as_str() {
        "bash" | "sh" | "shell" => Ok(Kind::Script(script::commands(&block.text)?)),
        "yaml" if block.text.trim_start().starts_with("- ") => {
            Ok(Kind::Step(script::commands(&snippets::run(&block.text)?)?))
        }
        "yaml" => {
            let text = snippets::script(&block.text)?;
            let commands = script::commands(&text)?;
            Ok(Kind::Job(text, commands))
        }
        other => Err(format!("nothing runs the `{other}` in line {}", block.line)),
    }
}

fn counts(cases: &[(Block, Kind)]) -> String {
    let (mut languages, mut commands) = (BTreeMap::<&str, usize>::new(), 0);
    for (block, kind) in cases {
        *languages.entry(&block.language).or_default() += 1;
        let (Kind::Script(all) | Kind::Step(all) | Kind::Job(_, all)) = kind;
        commands += all.iter().filter(|simple| simple.grit().is_some()).count();
    }
    let languages: Vec<String> =
        languages.iter().map(|(language, count)| format!("{count} {language}")).collect();
    format!("{} blocks: {}; {commands} commands of grit", cases.len(), languages.join(", "))
}

fn try_block(grit: &Path, block: &Block, kind: &Kind, report: &mut Report) -> Result<()> {
    let before = report.score.passed + report.score.failed;
    let at = format!("line {} ({})", block.line, block.language);
    report.at.clone_from(&at);
    match kind {
        Kind::Script(commands) => {
            scripts::run(grit, "bash", &block.text, commands, report)?;
            scripts::unmet(grit, &block.text, commands, report)?;
            scripts::refused(grit, &block.text, commands, report)?;
        }
        Kind::Step(commands) => snippets::run_step(grit, &block.text, commands, report)?,
        Kind::Job(text, commands) => scripts::run(grit, "sh", text, commands, report)?,
    }
    let checks = report.score.passed + report.score.failed - before;
    println!("{at}: {checks} checks");
    // A block after which nothing was looked at would pass whatever it did.
    report.at = at;
    report.holds("what was checked", checks > 0, "something", "nothing");
    Ok(())
}
