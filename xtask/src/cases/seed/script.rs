//! What a shell script is about to do, as far as its text tells.

/// A command of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simple {
    /// Quotes are taken off, nothing is expanded.
    pub words: Vec<String>,
    /// Words of the shell's own in front of it: `if`, `then`, `!` …
    pub leads: Vec<String>,
    /// It reads what the command before it writes.
    pub piped: bool,
}

const LEADS: &[&str] = &["if", "then", "else", "elif", "fi", "while", "do", "done", "!", "{", "}"];

impl Simple {
    /// The words after `grit`, when this is a call of it, itself or through another program.
    pub fn grit(&self) -> Option<&[String]> {
        let at = self.words.iter().position(|word| word == "grit")?;
        (at == 0 || self.words[0] == "xargs").then(|| &self.words[at + 1..])
    }

    /// The words that say which command of `grit` it is.
    pub fn verb(&self) -> Option<&[String]> {
        let words = self.grit()?;
        let is_verb = |word: &&String| word.starts_with(|c: char| c.is_ascii_lowercase());
        Some(&words[..words.iter().take_while(is_verb).count()])
    }

    /// What stands for each line, where `xargs` calls `grit`.
    pub fn placeholder(&self) -> Option<&str> {
        match self.words.as_slice() {
            [xargs, option, name, ..] if xargs == "xargs" && option == "-I" => Some(name),
            _ => None,
        }
    }

    pub fn is_refusable(&self) -> bool {
        matches!(self.leads.as_slice(), [.., a, b] if a == "if" && b == "!")
    }
}

/// The word that ends the here-document that begins in a line.
pub fn here_document(line: &str) -> Option<String> {
    let (_, after) = line.split_once("<<")?;
    if after.starts_with('<') {
        return None;
    }
    let after = after.strip_prefix('-').unwrap_or(after).trim_start();
    let quoted = |quote| after.strip_prefix(quote)?.split_once(quote).map(|(word, _)| word);
    let bare = || after.split(|c: char| !c.is_alphanumeric() && c != '_').next();
    let word = quoted('\'').or_else(|| quoted('"')).or_else(bare)?;
    (!word.is_empty()).then(|| word.to_owned())
}

/// All commands in order, without those inside of `$(…)`.
///
/// # Errors
/// A quote is left open.
pub fn commands(text: &str) -> Result<Vec<Simple>, String> {
    let text = without_here_documents(text);
    let (rest, now) = (text.chars().peekable(), Simple::default());
    let mut reader = Reader { rest, all: Vec::new(), now };
    reader.read()?;
    Ok(reader.all)
}

fn without_here_documents(text: &str) -> String {
    let mut kept = String::new();
    let mut until: Option<String> = None;
    for line in text.lines() {
        if let Some(word) = &until {
            if line == word {
                until = None;
            }
            continue;
        }
        until = here_document(line);
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    all: Vec<Simple>,
    now: Simple,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        let mut word: Option<String> = None;
        while let Some(c) = self.rest.next() {
            match c {
                '#' if word.is_none() => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '\\' if self.rest.next_if_eq(&'\n').is_some() => {}
                '\\' => word.get_or_insert_default().extend(self.rest.next()),
                '\'' | '"' => self.quoted(c, word.get_or_insert_default())?,
                '\n' | ';' | '&' | '|' => {
                    self.word(word.take());
                    let twice = self.rest.next_if_eq(&c).is_some();
                    self.end(c == '|' && !twice);
                }
                space if space.is_whitespace() => self.word(word.take()),
                other => word.get_or_insert_default().push(other),
            }
        }
        self.word(word.take());
        self.end(false);
        Ok(())
    }

    fn quoted(&mut self, quote: char, word: &mut String) -> Result<(), String> {
        let mut depth = 0_usize;
        loop {
            match self.rest.next() {
                None => return Err(format!("a {quote} is left open")),
                Some(c) if c == quote && depth == 0 => return Ok(()),
                Some('\\') if quote == '"' => word.extend(self.rest.next()),
                Some('(') if quote == '"' && word.ends_with('$') => {
                    depth += 1;
                    word.push('(');
                }
                Some(')') if depth > 0 => {
                    depth -= 1;
                    word.push(')');
                }
                Some(c) => word.push(c),
            }
        }
    }

    fn word(&mut self, word: Option<String>) {
        let Some(word) = word else { return };
        if self.now.words.is_empty() && LEADS.contains(&word.as_str()) {
            self.now.leads.push(word);
        } else {
            self.now.words.push(word);
        }
    }

    fn end(&mut self, pipe: bool) {
        let now = std::mem::take(&mut self.now);
        if !now.words.is_empty() || !now.leads.is_empty() {
            self.all.push(now);
            self.now.piped = pipe;
        }
    }
}

