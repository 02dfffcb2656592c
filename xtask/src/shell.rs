//! Starting programs and reading command lines.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

/// What a program did, and what it wrote to stdout.
pub struct Told {
    pub status: ExitStatus,
    pub stdout: String,
}

/// Runs to the end, shows stdout as it comes and keeps it; stderr goes straight through.
pub fn tee(command: &mut Command) -> Result<Told> {
    tee_to(&mut std::io::stdout(), command)
}

fn tee_to(shown: &mut dyn Write, command: &mut Command) -> Result<Told> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {program}"))?;
    let mut stdout = String::new();
    if let Some(pipe) = child.stdout.take() {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            shown.write_all(&line)?;
            stdout.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    Ok(Told { status: child.wait()?, stdout })
}

/// Runs to the end with everything shown; true when it exits 0.
pub fn shown(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    Ok(command.status().with_context(|| format!("start {program}"))?.success())
}

/// Runs to the end with nothing shown; true when it starts and exits 0.
pub fn quiet(program: &str, args: &[&str]) -> bool {
    is_quiet_success(Command::new(program).args(args))
}

/// The same for a command that is more than a program and its arguments.
pub fn is_quiet_success(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Splits the first simple command of a shell line into words: quotes and backslashes count; a comment, a pipe, a
/// redirection, `&` and `;` end it. Nothing is expanded.
///
/// `None`: a quote is left open.
pub fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_none() => break,
            '|' | '>' | '<' | '&' | ';' => break,
            '\'' => {
                let (inside, rest) = chars.as_str().split_once('\'')?;
                word.get_or_insert_default().push_str(inside);
                chars = rest.chars();
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().extend(chars.next()),
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => word.push(chars.next()?),
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let check = |line: &str, expected: &[&str]| {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        };
        check(
            "cargo test -p grit-rollout guard_trips",
            &["cargo", "test", "-p", "grit-rollout", "guard_trips"],
        );
        check(
            "grit issue create 'a b' --body \"c \\\"d\\\"\" # why",
            &["grit", "issue", "create", "a b", "--body", "c \"d\""],
        );
        check("grit status --json | jq .", &["grit", "status", "--json"]);
        check("grit deploy api#1 ''", &["grit", "deploy", "api#1", ""]);
        check("  ", &[]);
        assert_eq!(words("grit issue create 'a b"), None);
    }

    #[test]
    fn tee_keeps_what_it_shows() {
        let mut shown = Vec::new();
        let mut command = Command::new("sh");
        let told = tee_to(&mut shown, command.args(["-c", "echo one; echo two; exit 3"])).unwrap();
        assert_eq!(shown, b"one\ntwo\n");
        assert_eq!(told.stdout, "one\ntwo\n");
        assert_eq!(told.status.code(), Some(3));
    }
}
