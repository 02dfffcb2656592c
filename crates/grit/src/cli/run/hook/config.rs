//! `.pre-commit-config.yaml`, and what a repository of hooks says of its own.
//!
//! Source: pre-commit's documentation, "Adding pre-commit plugins to your project" and "Creating new
//! hooks". Patterns are Python's there and the `regex` crate's here: no look-around and no back
//! references, and `\Z` is read as `\z`.

use grit_diag::yaml::{self, Node};
use grit_diag::{Diagnostics, Source, codes};
use regex::Regex;

/// Where a repository says which hooks it has.
pub const FILE_NAME: &str = ".pre-commit-config.yaml";
/// Where a repository of hooks says which it gives.
pub const MANIFEST: &str = ".pre-commit-hooks.yaml";
/// Grit does what this version of pre-commit does, as far as it does it.
pub const BEHAVES_AS: (u32, u32, u32) = (4, 0, 0);

/// What is to be run.
pub struct Config {
    pub sets: Vec<Set>,
    pub files: Option<String>,
    pub exclude: Option<String>,
    pub fail_fast: bool,
    pub default_stages: Vec<String>,
}

/// The hooks of one entry of `repos`.
pub struct Set {
    pub origin: Origin,
    pub hooks: Vec<Given>,
}

/// Where hooks come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Local,
    Meta,
    Remote { url: String, rev: String },
}

/// What a file says of a hook; what it leaves out is `None`.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub id: String,
    pub name: Option<String>,
    pub entry: Option<String>,
    pub language: Option<String>,
    pub files: Option<String>,
    pub exclude: Option<String>,
    pub types: Option<Vec<String>>,
    pub types_or: Option<Vec<String>>,
    pub exclude_types: Option<Vec<String>>,
    pub dependencies: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    pub stages: Option<Vec<String>>,
    pub always_run: Option<bool>,
    pub fail_fast: Option<bool>,
    pub pass_filenames: Option<bool>,
    pub require_serial: Option<bool>,
    pub verbose: Option<bool>,
}

/// A hook with everything filled in.
#[derive(Debug)]
pub struct Hook {
    pub id: String,
    pub name: String,
    pub entry: String,
    pub language: String,
    pub files: Regex,
    pub exclude: Regex,
    pub types: Vec<String>,
    pub types_or: Vec<String>,
    pub exclude_types: Vec<String>,
    pub dependencies: Vec<String>,
    pub args: Vec<String>,
    pub stages: Vec<String>,
    pub always_run: bool,
    pub fail_fast: bool,
    pub pass_filenames: bool,
    pub require_serial: bool,
    pub verbose: bool,
}

impl Given {
    /// The same, with what it leaves out as `base` has it.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            id: self.id,
            name: self.name.or(base.name),
            entry: self.entry.or(base.entry),
            language: self.language.or(base.language),
            files: self.files.or(base.files),
            exclude: self.exclude.or(base.exclude),
            types: self.types.or(base.types),
            types_or: self.types_or.or(base.types_or),
            exclude_types: self.exclude_types.or(base.exclude_types),
            dependencies: self.dependencies.or(base.dependencies),
            args: self.args.or(base.args),
            stages: self.stages.or(base.stages),
            always_run: self.always_run.or(base.always_run),
            fail_fast: self.fail_fast.or(base.fail_fast),
            pass_filenames: self.pass_filenames.or(base.pass_filenames),
            require_serial: self.require_serial.or(base.require_serial),
            verbose: self.verbose.or(base.verbose),
        }
    }

    /// With defaults; the error is for people.
    pub fn complete(self, default_stages: &[String]) -> Result<Hook, String> {
        let id = self.id;
        let missing = |key: &str| format!("the hook `{id}` does not say its `{key}`");
        let language = self.language.ok_or_else(|| missing("language"))?;
        let entry = self.entry.ok_or_else(|| missing("entry"))?;
        let pattern = |key: &str, text: Option<String>, default: &str| {
            let text = text.unwrap_or_else(|| default.to_owned());
            self::pattern(&text).map_err(|error| format!("`{key}` of the hook `{id}`: {error}"))
        };
        let stages = self.stages.unwrap_or_else(|| default_stages.to_vec());
        Ok(Hook {
            name: self.name.unwrap_or_else(|| id.clone()),
            entry,
            language,
            files: pattern("files", self.files, "")?,
            exclude: pattern("exclude", self.exclude, "^$")?,
            types: self.types.unwrap_or_else(|| vec!["file".to_owned()]),
            types_or: self.types_or.unwrap_or_default(),
            exclude_types: self.exclude_types.unwrap_or_default(),
            dependencies: self.dependencies.unwrap_or_default(),
            args: self.args.unwrap_or_default(),
            stages: stages.iter().map(|stage| modern(stage).to_owned()).collect(),
            always_run: self.always_run.unwrap_or(false),
            fail_fast: self.fail_fast.unwrap_or(false),
            pass_filenames: self.pass_filenames.unwrap_or(true),
            require_serial: self.require_serial.unwrap_or(false),
            verbose: self.verbose.unwrap_or(false),
            id,
        })
    }
}

