use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use grit_git::{GitError, Repository};
use grit_testkit::{git, repo, temp_dir};
use grit_types::{CommitId, RefName};

use crate::this_program;

#[test]
fn a_job_finds_a_working_tree_of_its_commit() {
    let shop = repo().file("a", "one").commit("first").tag("v1").file("a", "two").commit("second");
    let first: CommitId = shop.git(&["rev-parse", "HEAD~1"]).parse().unwrap();
    let place = temp_dir();
    let bare = place.path().join("x.git");
    Repository::init_bare(&bare).unwrap();
    shop.git(&["push", "--quiet", bare.to_str().unwrap(), "main", "v1"]);
    let repository = Repository::open(&bare).unwrap();

    let at = |name: &str| -> RefName { name.parse().unwrap() };
    let (main, tag, strange) = (at("refs/heads/main"), at("refs/tags/v1"), at("refs/heads/-x"));
    for (number, (commit, name, branch, content)) in [
        (&shop.head(), Some(&main), "main", "two"),
        (&first, Some(&main), "main", "one"),
        (&first, Some(&tag), "HEAD", "one"),
        (&first, None, "HEAD", "one"),
        (&first, Some(&strange), "HEAD", "one"),
    ]
    .into_iter()
    .enumerate()
    {
        let into = place.path().join(format!("work/{number}"));
        repository.checkout(commit, name, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("a")).unwrap(), content);
        assert_eq!(git(&into, &["rev-parse", "HEAD"]), commit.as_str());
        assert_eq!(git(&into, &["rev-parse", "--abbrev-ref", "HEAD"]), branch);
        assert_eq!(git(&into, &["status", "--porcelain"]), "");
        assert_eq!(git(&into, &["tag"]), "v1");
        assert!(!into.join(".git/hooks").exists());
    }
    let nothing = "1".repeat(40).parse().unwrap();
    let missing = repository.checkout(&nothing, None, &place.path().join("work/none"));
    assert!(matches!(missing, Err(GitError::NoObject { .. })), "{missing:?}");
    let occupied = repository.checkout(&first, None, &place.path().join("work/0"));
    assert!(matches!(occupied, Err(GitError::Failed { command: "clone", .. })), "{occupied:?}");
}

/// Runs the test above for a person whose configuration has hooks for everything.
#[test]
fn a_checkout_runs_no_hook() {
    let home = temp_dir();
    let marker = home.path().join("marker");
    let hooks = home.path().join("template/hooks");
    fs::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("post-checkout");
    fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", marker.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "[core]\n\thooksPath = {}\n[init]\n\ttemplateDir = {}\n",
        hooks.display(),
        home.path().join("template").display()
    );
    fs::write(home.path().join(".gitconfig"), config).unwrap();

    let test = "checkout::a_job_finds_a_working_tree_of_its_commit";
    let output = this_program(test).env("HOME", home.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    assert!(!marker.exists());

    // The hook does run for a plain git.
    let shop = repo().commit("first");
    let plain = Command::new("git")
        .current_dir(shop.path())
        .args(["checkout", "--quiet", "--detach"])
        .env("HOME", home.path())
        .env_remove("GIT_CONFIG_GLOBAL")
        .status()
        .unwrap();
    assert!(plain.success() && marker.exists());
}
