//! The programs that a step finds: those of this machine, or of its job's container.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::container::{self, Inside};
use super::environment::{Variables, find_program};
use super::step::Attempt;
use super::{blocking, tool};

const OUTPUT_BYTES_MAX: u64 = 256 << 10;

/// A look at a folder takes no longer, on a machine that is busy.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// The first on the `PATH`; shells have names of their own for programs that they bring.
const FIND: &str = r#"
IFS=:
for folder in $PATH; do
  [ -f "$folder/$1" ] && [ -x "$folder/$1" ] && { echo "$folder/$1"; exit 0; }
done
exit 1
"#;

/// Which of the names are programs of the folder.
const WHICH: &str = r#"
folder=$1; shift
for name; do [ -f "$folder/$name" ] && [ -x "$folder/$name" ] && echo "$name"; done
exit 0
"#;

impl Attempt {
    /// Where the program is that the step's commands mean by that name.
    pub async fn find(&self, program: &str) -> Option<PathBuf> {
        self.find_with(program, &self.variables).await
    }

    /// The same, with other variables.
    pub async fn find_with(&self, program: &str, variables: &Variables) -> Option<PathBuf> {
        let Some(inside) = self.job.inside() else { return find_program(program, variables) };
        let words = ["sh", "-c", FIND, "sh", program];
        let asked = container::ask(self, inside, &words, LOOK_MAX, variables).await;
        let (out, _) = asked?;
        Some(PathBuf::from(out.lines().next()?))
    }

    /// What to do about a program that is not there.
    pub fn not_installed(&self, program: &str) -> String {
        match self.job.inside() {
            Some(_) => format!("the image of the job's container has no `{program}`"),
            None => tool::not_installed(program),
        }
    }

    /// Whose programs are meant, for people.
    pub fn whose(&self) -> &'static str {
        if self.job.inside().is_some() { "the job's container" } else { "this machine" }
    }

    /// Whether there is a file of that path.
    pub async fn has(&self, path: &Path) -> bool {
        match self.job.inside() {
            Some(inside) => {
                let words = ["test", "-e", &path.to_string_lossy()];
                container::ask(self, inside, &words, LOOK_MAX, &self.variables).await.is_some()
            }
            None => path.exists(),
        }
    }

    /// Which of the programs are in the folder.
    pub async fn programs_in(&self, folder: &Path, names: &[&str]) -> Vec<String> {
        let names = names.iter().map(|name| (*name).to_owned());
        let Some(inside) = self.job.inside() else {
            let folder = folder.to_owned();
            let names: Vec<String> = names.collect();
            let is_there = move |name: &String| is_program(&folder.join(name));
            return blocking(|| names.into_iter().filter(is_there).collect()).await;
        };
        let words: Vec<String> =
            std::iter::once(folder.to_string_lossy().into_owned()).chain(names).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = self.shell(inside, WHICH, &words).await.unwrap_or_default();
        said.lines().map(str::to_owned).collect()
    }

    /// The text of a small file that is not the job's.
    pub async fn file_of_the_system(&self, path: &Path) -> Option<String> {
        match self.job.inside() {
            Some(inside) => {
                let words = ["cat", &path.to_string_lossy()];
                let asked = container::ask(self, inside, &words, LOOK_MAX, &self.variables).await;
                asked.map(|(out, _)| out)
            }
            None => {
                let path = path.to_owned();
                blocking(move || std::fs::read_to_string(path).ok()).await
            }
        }
    }

    /// What the program says with these variables, on its standard output and its error output,
    /// where it succeeds in time.
    pub async fn both(
        &self,
        program: &Path,
        args: &[&str],
        within: Duration,
        variables: &Variables,
    ) -> Option<(String, String)> {
        let Some(inside) = self.job.inside() else {
            let said = said(self, program, args, variables);
            return tokio::time::timeout(within, said).await.ok().flatten();
        };
        let program = program.to_string_lossy();
        let words: Vec<&str> = std::iter::once(&*program).chain(args.iter().copied()).collect();
        container::ask(self, inside, &words, within, variables).await
    }

    /// What a script says in the job's container, if it ends well.
    pub async fn shell(&self, inside: &Inside, script: &str, args: &[&str]) -> Option<String> {
        let words: Vec<&str> =
            ["sh", "-c", script, "sh"].into_iter().chain(args.iter().copied()).collect();
        let asked = container::ask(self, inside, &words, LOOK_MAX, &self.variables).await;
        asked.map(|(out, _)| out)
    }
}

async fn said(
    at: &Attempt,
    program: &Path,
    args: &[&str],
    variables: &Variables,
) -> Option<(String, String)> {
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .current_dir(at.job.folder.workspace())
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(OUTPUT_BYTES_MAX), stderr.take(OUTPUT_BYTES_MAX));
    let both = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
    both.0.and(both.1).ok()?;
    let status = child.wait().await.ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    status.success().then(|| (text(&out), text(&err)))
}

/// Whether a file of this machine can be run.
pub(super) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
