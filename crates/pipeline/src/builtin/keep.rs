//! Caches and artifacts.

use std::collections::BTreeMap;

use super::{Builtin, Later};
use crate::StepAction;
use crate::expr::{Condition, Scope};
use crate::keep::{DownloadSpec, IfNone, MergeSpec, RustCacheSpec, UploadSpec};

/// A cache is looked for under at most so many keys, each of at most so many characters.
const KEYS_MAX: usize = 10;
const KEY_CHARS_MAX: usize = 512;
/// No artifact is kept longer.
const RETENTION_DAYS_MAX: u32 = 90;

type With = BTreeMap<String, String>;

/// The meaning of an action that keeps something; `None`: it is none of these.
pub(super) fn keeping(action: &str, with: &With) -> Option<Builtin> {
    let made = match action.to_ascii_lowercase().as_str() {
        "actions/cache" => cache(with, true),
        "actions/cache/restore" => cache(with, false),
        "actions/cache/save" => save(with),
        "actions/upload-artifact" => upload(with),
        "actions/upload-artifact/merge" => merge(with),
        "actions/download-artifact" => download(with),
        "swatinem/rust-cache" => rust_cache(with),
        _ => return None,
    };
    Some(made.unwrap_or_else(Builtin::Refused))
}

fn cache(with: &With, then_save: bool) -> Result<Builtin, String> {
    let (key, paths) = (key(with)?, paths(with)?);
    let restore_keys = lines(with, "restore-keys");
    if restore_keys.len() >= KEYS_MAX {
        return Err(format!("a cache is looked for under at most {KEYS_MAX} keys"));
    }
    restore_keys.iter().try_for_each(|key| sound(key))?;
    let save = StepAction::Save { key: key.clone(), paths: paths.clone() };
    let restore = StepAction::Restore {
        key,
        restore_keys,
        paths,
        must: flag(with, "fail-on-cache-miss", false)?,
        lookup_only: flag(with, "lookup-only", false)?,
    };
    if !then_save {
        return Ok(Builtin::Run(restore));
    }
    let later = Later {
        condition: Condition::success(),
        action: save,
        unless: Some(("cache-hit".to_owned(), "true".to_owned())),
    };
    Ok(Builtin::RunThen(restore, Box::new(later)))
}

fn save(with: &With) -> Result<Builtin, String> {
    Ok(Builtin::Run(StepAction::Save { key: key(with)?, paths: paths(with)? }))
}

fn upload(with: &With) -> Result<Builtin, String> {
    let if_none = match given(with, "if-no-files-found").unwrap_or("warn") {
        "warn" => IfNone::Warn,
        "error" => IfNone::Error,
        "ignore" => IfNone::Ignore,
        other => {
            return Err(format!(
                "`if-no-files-found` is `{other}`, and must be `warn`, `error` or `ignore`"
            ));
        }
    };
    if let Some(level) = given(with, "compression-level") {
        let is_level = level.parse::<u8>().is_ok_and(|level| level <= 9);
        is_level.then_some(()).ok_or("`compression-level` must be a number from 0 to 9")?;
    }
    let paths = lines(with, "path");
    if paths.is_empty() {
        return Err("an artifact needs `path`".to_owned());
    }
    Ok(Builtin::Run(StepAction::Upload(UploadSpec {
        name: given(with, "name").unwrap_or("artifact").to_owned(),
        paths,
        if_none,
        retention_days: retention(with)?,
        overwrite: flag(with, "overwrite", false)?,
        hidden: flag(with, "include-hidden-files", false)?,
    })))
}

fn merge(with: &With) -> Result<Builtin, String> {
    Ok(Builtin::Run(StepAction::Merge(MergeSpec {
        name: given(with, "name").unwrap_or("merged-artifacts").to_owned(),
        pattern: given(with, "pattern").unwrap_or("*").to_owned(),
        separate: flag(with, "separate-directories", false)?,
        delete: flag(with, "delete-merged", false)?,
        retention_days: retention(with)?,
    })))
}

fn download(with: &With) -> Result<Builtin, String> {
    let text = |name: &str| given(with, name).unwrap_or_default().to_owned();
    let ids = text("artifact-ids");
    let ids: Result<Vec<u64>, _> =
        ids.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::parse).collect();
    let ids = ids.map_err(|_| "`artifact-ids` must be numbers with commas between them")?;
    if !ids.is_empty() && given(with, "name").is_some() {
        return Err("`name` and `artifact-ids` cannot both be given".to_owned());
    }
    Ok(Builtin::Run(StepAction::Download(DownloadSpec {
        name: text("name"),
        ids,
        pattern: text("pattern"),
        path: text("path"),
        merge: flag(with, "merge-multiple", false)?,
        run: text("run-id"),
    })))
}

fn rust_cache(with: &With) -> Result<Builtin, String> {
    let text = |name: &str| given(with, name).unwrap_or_default().to_owned();
    let spec = RustCacheSpec {
        prefix: given(with, "prefix-key").unwrap_or("v0-rust").to_owned(),
        shared_key: text("shared-key"),
        key: text("key"),
        env_vars: text("env-vars").split_whitespace().map(str::to_owned).collect(),
        workspaces: workspaces(&lines(with, "workspaces")),
        directories: lines(with, "cache-directories"),
        targets: flag(with, "cache-targets", true)?,
        workspace_crates: flag(with, "cache-workspace-crates", false)?,
        job_in_key: flag(with, "add-job-id-key", true)?,
        environment_in_key: flag(with, "add-rust-environment-hash-key", true)?,
        lookup_only: flag(with, "lookup-only", false)?,
    };
    let restore = StepAction::RustRestore(spec.clone());
    if !flag(with, "save-if", true)? || spec.lookup_only {
        return Ok(Builtin::Run(restore));
    }
    let condition = match flag(with, "cache-on-failure", false)? {
        true => Condition::parse("always()", Scope::ANY).map_err(|error| error.to_string())?,
        false => Condition::success(),
    };
    let unless = Some(("cache-hit".to_owned(), "true".to_owned()));
    let later = Later { condition, action: StepAction::RustSave(spec), unless };
    Ok(Builtin::RunThen(restore, Box::new(later)))
}

