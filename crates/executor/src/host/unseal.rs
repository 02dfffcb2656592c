use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use grit_pipeline::expr::{Deferred, Value};
use grit_pipeline::run::timeout_of;
use grit_pipeline::seal::{Sealed, unsealed};
use grit_pipeline::{StepAction, StepSpec};
use sha2::{Digest, Sha256};

use super::folder::Folder;
use super::hiding;
use crate::text::glob::selects;

/// So many files are looked at for one digest; then it is refused.
const FILES_MAX: usize = 1_000_000;

/// What the marks of a job stand for.
pub(super) struct Opener<'a> {
    /// That of its marks.
    pub word: &'a str,
    pub secrets: &'a BTreeMap<String, String>,
    pub folder: &'a Folder,
}

impl Opener<'_> {
    /// The step with what its planner could not know: secrets, what earlier steps gave that holds
    /// one, digests of files of the workspace, and what looks into these. `None`: it is not to be done.
    ///
    /// # Errors
    /// For people: which files cannot be read, which expression has no value.
    pub fn step(&self, mut spec: StepSpec) -> Result<Option<StepSpec>, String> {
        if let Some(condition) = spec.condition.take() {
            let answer = self.answer(&condition).map_err(|error| format!("if: {error}"))?;
            if !answer.is_truthy() {
                return Ok(None);
            }
        }
        if let Some(minutes) = spec.late.timeout_minutes.take() {
            spec.timeout = timeout_of(&Value::from(self.text(&minutes)?))?;
        }
        let fill = |text: &mut String| self.fill(text);
        spec.env.values_mut().try_for_each(fill)?;
        spec.path.iter_mut().try_for_each(fill)?;
        spec.working_directory.iter_mut().try_for_each(fill)?;
        texts(&mut spec.action).into_iter().try_for_each(fill)?;
        Ok(Some(spec))
    }

    /// Whether a failure of the step counts as success. What has no value says no, as elsewhere.
    pub fn tolerates(&self, spec: &StepSpec) -> bool {
        let said = spec.late.continue_on_error.as_deref().map(|text| self.text(text));
        said.and_then(Result::ok).and_then(|text| Value::from(text).to_flag()).unwrap_or(false)
    }

    /// One text as the step has it.
    pub fn fill(&self, text: &mut String) -> Result<(), String> {
        *text = self.text(text)?;
        Ok(())
    }

    fn text(&self, text: &str) -> Result<String, String> {
        unsealed(text, self.word, |sealed| self.open(sealed))
    }

    fn open(&self, sealed: &Sealed) -> Result<String, String> {
        match sealed {
            Sealed::Secret(name) => Ok(self.secrets.get(name).cloned().unwrap_or_default()),
            Sealed::Kept(name) => hiding::kept(self.folder, name),
            Sealed::Files(patterns) => {
                self.digest(patterns).map_err(|error| format!("hashFiles: {error}"))
            }
            Sealed::Expression(deferred) => Ok(self.answer(deferred)?.to_text()),
        }
    }

    fn answer(&self, deferred: &Deferred) -> Result<Value, String> {
        deferred.evaluate(&|text| self.text(text), &|patterns| self.digest(patterns))
    }

    fn digest(&self, patterns: &[String]) -> Result<String, String> {
        hash_files(&self.folder.workspace(), patterns).map_err(|error| error.to_string())
    }
}

pub(super) fn texts(action: &mut StepAction) -> Vec<&mut String> {
    match action {
        StepAction::Script { script, .. } => vec![script],
        StepAction::Checkout { reference, path, part, .. } => {
            reference.iter_mut().chain(path).chain(&mut part.repository).collect()
        }
        StepAction::Restore { key, restore_keys, paths, .. } => {
            std::iter::once(key).chain(restore_keys).chain(paths).collect()
        }
        StepAction::Save { key, paths } => std::iter::once(key).chain(paths).collect(),
        StepAction::Upload(spec) => spec.texts(),
        StepAction::Download(spec) => spec.texts(),
        StepAction::Merge(spec) => spec.texts(),
        StepAction::RustRestore(spec) | StepAction::RustSave(spec) => spec.texts(),
        StepAction::Known { with, .. } => with.values_mut().collect(),
        StepAction::Container { entrypoint, args, .. } => {
            entrypoint.iter_mut().chain(args).collect()
        }
        StepAction::Refuse { why } => vec![why],
        StepAction::Answer { texts } => texts.values_mut().collect(),
        StepAction::Tool { .. }
        | StepAction::Load { .. }
        | StepAction::LookAhead { .. }
        | StepAction::Node { .. } => Vec::new(),
    }
}

/// As GitHub has it: the SHA-256 of the SHA-256 of each file, in the order of their paths; empty
/// where no file is matched.
pub(super) fn hash_files(workspace: &Path, patterns: &[String]) -> io::Result<String> {
    let (mut whole, mut found, mut looked_at) = (Sha256::new(), false, 0_usize);
    let mut stack = vec![String::new()];
    while let Some(path) = stack.pop() {
        looked_at += 1;
        if looked_at > FILES_MAX {
            return Err(io::Error::other("there are more than a million files"));
        }
        let full = workspace.join(&path);
        let kind = match fs::symlink_metadata(&full) {
            Ok(metadata) => metadata.file_type(),
            // Gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if kind.is_dir() {
            let mut names = names(&full)?;
            names.sort_unstable_by(|a, b| b.cmp(a));
            let below = |name: String| {
                if path.is_empty() { name } else { format!("{path}/{name}") }
            };
            stack.extend(names.into_iter().map(below));
        } else if kind.is_file() && selects(patterns, &path) {
            whole.update(file_digest(&full)?);
            found = true;
        }
    }
    Ok(if found { hex::encode(whole.finalize()) } else { String::new() })
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

fn file_digest(path: &Path) -> io::Result<sha2::digest::Output<Sha256>> {
    let mut file = fs::File::open(path)?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize()),
            read => digest.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hashed_as_the_service_does() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/x.lock"), "one").unwrap();
        fs::write(folder.path().join("b.lock"), "two").unwrap();
        fs::write(folder.path().join("c.txt"), "three").unwrap();
        let all = hash_files(folder.path(), &["**/*.lock".to_owned()]).unwrap();
        let parts = [Sha256::digest("one"), Sha256::digest("two")].concat();
        assert_eq!(all, hex::encode(Sha256::digest(parts)));
        assert_eq!(hash_files(folder.path(), &["*.none".to_owned()]).unwrap(), "");
    }
}
