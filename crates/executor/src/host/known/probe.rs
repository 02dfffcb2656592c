use std::path::Path;
use std::time::Duration;

use grit_pipeline::builtin::version::Version;

use crate::host::environment::Variables;
use crate::host::step::Attempt;

/// A program that does not tell its version by then is none.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What the program says, with the step's variables: both streams, where it succeeds.
pub(super) async fn said(at: &Attempt, program: &Path, args: &[&str]) -> Option<String> {
    let (out, err) = at.both(program, args, TIME_MAX, &at.variables).await?;
    Some(out + &err)
}

/// What it answers, with variables of its own: the standard output, where it succeeds.
pub(super) async fn heard(
    at: &Attempt,
    program: &Path,
    args: &[&str],
    variables: &Variables,
) -> Option<String> {
    at.both(program, args, TIME_MAX, variables).await.map(|(out, _)| out)
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
