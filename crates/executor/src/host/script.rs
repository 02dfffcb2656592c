use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use grit_pipeline::{Conclusion, RunnerError};

use super::failed;
use super::process::{self, Command};
use super::step::Attempt;

/// What stands for the script in a command.
const PLACEHOLDER: &str = "{0}";

/// A script of the step.
pub(super) async fn run(
    at: &Attempt,
    script: &str,
    command: &[String],
) -> Result<Conclusion, RunnerError> {
    let cwd = match working_directory(at) {
        Ok(cwd) => cwd,
        Err(reason) => return Ok(Conclusion::Unable(reason)),
    };
    let path = at.job.folder.step(at.spec.index).join(file_name(command));
    let (file, text) = (path.clone(), script.to_owned());
    let written = at.shared.at_files(move || write(&file, &text)).await;
    written.map_err(|error| failed(at.action(), error))?;
    let shown = path.to_string_lossy();
    let words = command.iter().map(|word| word.replace(PLACEHOLDER, &shown)).collect();
    process::run(at, Command { words, cwd, variables: at.variables.clone() }).await
}

fn working_directory(at: &Attempt) -> Result<PathBuf, String> {
    let workspace = at.job.folder.workspace();
    let Some(wanted) = at.spec.working_directory.as_deref() else { return Ok(workspace) };
    let cwd = workspace.join(wanted);
    if at.job.inside().is_some() && !cwd.starts_with(&workspace) {
        // What else a container has is not known here.
        return Ok(cwd);
    }
    match cwd.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(cwd),
        Ok(_) => Err(format!("working-directory `{wanted}` is not a folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("working-directory `{wanted}` does not exist"))
        }
        Err(error) => Err(format!("working-directory `{wanted}` cannot be entered: {error}")),
    }
}

/// Some interpreters insist on a suffix.
fn file_name(command: &[String]) -> String {
    let program = command.first().map(Path::new).and_then(Path::file_name);
    let suffix = match program.and_then(|name| name.to_str()).unwrap_or_default() {
        "bash" | "sh" => ".sh",
        "python" | "python3" => ".py",
        "pwsh" => ".ps1",
        "node" => ".js",
        _ => "",
    };
    format!("script{suffix}")
}

/// Executable, for a command that is `{0}` alone.
fn write(path: &Path, script: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o700).open(path)?;
    file.write_all(script.as_bytes())?;
    if script.ends_with('\n') { Ok(()) } else { file.write_all(b"\n") }
}
