use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;

use grit_git::{Git, GitLedger, Repository, hook};
use grit_ledger::Ledger;
use grit_testkit::{git, repo, temp_dir};

use crate::{event, lane};

#[test]
fn a_push_runs_the_hook_with_what_it_brought() {
    let place = temp_dir();
    let folder = place.path().join("it's a \"place\" $(touch x) \\");
    fs::create_dir(&folder).unwrap();
    let told = folder.join("told");
    let program = folder.join("grit");
    let script =
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"$4/args\"\ncat > \"$4/told\"\ntest ! -e \"$4/$2\"\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let bare = Repository::init_bare(&folder.join("x.git")).unwrap();
    hook::install(&bare, &program, &folder).unwrap();

    let shop = repo().file("a", "x").commit("first").tag("v1");
    Git::new("push")
        .repository(&shop.path().join(".git"))
        .flag("--quiet")
        .operand(bare.git_dir())
        .operand("main")
        .operand("v1")
        .run()
        .unwrap();
    let args = fs::read_to_string(folder.join("args")).unwrap();
    let run = |name: &str| format!("hook\n{name}\n--data\n{}\n", folder.display());
    assert_eq!(args, run("pre-receive") + &run("post-receive"));
    let mut updates = hook::parse(BufReader::new(fs::File::open(&told).unwrap())).unwrap();
    updates.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = updates.iter().map(|update| update.name.as_str()).collect();
    assert_eq!(names, ["refs/heads/main", "refs/tags/v1"]);
    assert_eq!(updates[0].new.as_ref().unwrap().as_str(), shop.head().as_str());
    assert_eq!(updates[0].old, None);

    // The ledger's own push, too.
    git(shop.path(), &["remote", "add", "origin", bare.git_dir().to_str().unwrap()]);
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    ledger.append(&lane("us"), &event("us", 1)).unwrap();
    ledger.sync().unwrap();
    let updates = hook::parse(BufReader::new(fs::File::open(&told).unwrap())).unwrap();
    assert_eq!(updates[0].name.as_str(), "refs/grit/a/us");
    assert_eq!(git(bare.git_dir(), &["fsck", "--strict"]), "");

    // What is refused before has not come.
    fs::write(folder.join("pre-receive"), "").unwrap();
    let refused = Git::new("push")
        .repository(&shop.path().join(".git"))
        .operand(bare.git_dir())
        .operand("main:other")
        .run();
    assert!(refused.is_err());
    let names: Vec<_> = bare.branches().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["refs/heads/main".parse().unwrap()]);
}

#[test]
fn a_hook_needs_absolute_paths() {
    let place = temp_dir();
    let bare = Repository::init_bare(&place.path().join("x.git")).unwrap();
    assert!(hook::install(&bare, "grit".as_ref(), place.path()).is_err());
    assert!(hook::install(&bare, place.path(), "data".as_ref()).is_err());
}