/// A pattern as Python writes it; the error is for people.
pub fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(&text.replace("\\Z", "\\z")).map_err(|error| error.to_string())
}

/// Names of stages as they were before version 3.2.
fn modern(stage: &str) -> &str {
    match stage {
        "commit" => "pre-commit",
        "push" => "pre-push",
        "merge-commit" => "pre-merge-commit",
        other => other,
    }
}

/// Reads the configuration.
pub fn config(text: &str) -> (Option<Config>, Diagnostics) {
    let (root, mut findings) = yaml::parse(&Source::new(FILE_NAME, text));
    let Some(root) = root.filter(|_| !findings.has_errors()) else { return (None, findings) };
    let mut reader = Reader { findings: &mut findings };
    let Some(repos) = reader.list(&root, "repos") else {
        let message = "the key `repos` is missing in this mapping";
        reader.findings.error(root.span, codes::MISSING_KEY, message);
        return (None, findings);
    };
    let sets = repos.iter().filter_map(|repo| reader.set(repo)).collect();
    let config = Config {
        sets,
        files: reader.text(&root, "files"),
        exclude: reader.text(&root, "exclude"),
        fail_fast: reader.flag(&root, "fail_fast").unwrap_or(false),
        default_stages: reader.texts(&root, "default_stages").unwrap_or_default(),
    };
    reader.minimum(&root);
    (Some(config), findings)
}

/// What a repository of hooks gives.
pub fn manifest(text: &str) -> Result<Vec<Given>, String> {
    let (root, mut findings) = yaml::parse(&Source::new(MANIFEST, text));
    let hooks = root.as_ref().and_then(Node::as_sequence).unwrap_or_default();
    let mut reader = Reader { findings: &mut findings };
    let hooks = hooks.iter().filter_map(|hook| reader.hook(hook)).collect();
    if findings.has_errors() {
        return Err(grit_diag::render::plain(&findings).trim_end().to_owned());
    }
    Ok(hooks)
}

