//! Repositories, the ledger in refs and the hook, against the real git.
#![forbid(unsafe_code)]

mod checkout;
mod compact;
mod crash;
mod hook;
mod ledger;
mod lock;
mod lock_races;
mod reading;
mod signing;
mod sync;

use std::path::{Path, PathBuf};
use std::process::Command;

use grit_git::{GitLedger, Repository};
use grit_ledger::{Event, Hlc, Lane};
use grit_testkit::{TempDir, git, temp_dir};
use grit_types::{Actor, Entropy, Tenant};

/// An event that differs by its number and by who made it.
fn event(who: &str, number: u32) -> Event {
    Event {
        kind: "test.happened".to_owned(),
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        subject: format!("{who}/{number}"),
        actor: Actor::new("ada".parse().unwrap(), "cli"),
        hlc: Hlc { millis: 1_767_323_045_000 + i64::from(number), count: 0 },
        cause: None,
        data: serde_json::json!({ "number": number }),
    }
}

fn lane(name: &str) -> Lane {
    Lane::Actor(name.to_owned())
}

/// A bare repository, and clones of it.
struct Team {
    folder: TempDir,
}

impl Team {
    fn new() -> Self {
        let folder = temp_dir();
        Repository::init_bare(&folder.path().join("remote.git")).unwrap();
        Self { folder }
    }

    fn remote(&self) -> PathBuf {
        self.folder.path().join("remote.git")
    }

    /// Has this ref of the remote be a commit that git refuses to fetch.
    fn spoil(&self, name: &str) {
        let (remote, file) = (self.remote(), self.folder.path().join("spoiled"));
        let tree = git(&remote, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let text = format!("tree {tree}\nauthor nobody\ncommitter nobody\n\nx\n");
        std::fs::write(&file, text).unwrap();
        let args = ["hash-object", "-t", "commit", "-w", "--literally", file.to_str().unwrap()];
        git(&remote, &["update-ref", name, &git(&remote, &args)]);
    }

    fn clone(&self, name: &str) -> GitLedger {
        git(self.folder.path(), &["clone", "--quiet", "remote.git", name]);
        self.ledger(name)
    }

    fn ledger(&self, name: &str) -> GitLedger {
        GitLedger::new(Repository::open(&self.folder.path().join(name)).unwrap())
    }
}

/// Bytes that depend on the number alone.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// This test program again, running one test alone: a child that can be killed, traced, or given
/// another environment.
fn this_program(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}
