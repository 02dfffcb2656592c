//! What a step said through its output for the runner, and what was found in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use grit_pipeline::{Annotation, Annotations};

use super::folder::read_bounded;
use crate::text::files::is_reserved;
use crate::text::mask::Masks;
use crate::text::matcher::{self, Matcher};

/// All values that a step sets by commands together.
const VALUES_BYTES_MAX: usize = 1024 * 1024;

/// What was said by commands, and found by problem matchers.
#[derive(Default)]
pub(super) struct Said {
    pub outputs: BTreeMap<String, String>,
    pub state: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    pub path: Vec<String>,
    pub annotations: Annotations,
    /// For people: what the step may not say.
    pub refusals: Vec<String>,
    bytes: usize,
    /// More was said than is kept.
    pub is_too_much: bool,
}

/// Which of the values a command sets.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Output,
    State,
    Env,
}

impl Said {
    pub fn set(&mut self, kind: Kind, name: String, value: String) {
        if !self.has_room(name.len() + value.len()) {
            return;
        }
        let values = match kind {
            Kind::Output => &mut self.outputs,
            Kind::State => &mut self.state,
            Kind::Env if is_reserved(&name) => {
                return self.refuse(format!("`set-env` may not set `{name}`"));
            }
            Kind::Env => &mut self.env,
        };
        values.insert(name, value);
    }

    pub fn add_path(&mut self, folder: String) {
        if self.has_room(folder.len()) {
            self.path.push(folder);
        }
    }

    /// The command is switched off, as on the service.
    pub fn disabled(&mut self, command: &str) {
        let file = if command == "set-env" { "GITHUB_ENV" } else { "GITHUB_PATH" };
        self.refuse(format!(
            "`::{command}::` is switched off: write to ${file}, or set \
             ACTIONS_ALLOW_UNSECURE_COMMANDS to true"
        ));
    }

    /// Keeps an annotation, masked; a file that is not in the workspace is not named.
    pub fn annotate(&mut self, annotation: Annotation, masks: &Masks) {
        let masked =
            |text: &str| String::from_utf8_lossy(&masks.apply(text.as_bytes())).into_owned();
        self.annotations.add(annotation.map_texts(masked));
    }

    fn refuse(&mut self, what: String) {
        if self.refusals.len() < 10 && !self.refusals.contains(&what) {
            self.refusals.push(what);
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_too_much |= self.bytes > VALUES_BYTES_MAX;
        !self.is_too_much
    }
}

/// The matchers of a file that a step names.
pub(super) fn matchers(workspace: &Path, file: &str) -> Result<Vec<Arc<Matcher>>, String> {
    let path = workspace.join(file);
    let told = |error: io::Error| format!("{file}: {error}");
    // Reading a pipe would wait for whoever writes it.
    if !fs::metadata(&path).map_err(told)?.is_file() {
        return Err(format!("{file} is no file"));
    }
    let bytes = read_bounded(&path, matcher::FILE_MAX_BYTES).map_err(told)?.unwrap_or_default();
    if bytes.len() as u64 > matcher::FILE_MAX_BYTES {
        return Err(format!("{file} is longer than {} KiB", matcher::FILE_MAX_BYTES >> 10));
    }
    matcher::read(&bytes).map_err(|error| format!("{file}: {error}"))
}

/// A path as people read it: from the root of the workspace where it lies there, and as it is where
/// not. What a matcher found is a guess: it must be a file of the workspace.
pub(super) fn file_of(
    workspace: &Path,
    file: &str,
    from: Option<&str>,
    must_be_there: bool,
) -> Option<String> {
    let folder = from.and_then(|from| Path::new(from).parent()).unwrap_or(Path::new(""));
    let path = within(workspace, &folder.join(file));
    match path {
        Some(path) if !must_be_there || workspace.join(&path).is_file() => {
            Some(path.to_string_lossy().into_owned())
        }
        _ if must_be_there => None,
        _ => Some(file.to_owned()),
    }
}

fn within(workspace: &Path, path: &Path) -> Option<PathBuf> {
    let relative = if path.is_absolute() { path.strip_prefix(workspace).ok()? } else { path };
    let mut clean = PathBuf::new();
    for part in relative.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_root_of_the_workspace() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("app")).unwrap();
        fs::write(root.join("app/a.cs"), "").unwrap();
        let found = |file: &str, from| file_of(root, file, from, true);
        assert_eq!(found("./app/a.cs", None).as_deref(), Some("app/a.cs"));
        assert_eq!(found("a.cs", Some("app/app.csproj")).as_deref(), Some("app/a.cs"));
        let absolute = root.join("app/../app/a.cs");
        assert_eq!(found(&absolute.to_string_lossy(), None).as_deref(), Some("app/a.cs"));
        assert_eq!(found("gone.cs", None), None);
        assert_eq!(found("../../etc/passwd", None), None);
        assert_eq!(file_of(root, "gone.cs", None, false).as_deref(), Some("gone.cs"));
    }
}
