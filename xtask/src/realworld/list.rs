use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

const LIST: &str = include_str!("../../realworld.txt");

/// The values of a matrix, as text.
pub type Matrix = BTreeMap<String, String>;

pub struct Package {
    pub name: String,
    pub version: String,
    pub by_hand: Vec<ByHand>,
}

/// What a job comes to, for a person at this machine.
pub struct ByHand {
    /// Of the workflow, without its folder.
    pub file: String,
    pub job: String,
    pub matrix: Matrix,
    /// For `bash -e`, with the matrix as variables.
    pub script: String,
}

/// # Errors
/// The list is not written as its head says.
pub fn read() -> Result<Vec<Package>> {
    parse(LIST)
}

fn parse(text: &str) -> Result<Vec<Package>> {
    let mut packages: Vec<Package> = Vec::new();
    // The jobs that the next commands are for begin here.
    let mut open = 0;
    let mut commands = false;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(command) = line.strip_prefix("    ") {
            let package = packages.last_mut().context("a command before any package")?;
            let jobs = package.by_hand.get_mut(open..).unwrap_or_default();
            ensure!(!jobs.is_empty(), "a command before any job: {command}");
            for job in jobs {
                job.script.push_str(command);
                job.script.push('\n');
            }
            commands = true;
        } else if let Some(job) = line.strip_prefix("job ") {
            let package = packages.last_mut().context("a job before any package")?;
            if std::mem::take(&mut commands) {
                open = package.by_hand.len();
            }
            package.by_hand.push(by_hand(job)?);
        } else {
            let Some((name, version)) = line.split_once(' ') else { bail!("no version: {line}") };
            let (name, version) = (name.to_owned(), version.to_owned());
            packages.push(Package { name, version, by_hand: Vec::new() });
            (open, commands) = (0, false);
        }
    }
    let mut jobs = packages.iter().flat_map(|package| &package.by_hand);
    ensure!(jobs.all(|job| !job.script.is_empty()), "a job has no commands");
    Ok(packages)
}

fn by_hand(line: &str) -> Result<ByHand> {
    let words = shell::words(line).with_context(|| format!("a quote is open: {line}"))?;
    let [file, job, values @ ..] = words.as_slice() else { bail!("no file and job: {line}") };
    let value = |word: &String| {
        let pair = word.split_once('=').with_context(|| format!("no value: {word}"))?;
        Ok((pair.0.to_owned(), pair.1.to_owned()))
    };
    let matrix = values.iter().map(value).collect::<Result<_>>()?;
    Ok(ByHand { file: file.clone(), job: job.clone(), matrix, script: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_without_commands_share_those_of_the_next() {
        let text = "# head\n\none 1.0\njob a.yml x\n    cargo test\njob a.yml y os=u\njob a.yml y 'os=v w'\n    \
                    cargo build\n    cargo test\n\ntwo 2.0\njob b.yml z\n    cargo t\n";
        let packages = parse(text).unwrap();
        let scripts: Vec<Vec<&str>> = packages
            .iter()
            .map(|package| package.by_hand.iter().map(|job| job.script.as_str()).collect())
            .collect();
        let both = "cargo build\ncargo test\n";
        assert_eq!(scripts, [vec!["cargo test\n", both, both], vec!["cargo t\n"]]);
        assert_eq!(packages[0].by_hand[2].matrix["os"], "v w");
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        for text in [
            "    cargo test\n",
            "job a.yml x\n",
            "one\n",
            "one 1\njob a.yml\n",
            "one 1\njob a b c\n",
            "one 1\njob a b\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