/// The variables that a text uses, each once.
pub fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let is_in_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let name: String = part.chars().take_while(is_in_name).collect();
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if is_name && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What `[ "$NAME" = VALUE ]` asks for, by name.
pub fn conditions(commands: &[Simple]) -> Vec<(String, String)> {
    let condition = |simple: &Simple| match simple.words.as_slice() {
        [open, name, is, value, close] if open == "[" && is == "=" && close == "]" => {
            Some((name.strip_prefix('$')?.to_owned(), value.clone()))
        }
        _ => None,
    };
    commands.iter().filter_map(condition).collect()
}

/// Programs beside the script, which the reader is expected to have.
pub fn programs(commands: &[Simple]) -> Vec<String> {
    let names = commands.iter().filter_map(|simple| simple.words.first()?.strip_prefix("./"));
    names.filter(|name| !name.contains('/')).map(str::to_owned).collect()
}

/// What a script says and how it ends where a command under `if !` is refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub says: Vec<String>,
    pub exit: Option<i32>,
}

pub fn when_refused(commands: &[Simple]) -> Option<Refused> {
    let at = commands.iter().position(|simple| simple.is_refusable() && simple.grit().is_some())?;
    let is_end = |lead: &String| lead == "fi" || lead == "else";
    let mut refused = Refused::default();
    for simple in commands[at + 1..].iter().take_while(|simple| !simple.leads.iter().any(is_end)) {
        match simple.words.split_first() {
            Some((echo, text)) if echo == "echo" => refused.says.push(text.join(" ")),
            Some((exit, code)) if exit == "exit" => {
                refused.exit = code.first().and_then(|code| code.parse().ok());
            }
            _ => {}
        }
    }
    Some(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
#!/bin/bash
# not grit
if ! grit lock acquire --resource \"a:b\" --ttl 1h; then
  echo \"It is taken\"
  exit 7
fi
./run.sh
grit issue create --title \"T $N\" \\
  --body \"$(cat <<'END'
grit in a text, and \"quotes\"
END
)\" --label x
grit issue list --state closed | \\
  xargs -I {} grit issue label add {} --label y
if [ \"$S\" = \"bad\" ]; then grit sync; fi
";

    #[test]
    fn commands_are_found() {
        let commands = commands(SCRIPT).unwrap();
        let calls = commands.iter().filter_map(Simple::grit).map(|words| words.join("|"));
        assert_eq!(
            calls.collect::<Vec<_>>(),
            [
                "lock|acquire|--resource|a:b|--ttl|1h",
                "issue|create|--title|T $N|--body|$(cat <<'END'\n)|--label|x",
                "issue|list|--state|closed",
                "issue|label|add|{}|--label|y",
                "sync",
            ]
        );
        let through: Vec<Option<&str>> =
            commands.iter().filter(|simple| simple.piped).map(Simple::placeholder).collect();
        assert_eq!(through, [Some("{}")]);
        assert_eq!(conditions(&commands), [("S".to_owned(), "bad".to_owned())]);
        assert_eq!(programs(&commands), ["run.sh"]);
        let refused = when_refused(&commands).unwrap();
        assert_eq!(refused, Refused { says: vec!["It is taken".into()], exit: Some(7) });
        assert_eq!(variables(SCRIPT), ["N", "S"]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert!(commands("grit issue create --title 'a").is_err());
    }
}
