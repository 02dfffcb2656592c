//! `grit run --hook STAGE`: the hooks of `.pre-commit-config.yaml`, on what is staged.

mod aside;
mod config;
mod exec;
mod install;
mod known;
mod tags;
mod tree;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use grit_diag::render;
use serde::Serialize;

use super::args::Run;
use super::worktree;
use crate::cli::place::{Place, git_is_there};
use crate::cli::signals::Signals;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
pub use aside::ASIDE;
use aside::{Alone, Aside};
use config::{Config, Hook};
use exec::{Done, Program};
use install::Store;
use tree::WorkTree;

/// Where results end, in columns.
const COLUMNS: usize = 79;
/// Stages whose hooks look at files.
const STAGES: &[&str] = &["pre-commit", "pre-merge-commit", "pre-push", "manual"];

/// A hook that is to be run, and how.
struct Ready {
    hook: Hook,
    how: How,
}

enum How {
    Program(Program),
    /// It fails, and says its entry.
    Fail,
    /// Its entry is a pattern that no file may have.
    Grep(regex::bytes::Regex, Grep),
}

#[derive(Clone, Copy, Default)]
struct Grep {
    multiline: bool,
    negate: bool,
}

/// What a hook came to, for programs.
#[derive(Serialize)]
struct Told {
    id: String,
    name: String,
    /// `passed`, `failed` or `skipped`.
    result: &'static str,
    exit: Option<i32>,
    files: usize,
    modified: bool,
    millis: u64,
    output: String,
}

pub async fn run(options: &Run, stage: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    if !STAGES.contains(&stage) {
        let message = format!("hooks of the stage `{stage}` are not run by this version");
        return Err(Failure::new(Exit::Usage, "usage", message)
            .hint(format!("one of {}", STAGES.join(", "))));
    }
    git_is_there()?;
    let repository = place.repository()?;
    let folder = worktree(&repository)?;
    let tree = WorkTree::new(folder.clone(), repository.git_dir().to_owned());
    let alone = Alone::acquire(&tree, ui)?;
    let config = read(&tree)?;
    let store = Store::new(repository, folder);
    let hooks = ready(&config, stage, options.only.as_deref(), &store)?;
    let ended = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::listen()?;
    let (flag, whole) = (ended.clone(), options.all_files);
    let form = Form { json: ui.is_json() };
    let work = tokio::task::spawn_blocking(move || {
        let _alone = alone;
        all(&tree, &config, hooks, whole, &flag, form)
    });
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = signals.next() => ended.store(true, Ordering::Relaxed),
        }
    };
    let told = done.map_err(|error| Failure::because("hooks could not be run", &error))??;
    told.undone.iter().for_each(|path| {
        ui.status(format!(
            "Changes by hooks to {path} are undone: they do not go together with what is not staged"
        ));
    });
    ui.data(&told.hooks, |_| String::new());
    let failed = told.hooks.iter().any(|hook| hook.result == "failed");
    Ok(match (ended.load(Ordering::Relaxed), failed) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    })
}

fn read(tree: &WorkTree) -> Result<Config, Failure> {
    let path = tree.folder.join(config::FILE_NAME);
    let text = fs::read_to_string(&path).map_err(|_| {
        let message = format!("there is no {} at the root of the repository", config::FILE_NAME);
        Failure::new(Exit::NotFound, "not_found", message)
    })?;
    let (config, findings) = config::config(&text);
    config.filter(|_| !findings.has_errors()).ok_or_else(|| {
        let found = render::plain(&findings);
        let message = format!("{} cannot be used\n{}", config::FILE_NAME, found.trim_end());
        Failure::new(Exit::Usage, "hooks", message)
    })
}

