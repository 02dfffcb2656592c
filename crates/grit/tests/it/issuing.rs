//! Issues live in the repository: clones have them, and no server is asked.

use std::path::{Path, PathBuf};

use crate::env::{Env, GRIT};

fn clone(env: &Env, name: &str) -> PathBuf {
    let hosted = env.path("hosted.git");
    if !hosted.exists() {
        let seed = env.repository("seed", &[("README", "seed\n")]);
        env.host(&seed);
        std::fs::remove_dir_all(seed).unwrap();
    }
    env.clone(name)
}

fn create(env: &Env, folder: &Path, title: &str) -> String {
    let out = env.grit(folder, &["issue", "create", "--title", title]).expect_code(0);
    out.stdout.trim_end().to_owned()
}

#[test]
fn an_issue_is_created_listed_shown_and_closed() {
    let env = Env::new();
    let clone = clone(&env, "one");
    let args = ["issue", "create", "--title", "It leaks", "--label", "bug", "--body", "a\nb\n"];
    let id = env.grit(&clone, &args).expect_code(0).stdout.trim_end().to_owned();
    let other = create(&env, &clone, "Another");
    let listed = env.grit(&clone, &["issue", "list"]).expect_code(0).stdout;
    let mut lines: Vec<&str> = listed.lines().collect();
    lines.sort_unstable();
    let mut both = [id.as_str(), other.as_str()];
    both.sort_unstable();
    assert_eq!(lines, both, "a list that is piped is one bare id per line");
    let labelled = env.grit(&clone, &["issue", "list", "--label", "bug"]).expect_code(0);
    assert_eq!(labelled.stdout, format!("{id}\n"));
    let shown = env.grit(&clone, &["issue", "show", &id]).expect_code(0).stdout;
    assert!(shown.starts_with("It leaks\nopen, by tess at "), "{shown}");
    assert!(shown.ends_with(", bug\n\na\nb\n"), "{shown}");

    env.grit(&clone, &["issue", "close", &id, "--reason", "done"]).expect_code(0);
    let open = env.grit(&clone, &["issue", "list"]).expect_code(0).stdout;
    assert_eq!(open, format!("{other}\n"));
    let closed = env.data(&clone, &["issue", "list", "--state", "closed", "--json"]);
    assert_eq!(closed.as_array().unwrap().len(), 1, "{closed}");
    assert_eq!(closed[0]["id"], id);
    assert_eq!(closed[0]["title"], "It leaks");
    let all = env.grit(&clone, &["issue", "list", "--state", "all"]).expect_code(0).stdout;
    assert_eq!(all.lines().count(), 2, "{all}");
}

#[test]
fn json_answers_one_document_each() {
    let env = Env::new();
    let clone = clone(&env, "one");
    let made = env.data(&clone, &["issue", "create", "--title", "T", "--json"]);
    let id = made["id"].as_str().unwrap();
    let shown = env.data(&clone, &["issue", "show", id, "--json"]);
    assert_eq!(shown["title"], "T");
    assert_eq!(shown["state"], "open");
    assert_eq!(env.data(&clone, &["issue", "close", id, "--json"])["id"], id);
    let nothing = env.data(&clone, &["issue", "list", "--json"]);
    assert_eq!(nothing, serde_json::json!([]));
    let out = env.grit(&clone, &["issue", "show", "ffffffff", "--json"]).expect_code(3);
    assert_eq!(out.document()["ok"], false);
}

#[test]
fn a_second_clone_sees_what_the_first_wrote() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let first = create(&env, &one, "From the first");
    let second = create(&env, &two, "From the second");
    // Whoever lists asks nobody.
    let alone = env.grit(&two, &["issue", "list"]).expect_code(0).stdout;
    assert_eq!(alone, format!("{second}\n"));
    env.grit(&one, &["sync"]).expect_code(0);
    let mut expected = [first.clone(), second];
    expected.sort_unstable();
    for clone in [&two, &one] {
        env.grit(clone, &["sync"]).expect_code(0);
        let listed = env.grit(clone, &["issue", "list"]).expect_code(0).stdout;
        let mut ids: Vec<&str> = listed.lines().collect();
        ids.sort_unstable();
        assert_eq!(ids, expected);
    }
    env.grit(&two, &["issue", "close", &first]).expect_code(0);
    env.grit(&two, &["sync"]).expect_code(0);
    env.grit(&one, &["sync"]).expect_code(0);
    let left = env.grit(&one, &["issue", "list"]).expect_code(0).stdout;
    assert!(!left.contains(&first), "closed in the other clone: {left}");
}

#[test]
fn the_pushed_branches_are_not_touched() {
    let env = Env::new();
    let one = clone(&env, "one");
    create(&env, &one, "T");
    env.grit(&one, &["sync", "--push"]).expect_code(0);
    let refs = env.git(&env.path("hosted.git"), &["for-each-ref", "--format=%(refname)"]);
    let (ours, theirs): (Vec<&str>, Vec<&str>) =
        refs.lines().partition(|name| name.starts_with("refs/grit/"));
    assert_eq!(theirs, ["refs/heads/main"]);
    assert!(!ours.is_empty(), "the issue reached the remote");
    assert_eq!(env.git(&one, &["status", "--porcelain"]), "");
}

#[test]
fn a_body_from_a_heredoc_stays_as_it_was_typed() {
    let env = Env::new();
    let clone = clone(&env, "one");
    let body = "Run `make` and `$(whoami)`:\n\n```sh\necho \"$HOME\" 'x' \\n\n```\n- ünïcode ✓\n-- --title";
    let script = format!(
        "{GRIT} issue create --title 'With `backticks`' --body \"$(cat <<'EOF'\n{body}\nEOF\n)\""
    );
    let id = env.run(env.command("bash", &clone).args(["-c", &script])).expect_code(0).stdout;
    let shown = env.data(&clone, &["issue", "show", id.trim_end(), "--json"]);
    assert_eq!(shown["body"], body);
    assert_eq!(shown["title"], "With `backticks`");
}