struct Reader<'a> {
    findings: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn set(&mut self, node: &Node) -> Option<Set> {
        let repo = self.required(node, "repo")?;
        let origin = match repo.as_str() {
            "local" => Origin::Local,
            "meta" => Origin::Meta,
            _ => Origin::Remote { rev: self.required(node, "rev")?, url: repo },
        };
        let hooks = self.list(node, "hooks").unwrap_or_default();
        let hooks: Vec<Given> = hooks.iter().filter_map(|hook| self.hook(hook)).collect();
        if origin == Origin::Local {
            for (hook, node) in hooks.iter().zip(self.list(node, "hooks").unwrap_or_default()) {
                let given =
                    [("name", &hook.name), ("entry", &hook.entry), ("language", &hook.language)];
                for (key, _) in given.iter().filter(|(_, value)| value.is_none()) {
                    let message = format!("the hook `{}` does not say its `{key}`", hook.id);
                    self.findings.error(node.span, codes::MISSING_KEY, message);
                }
            }
        }
        Some(Set { origin, hooks })
    }

    fn hook(&mut self, node: &Node) -> Option<Given> {
        Some(Given {
            id: self.required(node, "id")?,
            name: self.text(node, "name"),
            entry: self.text(node, "entry"),
            language: self.text(node, "language"),
            files: self.text(node, "files"),
            exclude: self.text(node, "exclude"),
            types: self.texts(node, "types"),
            types_or: self.texts(node, "types_or"),
            exclude_types: self.texts(node, "exclude_types"),
            dependencies: self.texts(node, "additional_dependencies"),
            args: self.texts(node, "args"),
            stages: self.texts(node, "stages"),
            always_run: self.flag(node, "always_run"),
            fail_fast: self.flag(node, "fail_fast"),
            pass_filenames: self.flag(node, "pass_filenames"),
            require_serial: self.flag(node, "require_serial"),
            verbose: self.flag(node, "verbose"),
        })
    }

    fn required(&mut self, node: &Node, key: &'static str) -> Option<String> {
        let found = self.text(node, key);
        if found.is_none() && node.get(key).is_none() {
            let message = format!("the key `{key}` is missing in this mapping");
            self.findings.error(node.span, codes::MISSING_KEY, message);
        }
        found
    }

    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let value = node.get(key)?;
        let text = value.text().map(str::to_owned);
        if text.is_none() {
            return self.wrong(value, key, "a string");
        }
        text
    }

    fn flag(&mut self, node: &Node, key: &str) -> Option<bool> {
        let value = node.get(key)?;
        match value.text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => self.wrong(value, key, "`true` or `false`"),
        }
    }

    fn texts(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        let items = self.list(node, key)?;
        let text = |item: &Node| item.text().map(str::to_owned);
        let texts: Option<Vec<String>> = items.iter().map(text).collect();
        if texts.is_none() {
            let value = node.get(key)?;
            return self.wrong(value, key, "a list of strings");
        }
        texts
    }

    fn list<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n [Node]> {
        let value = node.get(key)?;
        match value.as_sequence() {
            Some(items) => Some(items),
            None => self.wrong(value, key, "a list"),
        }
    }

    fn wrong<T>(&mut self, node: &Node, key: &str, wanted: &str) -> Option<T> {
        let message = format!("`{key}` must be {wanted}, and is {}", node.kind());
        self.findings.error(node.span, codes::WRONG_TYPE, message);
        None
    }

    fn minimum(&mut self, root: &Node) {
        const KEY: &str = "minimum_pre_commit_version";
        let Some(text) = self.text(root, KEY) else { return };
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        let wanted = (next(), next(), next());
        if wanted > BEHAVES_AS {
            let (major, minor, patch) = BEHAVES_AS;
            let message = format!("`{KEY}` is {text}, and this is as {major}.{minor}.{patch}");
            let span = root.get(KEY).map_or(root.span, |node| node.span);
            self.findings.error(span, codes::INVALID_VALUE, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_wins_over_what_the_hook_says_of_itself() {
        let text = "- id: a\n  name: A\n  entry: run a\n  language: python\n  types: [python]\n  args: [-x]\n";
        let base = manifest(text).unwrap().remove(0);
        let given = Given { id: "a".to_owned(), args: Some(Vec::new()), ..Given::default() };
        let hook = given.over(&base).complete(&["commit".to_owned()]).unwrap();
        assert_eq!(
            (hook.args.len(), &*hook.types[0], &*hook.stages[0]),
            (0, "python", "pre-commit")
        );
        assert!(hook.pass_filenames && !hook.always_run);
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let errors = |text: &str| {
            let (_, findings) = config(text);
            findings
                .to_json()
                .iter()
                .map(|found| format!("{} {}:{}", found.code, found.line, found.column))
                .collect::<Vec<_>>()
        };
        assert_eq!(errors("x: 1\n"), ["E0022 1:1"]);
        assert_eq!(
            errors("repos: [{repo: local, hooks: [{id: a, name: b, entry: c}]}]\n"),
            ["E0022 1:31"]
        );
        assert_eq!(errors("repos: []\nminimum_pre_commit_version: '99'\n"), ["E0023 2:29"]);
        assert_eq!(errors("repos: []\nfail_fast: maybe\n"), ["E0020 2:12"]);
    }

    #[test]
    fn patterns_are_read_as_python_writes_them() {
        assert!(pattern(r"(?x)^(a/.*|b)\Z").unwrap().is_match("a/x"));
        assert!(pattern("^(?!a)").unwrap_err().contains("look-around"));
    }
}