/// The hooks of the stage; one that cannot be run stops all of them before anything is touched.
fn ready(
    config: &Config,
    stage: &str,
    only: Option<&str>,
    store: &Store,
) -> Result<Vec<Ready>, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, "hooks", why);
    let mut ready = Vec::new();
    for set in &config.sets {
        let wanted = |given: &&config::Given| only.is_none_or(|only| only == given.id);
        if !set.hooks.iter().any(|hook| wanted(&hook)) {
            continue;
        }
        let (place, known) = store.find(&set.origin, &set.hooks).map_err(wrong)?;
        for given in set.hooks.iter().filter(wanted) {
            let base = known.iter().find(|known| known.id == given.id);
            let given = base.map_or_else(|| given.clone(), |base| given.clone().over(base));
            let hook = given.complete(&config.default_stages).map_err(wrong)?;
            if !hook.stages.is_empty() && !hook.stages.iter().any(|own| own == stage) {
                continue;
            }
            let how = how(&hook, &place, store).map_err(wrong)?;
            ready.push(Ready { hook, how });
        }
    }
    match only {
        Some(only) if ready.is_empty() => {
            let message = format!("no hook `{only}` is there for the stage `{stage}`");
            Err(Failure::new(Exit::NotFound, "not_found", message))
        }
        _ => Ok(ready),
    }
}

fn how(hook: &Hook, place: &install::Place, store: &Store) -> Result<How, String> {
    match hook.language.as_str() {
        "fail" => Ok(How::Fail),
        "pygrep" => {
            let has = |names: [&str; 2]| hook.args.iter().any(|arg| names.contains(&&**arg));
            let grep =
                Grep { multiline: has(["--multiline", "-m"]), negate: has(["--negate", "-n"]) };
            let regex = regex::bytes::RegexBuilder::new(&hook.entry)
                .case_insensitive(has(["--ignore-case", "-i"]))
                .multi_line(true)
                .dot_matches_new_line(grep.multiline)
                .build();
            let regex = regex.map_err(|error| format!("the entry of `{}`: {error}", hook.id))?;
            Ok(How::Grep(regex, grep))
        }
        _ => store.program(hook, place).map(How::Program),
    }
}

/// How results are said.
#[derive(Clone, Copy)]
struct Form {
    json: bool,
}

struct All {
    hooks: Vec<Told>,
    /// Files whose changes by hooks did not go together with what is not staged.
    undone: Vec<String>,
}

/// Blocks until all of them are through; what was put aside is back then.
fn all(
    tree: &WorkTree,
    config: &Config,
    hooks: Vec<Ready>,
    whole: bool,
    ended: &AtomicBool,
    form: Form,
) -> Result<All, Failure> {
    let aside = if whole { None } else { Some(Aside::put(tree)?) };
    let result = each(tree, config, &hooks, whole, ended, form);
    let undone = match aside {
        Some(aside) if !aside.is_empty() => aside.put_back(tree)?,
        _ => Vec::new(),
    };
    Ok(All { hooks: result?, undone })
}

fn each(
    tree: &WorkTree,
    config: &Config,
    hooks: &[Ready],
    whole: bool,
    ended: &AtomicBool,
    form: Form,
) -> Result<Vec<Told>, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, "hooks", why);
    let all = if whole { tree.tracked()? } else { tree.staged()? };
    let files = config::pattern(config.files.as_deref().unwrap_or("")).map_err(wrong)?;
    let exclude = config::pattern(config.exclude.as_deref().unwrap_or("^$")).map_err(wrong)?;
    let skip = std::env::var("SKIP").unwrap_or_default();
    let skipped: Vec<&str> = skip.split(',').map(str::trim).collect();
    let wanted: Vec<(String, std::collections::BTreeSet<&'static str>)> = all
        .into_iter()
        .filter(|path| files.is_match(path) && !exclude.is_match(path))
        .map(|path| (tags::of(&tree.folder.join(&path)), path))
        .filter(|(tags, _)| !tags.is_empty())
        .map(|(tags, path)| (path, tags))
        .collect();
    let mut told = Vec::new();
    for Ready { hook, how } in hooks {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let of = |path: &str, tags: &std::collections::BTreeSet<&'static str>| {
            let has = |tag: &String| tags.contains(tag.as_str());
            hook.files.is_match(path)
                && !hook.exclude.is_match(path)
                && hook.types.iter().all(has)
                && (hook.types_or.is_empty() || hook.types_or.iter().any(has))
                && !hook.exclude_types.iter().any(has)
        };
        let files: Vec<String> = wanted
            .iter()
            .filter(|(path, tags)| of(path, tags))
            .map(|(path, _)| path.clone())
            .collect();
        let one = if skipped.contains(&hook.id.as_str()) {
            none(hook, "")
        } else if files.is_empty() && !hook.always_run {
            none(hook, "(no files to check)")
        } else {
            one(tree, hook, how, &files, ended)?
        };
        say(hook, &one, form);
        let failed = one.result == "failed";
        told.push(one);
        if failed && (config.fail_fast || hook.fail_fast) {
            break;
        }
    }
    Ok(told)
}

