//! What a push brought: the hook that git runs after it, and the lines that it is told.

use std::io::{BufRead, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use grit_types::{ObjectId, RefName};

use crate::durable::{create_folders, replace};
use crate::error::{Doing, Reading};
use crate::{GitError, Repository};

/// More refs in one push are refused.
pub const UPDATES_MAX: usize = 10_000;

/// Two ids and the longest ref that the file system can hold.
const LINE_BYTES_MAX: u64 = 8_192;

/// One ref that a push moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// None when the push created the ref.
    pub old: Option<ObjectId>,
    /// None when the push deleted the ref. The id of a commit, or of an annotated tag.
    pub new: Option<ObjectId>,
    pub name: RefName,
}

/// What is run before a push is taken, and may refuse it, and what is run after it (githooks(5)).
const HOOKS: [&str; 2] = ["pre-receive", "post-receive"];

/// Makes every push into a bare repository that Grit owns run `GRIT hook NAME --data DATA` in it,
/// with the lines of [`parse`] on standard input: as `pre-receive`, which refuses the push by
/// failing, and as `post-receive`, once its refs stand.
///
/// Both paths must be absolute. Hooks that were there are replaced.
pub fn install(repository: &Repository, grit: &Path, data: &Path) -> Result<(), GitError> {
    for path in [grit, data] {
        if !path.is_absolute() {
            let error = std::io::Error::other("a hook runs elsewhere: the path must be absolute");
            return Err(error).doing("install", path);
        }
    }
    let hooks = repository.common_dir().join("hooks");
    create_folders(&hooks)?;
    HOOKS.iter().try_for_each(|name| replace(&hooks.join(name), &script(name, grit, data), 0o755))
}

fn script(name: &str, grit: &Path, data: &Path) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n# Written by Grit: tells it what is pushed.\nexec ".to_vec();
    script.extend(quoted(grit));
    script.extend(format!(" hook {name} --data ").as_bytes());
    script.extend(quoted(data));
    script.push(b'\n');
    script
}

/// Between single quotes sh takes every byte for itself, except the quote.
fn quoted(path: &Path) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => text.extend(br"'\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}

/// Reads what git tells a post-receive hook: `OLD NEW REF` lines (githooks(5)).
///
/// A ref with a name that Grit does not accept is left out, so that it hides none of the others;
/// any other line that git would not write is an error, and so are too many.
pub fn parse(input: impl BufRead) -> Result<Vec<RefUpdate>, GitError> {
    let mut input = input;
    let mut updates = Vec::new();
    let mut lines = 0;
    loop {
        let mut line = Vec::new();
        let what = || format!("line {} of the push", lines + 1);
        input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).reading(what)?;
        if line.is_empty() {
            return Ok(updates);
        }
        if line.pop() != Some(b'\n') || lines == UPDATES_MAX {
            return Err(malformed("it is too long")).reading(what);
        }
        updates.extend(parse_line(&line).reading(what)?);
        lines += 1;
    }
}

fn parse_line(line: &[u8]) -> Result<Option<RefUpdate>, std::io::Error> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut id = || -> Result<Option<ObjectId>, std::io::Error> {
        let word = words.next().and_then(|word| std::str::from_utf8(word).ok());
        let id: Option<ObjectId> = word.and_then(|word| word.parse().ok());
        let id = id.ok_or_else(|| malformed("it has no two object ids"))?;
        Ok((!id.is_zero()).then_some(id))
    };
    let (old, new) = (id()?, id()?);
    let name = words.next().ok_or_else(|| malformed("it has no ref"))?;
    match std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) {
        Some(name) => Ok(Some(RefUpdate { old, new, name })),
        None => {
            let name = String::from_utf8_lossy(name).escape_debug().to_string();
            tracing::warn!(name, "a push moved a ref whose name is not accepted");
            Ok(None)
        }
    }
}

fn malformed(problem: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";
    const ONE: &str = "1111111111111111111111111111111111111111";

    #[test]
    fn creation_change_and_deletion() {
        let text = format!(
            "{ZERO} {ONE} refs/heads/main\n{ONE} {ONE} refs/tags/v1\n{ONE} {ZERO} refs/heads/old\n"
        );
        let updates = parse(text.as_bytes()).unwrap();
        let one = || Some(ONE.parse().unwrap());
        let update = |old, new, name: &str| RefUpdate { old, new, name: name.parse().unwrap() };
        assert_eq!(
            updates,
            [
                update(None, one(), "refs/heads/main"),
                update(one(), one(), "refs/tags/v1"),
                update(one(), None, "refs/heads/old"),
            ]
        );
        assert_eq!(parse(&b""[..]).unwrap(), []);
    }

    #[test]
    fn a_strange_name_hides_no_other() {
        let text = format!(
            "{ZERO} {ONE} refs/heads/a..b\n{ZERO} {ONE} refs/heads/\u{7f}\n{ONE} {ONE} refs/heads/x\n"
        );
        assert_eq!(parse(text.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn what_git_does_not_write_is_refused() {
        let long = "x".repeat(10_000);
        for text in [
            "\n".to_owned(),
            format!("{ONE}\n"),
            format!("{ONE} {ONE}\n"),
            format!("{ONE} main refs/heads/x\n"),
            format!("{ONE} {ONE} refs/heads/x"),
            format!("{ONE} {ONE} refs/heads/{long}\n"),
            format!("{ONE} {ONE} refs/heads/x\n").repeat(UPDATES_MAX + 1),
        ] {
            let start: String = text.chars().take(90).collect();
            assert!(parse(text.as_bytes()).is_err(), "{start:?}");
        }
    }

    proptest! {
        #[test]
        fn any_path_comes_through_the_shell(name in "[^\0/]{1,40}") {
            let path = Path::new("/tmp").join(&name);
            let mut script = b"printf %s ".to_vec();
            script.extend(quoted(&path));
            let shell = std::process::Command::new("sh")
                .arg("-c")
                .arg(std::ffi::OsStr::from_bytes(&script))
                .output()
                .unwrap();
            prop_assert_eq!(shell.stdout, path.as_os_str().as_bytes());
        }
    }
}
