//! The commands in README are typed as they stand, so they must parse.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{cli, repo::Repo, shell};

use super::{Findings, docs::README};

/// Tries every `cargo xtask` and `grit` line in README's code blocks; false when the debug binary, which is asked to
/// parse the latter with `grit __parse ARGS`, does not exist yet.
///
/// # Errors
/// README cannot be read, or the binary does not start.
pub fn check(repo: &Repo, findings: &mut Findings) -> Result<bool> {
    let text = repo.read(README)?.unwrap_or_default();
    let binary = repo.metadata()?.target_directory.join("debug/grit");
    let is_built = binary.is_file();
    let mut all_tried = true;
    for (line, typed) in typed_lines(&text) {
        match command(typed) {
            Some(Typed::Xtask(words)) => {
                if let Err(error) = cli::parse(&words) {
                    findings.add(README, line, format!("`{typed}` does not parse: {error}"));
                }
            }
            Some(Typed::Grit(words)) if is_built => {
                if let Err(why) = parses(&binary, &words)? {
                    let message = format!(
                        "`{typed}` does not parse: {why}; mend the line or the verb (an old binary? cargo build -p grit)"
                    );
                    findings.add(README, line, message);
                }
            }
            Some(Typed::Grit(_)) => all_tried = false,
            Some(Typed::Broken) => {
                findings.add(README, line, format!("`{typed}` leaves a quote open"))
            }
            None => {}
        }
    }
    Ok(all_tried)
}

#[derive(Debug, PartialEq, Eq)]
enum Typed {
    /// The words after `grit`.
    Grit(Vec<String>),
    /// The words after `cargo xtask`.
    Xtask(Vec<String>),
    Broken,
}

/// What a line of a code block calls, when that is ours.
fn command(typed: &str) -> Option<Typed> {
    type Kind = fn(Vec<String>) -> Typed;
    const PREFIXES: &[(&str, Kind)] = &[
        ("cargo xtask ", Typed::Xtask),
        ("cargo run --release -- ", Typed::Grit),
        ("./target/release/grit ", Typed::Grit),
        ("grit ", Typed::Grit),
    ];
    let (kind, rest) =
        PREFIXES.iter().find_map(|(prefix, kind)| Some((kind, typed.strip_prefix(prefix)?)))?;
    Some(shell::words(rest).map_or(Typed::Broken, kind))
}

/// The lines of shell blocks, without a prompt, each with its number. Output has no prompt where commands have one.
fn typed_lines(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut block = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        match (line.strip_prefix("```"), block) {
            (Some(_), Some(_)) => block = None,
            (Some(language), None) => block = Some(language),
            (None, Some("sh" | "bash" | "")) => {
                found.push((at + 1, line.strip_prefix("$ ").unwrap_or(line)))
            }
            (None, Some("console" | "text")) => {
                found.extend(line.strip_prefix("$ ").map(|typed| (at + 1, typed)))
            }
            (None, _) => {}
        }
    }
    found
}

/// Asks the binary; the inner error is the first line that it answers with.
fn parses(binary: &Path, words: &[String]) -> Result<Result<(), String>> {
    let output = Command::new(binary)
        .arg("__parse")
        .args(words)
        .output()
        .context("start target/debug/grit")?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Ok(Err(stderr.lines().next().unwrap_or("no reason given").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_shell_blocks_only() {
        let text = "\
grit not here
```sh
grit deploy api --env staging   # why
cargo xtask tidy
```
```console
$ grit status
grit is output here
```
```rust
grit nor here
```
";
        let lines = typed_lines(text);
        assert_eq!(
            lines,
            [
                (3, "grit deploy api --env staging   # why"),
                (4, "cargo xtask tidy"),
                (7, "grit status")
            ]
        );
        let expected =
            Typed::Grit(["deploy", "api", "--env", "staging"].map(str::to_owned).to_vec());
        assert_eq!(command(lines[0].1), Some(expected));
        assert_eq!(command("cargo xtask tidy"), Some(Typed::Xtask(vec!["tidy".into()])));
        assert_eq!(command("grit issue create 'x"), Some(Typed::Broken));
        assert_eq!(command("git push"), None);
    }
}