fn none(hook: &Hook, why: &str) -> Told {
    Told {
        id: hook.id.clone(),
        name: hook.name.clone(),
        result: "skipped",
        exit: None,
        files: 0,
        modified: false,
        millis: 0,
        output: why.to_owned(),
    }
}

fn one(
    tree: &WorkTree,
    hook: &Hook,
    how: &How,
    files: &[String],
    ended: &AtomicBool,
) -> Result<Told, Failure> {
    let (before, begun) = (tree.digest()?, Instant::now());
    let done = match how {
        How::Program(program) => exec::run(hook, program, files, &tree.folder, ended),
        How::Fail => {
            let output = format!("{}\n\n{}\n", hook.entry, files.join("\n"));
            Done { code: 1, output: output.into_bytes(), interrupted: false }
        }
        How::Grep(regex, options) => grep(tree, regex, *options, files),
    };
    let modified = tree.digest()? != before;
    let failed = done.code != 0 || modified;
    Ok(Told {
        id: hook.id.clone(),
        name: hook.name.clone(),
        result: if failed { "failed" } else { "passed" },
        exit: Some(done.code),
        files: files.len(),
        modified,
        millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        output: String::from_utf8_lossy(&done.output).into_owned(),
    })
}

/// Lines that match are named; with `negate`, files in which nothing does.
fn grep(tree: &WorkTree, regex: &regex::bytes::Regex, options: Grep, files: &[String]) -> Done {
    let mut done = Done::default();
    for path in files {
        let Ok(bytes) = fs::read(tree.folder.join(path)) else { continue };
        let found = regex.find(&bytes);
        if options.negate {
            if found.is_none() {
                done.code = 1;
                done.output.extend(format!("{path}\n").bytes());
            }
            continue;
        }
        if options.multiline {
            if let Some(found) = found {
                done.code = 1;
                let line = 1 + bytes[..found.start()].iter().filter(|byte| **byte == b'\n').count();
                done.output.extend(format!("{path}:{line}:").bytes());
                done.output.extend(found.as_bytes());
                done.output.push(b'\n');
            }
            continue;
        }
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            if regex.is_match(line) {
                done.code = 1;
                done.output.extend(format!("{path}:{number}:").bytes());
                done.output.extend(line);
                done.output.push(b'\n');
            }
        }
    }
    done
}

/// As pre-commit says it: the name, dots, the result; then what went wrong.
fn say(hook: &Hook, told: &Told, form: Form) {
    if form.json {
        return;
    }
    let ui = Ui::new(false, false);
    let result = match told.result {
        "passed" => "Passed",
        "failed" => "Failed",
        _ => "Skipped",
    };
    let why = if told.result == "skipped" { told.output.as_str() } else { "" };
    let used = hook.name.chars().count() + why.len() + result.len();
    let dots = ".".repeat(COLUMNS.saturating_sub(used).max(3));
    let mut text = format!("{}{dots}{why}{result}\n", hook.name);
    if told.result == "failed" || (hook.verbose && told.result == "passed") {
        text.push_str(&format!("- hook id: {}\n", hook.id));
        if hook.verbose {
            text.push_str(&format!("- duration: {:.2}s\n", told.millis as f64 / 1000.0));
        }
        match told.exit {
            Some(0) | None => {}
            Some(code) => text.push_str(&format!("- exit code: {code}\n")),
        }
        if told.modified {
            text.push_str("- files were modified by this hook\n");
        }
        let output = super::clean::text(told.output.as_bytes(), ui.is_coloured());
        if !output.trim().is_empty() {
            text.push_str(&format!("\n{}\n", output.trim_end()));
        }
        text.push('\n');
    }
    ui.raw(text.as_bytes());
}
