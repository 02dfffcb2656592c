use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use grit_pipeline::builtin::version::Version;
use tokio::io::AsyncReadExt;

use crate::host::environment::Variables;
use crate::host::step::Attempt;

/// A program that does not tell its version by then is none.
const TIME_MAX: Duration = Duration::from_secs(20);
const OUTPUT_BYTES_MAX: u64 = 256 << 10;

/// What the program says, with the step's variables: both streams, where it succeeds.
pub(super) async fn said(at: &Attempt, program: &Path, args: &[&str]) -> Option<String> {
    let (out, err) = both(at, program, args, &at.variables).await?;
    Some(out + &err)
}

/// What it answers, with variables of its own: the standard output, where it succeeds.
pub(super) async fn heard(
    at: &Attempt,
    program: &Path,
    args: &[&str],
    variables: &Variables,
) -> Option<String> {
    both(at, program, args, variables).await.map(|(out, _)| out)
}

async fn both(
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
    let read = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) =
            (stdout.take(OUTPUT_BYTES_MAX), stderr.take(OUTPUT_BYTES_MAX));
        let both = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        both.0.and(both.1).ok()?;
        let status = child.wait().await.ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        status.success().then(|| (text(&out), text(&err)))
    };
    tokio::time::timeout(TIME_MAX, read).await.ok().flatten()
}

/// The first version that a text names: `go version go1.22.1 linux/amd64`.
pub(super) fn version_in(text: &str) -> Option<Version> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')' | ',' | '/'));
    words.filter(|word| word.contains('.')).find_map(Version::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("v20.20.2\n", "20.20.2"),
            ("go version go1.22.1 linux/amd64", "1.22.1"),
            ("openjdk version \"17.0.9\" 2023-10-17", "17.0.9"),
            ("uv 0.5.1 (f399a5271 2024-11-08)", "0.5.1"),
            ("v3.13.1+g3547a4b", "3.13.1"),
            ("Client Version: v1.29.0", "1.29.0"),
            ("Docker Compose version v2.20.3", "2.20.3"),
        ] {
            assert_eq!(version_in(text).unwrap().to_string(), version, "{text}");
        }
        assert_eq!(version_in("no version at all."), None);
    }
}
