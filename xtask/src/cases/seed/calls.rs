use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// Options without a value.
const FLAGS: &[&str] = &["--json", "--push", "--pull", "--quiet"];

/// A call of `grit`, as the shim saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Without the program.
    pub argv: Vec<String>,
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub exit: i32,
    /// All locks, as the other clone saw them right afterwards.
    pub elsewhere: Option<String>,
    /// How the same call ended in this clone once more, and in the other.
    pub again: Option<i32>,
    pub again_elsewhere: Option<i32>,
}

/// Those recorded in a folder, in order.
pub fn read(folder: &Path) -> Result<Vec<Call>> {
    let folders = (1..).map(|number: u32| folder.join(number.to_string()));
    folders
        .take_while(|folder| folder.exists())
        .map(|folder| {
            one(&folder).with_context(|| format!("read the call in {}", folder.display()))
        })
        .collect()
}

fn one(folder: &Path) -> Result<Call> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let code = |name: &str| -> Option<i32> { text(name).ok()?.trim().parse().ok() };
    Ok(Call {
        argv: text("argv")?.split_terminator('\0').map(str::to_owned).collect(),
        stdin: text("stdin")?,
        stdout: text("stdout")?,
        stderr: text("stderr")?,
        exit: code("exit").context("it did not end")?,
        elsewhere: text("elsewhere").ok(),
        again: code("again"),
        again_elsewhere: code("again-elsewhere"),
    })
}

impl Call {
    pub fn begins<S: AsRef<str>>(&self, words: &[S]) -> bool {
        let mut pairs = self.argv.iter().zip(words);
        self.argv.len() >= words.len() && pairs.all(|(one, other)| one == other.as_ref())
    }

    /// The values of an option, written as two words or as one.
    pub fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let mut words = self.argv.iter().map(String::as_str);
        std::iter::from_fn(move || {
            loop {
                let word = words.next()?;
                let (option, value) = match word.split_once('=') {
                    Some((option, value)) => (option, Some(value)),
                    None if word.starts_with("--") && !FLAGS.contains(&word) => {
                        (word, words.next())
                    }
                    None => continue,
                };
                if option == name {
                    return value;
                }
            }
        })
    }

    pub fn option<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.options(name).next()
    }

    fn is_json(&self) -> bool {
        self.argv.iter().any(|word| word == "--json")
    }

    /// The id that the call answered, in the form that was asked for and no other.
    pub fn id(&self) -> Option<String> {
        if self.is_json() {
            let answer: Value = serde_json::from_str(&self.stdout).ok()?;
            return answer["data"]["id"]
                .as_str()
                .filter(|_| answer["ok"] == true)
                .map(str::to_owned);
        }
        match self.ids()?.as_slice() {
            [id] => Some(id.clone()),
            _ => None,
        }
    }

    /// One bare id per line, and nothing else.
    pub fn ids(&self) -> Option<Vec<String>> {
        let is_id =
            |line: &str| !line.is_empty() && line.chars().all(|c| c.is_ascii_alphanumeric());
        if !self.stdout.is_empty() && !self.stdout.ends_with('\n') {
            return None;
        }
        self.stdout.lines().map(|line| is_id(line).then(|| line.to_owned())).collect()
    }

    /// As a person would name it.
    pub fn name(&self) -> String {
        let words = self.argv.iter().take_while(|word| !word.starts_with('-'));
        words.fold("grit".to_owned(), |name, word| format!("{name} {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str], stdout: &str) -> Call {
        let argv = words.iter().map(|word| (*word).to_owned()).collect();
        Call { argv, stdout: stdout.to_owned(), ..Call::default() }
    }

    #[test]
    fn options_are_read() {
        let call = call(
            &["issue", "create", "--title", "--label", "--label=a", "--json", "--label", "b"],
            "",
        );
        assert_eq!(call.option("--title"), Some("--label"));
        assert_eq!(call.options("--label").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn an_answer_has_the_form_that_was_asked_for() {
        assert_eq!(call(&["issue", "create"], "abc2\n").id().as_deref(), Some("abc2"));
        assert_eq!(call(&["issue", "create"], "Created abc2\n").id(), None);
        assert_eq!(call(&["issue", "create"], "abc2\nabc3\n").id(), None);
        let json = "{\"schema\":1,\"ok\":true,\"data\":{\"id\":\"abc2\"}}\n";
        assert_eq!(call(&["issue", "create", "--json"], json).id().as_deref(), Some("abc2"));
        assert_eq!(call(&["issue", "create", "--json"], "abc2\n").id(), None);
        assert_eq!(call(&["issue", "list"], "a\nb\n").ids().unwrap(), ["a", "b"]);
        assert_eq!(call(&["issue", "list"], "").ids().unwrap(), Vec::<String>::new());
    }
}