/// `FOLDER`, `FOLDER -> TARGET`; the workspace itself where nothing is said.
fn workspaces(lines: &[String]) -> Vec<(String, String)> {
    let pair = |line: &String| match line.split_once("->") {
        Some((folder, target)) => (folder.trim().to_owned(), target.trim().to_owned()),
        None => (line.clone(), "target".to_owned()),
    };
    if lines.is_empty() {
        return vec![(".".to_owned(), "target".to_owned())];
    }
    lines.iter().map(pair).collect()
}

fn key(with: &With) -> Result<String, String> {
    let key = given(with, "key").ok_or("a cache needs a `key`")?;
    sound(key).map(|()| key.to_owned())
}

fn sound(key: &str) -> Result<(), String> {
    if key.contains(',') {
        return Err(format!("the key `{key}` of a cache must not hold a comma"));
    }
    if key.chars().count() > KEY_CHARS_MAX {
        return Err(format!("a key of a cache has more than {KEY_CHARS_MAX} characters"));
    }
    Ok(())
}

fn paths(with: &With) -> Result<Vec<String>, String> {
    let paths = lines(with, "path");
    if paths.is_empty() { Err("a cache needs `path`".to_owned()) } else { Ok(paths) }
}

fn retention(with: &With) -> Result<u32, String> {
    let Some(days) = given(with, "retention-days") else { return Ok(0) };
    let days: u32 =
        days.parse().map_err(|_| "`retention-days` must be a number of days".to_owned())?;
    Ok(days.min(RETENTION_DAYS_MAX))
}

fn given<'a>(with: &'a With, name: &str) -> Option<&'a str> {
    let found = with.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

fn lines(with: &With, name: &str) -> Vec<String> {
    let lines = given(with, name).unwrap_or_default().lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// As the toolkit reads a boolean.
fn flag(with: &With, name: &str, default: bool) -> Result<bool, String> {
    match given(with, name) {
        None => Ok(default),
        Some("true" | "True" | "TRUE") => Ok(true),
        Some("false" | "False" | "FALSE") => Ok(false),
        Some(other) => Err(format!("`{name}` is `{other}`, and must be `true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> With {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(action: &str, pairs: &[(&str, &str)]) -> String {
        match keeping(action, &with(pairs)) {
            Some(Builtin::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cache_is_restored_and_kept_later() {
        let inputs = with(&[("key", "k-1"), ("path", "a\n~/b\n"), ("restore-keys", "k-\nk")]);
        let Some(Builtin::RunThen(action, later)) = keeping("actions/cache", &inputs) else {
            panic!("it does both")
        };
        let StepAction::Restore { key, restore_keys, paths, must, lookup_only } = action else {
            panic!("it restores first")
        };
        assert_eq!((key.as_str(), must, lookup_only), ("k-1", false, false));
        assert_eq!((restore_keys, paths.len()), (vec!["k-".to_owned(), "k".to_owned()], 2));
        assert_eq!(later.unless, Some(("cache-hit".to_owned(), "true".to_owned())));
        assert!(matches!(later.action, StepAction::Save { .. }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(refused("actions/cache", &[("path", "a")]).contains("key"));
        assert!(refused("actions/cache", &[("path", "a"), ("key", "a,b")]).contains("comma"));
        let long = "x".repeat(513);
        assert!(refused("actions/cache", &[("path", "a"), ("key", &long)]).contains("512"));
        let none = [("path", "a"), ("if-no-files-found", "cry")];
        assert!(refused("actions/upload-artifact", &none).contains("cry"));
        let both = [("name", "a"), ("artifact-ids", "1")];
        assert!(refused("actions/download-artifact", &both).contains("both"));
        let level = [("path", "a"), ("compression-level", "10")];
        assert!(refused("actions/upload-artifact", &level).contains("0 to 9"));
    }

    #[test]
    fn artifacts_have_the_documented_defaults() {
        let Some(Builtin::Run(StepAction::Upload(spec))) =
            keeping("actions/upload-artifact", &with(&[("path", "dist")]))
        else {
            panic!("it uploads")
        };
        assert_eq!((spec.name.as_str(), spec.if_none), ("artifact", IfNone::Warn));
        assert!(!spec.overwrite && !spec.hidden);
        assert_eq!(keeping("actions/checkout", &With::new()), None);
    }

    #[test]
    fn a_rust_cache_knows_its_workspaces() {
        let inputs = with(&[("workspaces", ". -> target\nui -> ../out"), ("save-if", "false")]);
        let Some(Builtin::Run(StepAction::RustRestore(spec))) =
            keeping("Swatinem/rust-cache", &inputs)
        else {
            panic!("it is not saved")
        };
        assert_eq!(spec.workspaces[1], ("ui".to_owned(), "../out".to_owned()));
        assert_eq!(spec.prefix, "v0-rust");
    }
}
