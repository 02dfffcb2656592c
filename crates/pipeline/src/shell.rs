//! The command line that a script is run with.

/// A shell that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    #[error(
        "shell `{0}` must hold `{{0}}`, the place of the script, or be one of bash, sh, python, pwsh"
    )]
    NoPlace(String),
    #[error("shell `{0}` runs on Windows only")]
    Windows(String),
    #[error("shell `{0}` has a quote that is not closed")]
    Quote(String),
    #[error("`{0}` has a quote that is not closed")]
    Arguments(String),
}

/// The command for a shell as GitHub names it; `{0}` in it stands for the script's path.
pub fn command(shell: Option<&str>) -> Result<Vec<String>, ShellError> {
    let line = match shell.map(str::trim) {
        None | Some("") => "bash -e {0}",
        Some("bash") => "bash --noprofile --norc -eo pipefail {0}",
        Some("sh") => "sh -e {0}",
        Some("python") => "python3 {0}",
        Some("pwsh") => r#"pwsh -command ". '{0}'""#,
        Some(name @ ("cmd" | "powershell")) => return Err(ShellError::Windows(name.to_owned())),
        Some(custom) if custom.contains("{0}") => custom,
        Some(other) => return Err(ShellError::NoPlace(other.to_owned())),
    };
    words(line).ok_or_else(|| ShellError::Quote(line.to_owned()))
}

/// Splits a line into arguments, as a shell would that expands nothing.
pub fn arguments(line: &str) -> Result<Vec<String>, ShellError> {
    let mut all = Vec::new();
    let mut word = None::<String>;
    let (mut quote, mut chars) = (None::<char>, line.chars());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().extend(chars.next());
            }
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(ShellError::Arguments(line.to_owned()));
    }
    all.extend(word);
    Ok(all)
}

/// Splits at spaces outside of double quotes.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_as_a_shell_does() {
        let split = |line| arguments(line).map(|words| words.join("|"));
        assert_eq!(split(" a 'b c'  \"d 'e' \\\" f\" g\\ h ''").unwrap(), "a|b c|d 'e' \" f|g h|");
        assert!(split("a 'b").is_err());
        assert_eq!(split("").unwrap(), "");
    }

    #[test]
    fn the_shells_of_the_documentation() {
        let line = |shell| command(shell).map(|words| words.join("|"));
        assert_eq!(line(None).unwrap(), "bash|-e|{0}");
        assert_eq!(line(Some("bash")).unwrap(), "bash|--noprofile|--norc|-eo|pipefail|{0}");
        assert_eq!(line(Some("sh")).unwrap(), "sh|-e|{0}");
        assert_eq!(line(Some("perl {0}")).unwrap(), "perl|{0}");
        assert_eq!(line(Some("pwsh")).unwrap(), "pwsh|-command|. '{0}'");
        assert!(line(Some("fish")).is_err());
        assert!(line(Some("cmd")).is_err());
        assert!(line(Some("sh -c \"{0}")).is_err());
    }
}
