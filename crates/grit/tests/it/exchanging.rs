//! `grit export` and `grit import`: what comes, what stays the same, and what is refused.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::env::{Env, GRIT, Out};

const ISSUES: &str = r#"[{"number":12,"title":"It leaks","body":"Since Monday","state":"OPEN",
 "url":"https://github.com/o/r/issues/12","author":{"login":"alice"},"labels":[{"name":"bug"}],
 "assignees":[],"milestone":null,"createdAt":"2026-01-02T03:04:05Z","closedAt":null,"comments":[]}]"#;

fn repository(env: &Env, name: &str) -> PathBuf {
    env.repository(name, &[("README", "seed\n")])
}

/// Has grit read `text` from its standard input.
fn piped(env: &Env, folder: &Path, args: &[&str], text: &str) -> Out {
    let file = env.path("input");
    std::fs::write(&file, text).unwrap();
    let mut command = env.command(GRIT, folder);
    env.run(command.args(args).stdin(std::fs::File::open(&file).unwrap()))
}

fn says(env: &Env, folder: &Path, args: &[&str]) -> String {
    env.grit(folder, args).expect_code(0).stdout
}

/// A tracker with something of everything.
fn tracker(env: &Env, folder: &Path) {
    let create = ["issue", "create", "--title", "It \"leaks\"\n\u{202e}", "--label", "bug"];
    let more =
        ["--body", "- [ ] look\n<!-- grit:issue -->\n", "--milestone", "v2", "--assignee", "bob"];
    let id = says(env, folder, &[&create[..], &more[..]].concat());
    let id = id.trim_end();
    says(env, folder, &["issue", "check", id, "1"]);
    says(env, folder, &["issue", "comment", id, "--body", "Since when?\n"]);
    let other = says(env, folder, &["issue", "create", "--title", "Another", "--key", "ci-1"]);
    says(env, folder, &["issue", "dep", "add", other.trim_end(), "--target", id]);
    says(env, folder, &["issue", "close", other.trim_end(), "--reason", "done"]);
    says(env, folder, &["issue", "query", "save", "mine", "assignee:@me"]);
}

#[test]
fn every_clone_exports_the_same_bytes_and_they_come_back() {
    let env = Env::new();
    env.host(&repository(&env, "seed"));
    let (one, two) = (env.clone("one"), env.clone("two"));
    env.clone("empty");
    tracker(&env, &one);
    says(&env, &two, &["issue", "create", "--title", "From the second"]);
    says(&env, &two, &["sync"]);
    for clone in [&one, &two] {
        says(&env, clone, &["sync"]);
    }
    says(&env, &one, &["sync"]);
    let first = says(&env, &one, &["export"]);
    assert_eq!(says(&env, &two, &["export"]), first);
    assert_eq!(says(&env, &one, &["export"]), first, "and again");
    // Into a repository that has nothing, and no remote.
    let other = repository(&env, "other");
    std::fs::write(env.path("export.json"), &first).unwrap();
    let file = env.path("export.json").display().to_string();
    let told = env.data(&other, &["import", "--format", "grit", &file, "--json"]);
    assert_eq!((&told["created"], &told["changed"]), (&3.into(), &0.into()), "{told}");
    assert_eq!(says(&env, &other, &["export"]), first, "events, ids, everything");
    let again = env.data(&other, &["import", "--format", "grit", &file, "--json"]);
    assert_eq!((&again["events"], &again["unchanged"]), (&0.into(), &3.into()));
    // What `--json` answers is taken too.
    let enveloped = says(&env, &one, &["export", "--json"]);
    let document: Value = serde_json::from_str(&enveloped).unwrap();
    assert_eq!(document["data"]["format"], "grit-tracker");
    let third = repository(&env, "third");
    piped(&env, &third, &["import", "--format", "grit", "-"], &enveloped).expect_code(0);
    assert_eq!(says(&env, &third, &["export"]), first);
}

#[test]
fn markdown_goes_out_and_comes_back() {
    let env = Env::new();
    let one = repository(&env, "one");
    tracker(&env, &one);
    let stream = says(&env, &one, &["export", "--format", "markdown"]);
    let other = repository(&env, "other");
    piped(&env, &other, &["import", "--format", "markdown"], &stream).expect_code(0);
    assert_eq!(says(&env, &other, &["export", "--format", "markdown"]), stream);
    let folder = env.path("issues").display().to_string();
    says(&env, &one, &["export", "--format", "markdown", "--out", &folder]);
    let files = || -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    assert_eq!(files().len(), 2);
    let file = files().into_iter().find(|file| file.display().to_string().contains("another"));
    let file = file.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("title: \"Another\"", "title: A second one")).unwrap();
    let told = env.data(&one, &["import", "--format", "markdown", &folder, "--json"]);
    assert_eq!(
        (&told["created"], &told["changed"], &told["unchanged"]),
        (&0.into(), &1.into(), &1.into())
    );
    assert!(says(&env, &one, &["issue", "search", "title:\"second one\""]).lines().count() == 1);
    says(&env, &one, &["export", "--format", "markdown", "--out", &folder]);
    assert_eq!(files().len(), 2, "a file of an old title is gone");
}

#[test]
fn an_import_again_brings_what_changed_and_nothing_twice() {
    let env = Env::new();
    let one = repository(&env, "one");
    let args = ["import", "--format", "github", "-", "--json"];
    let import =
        |text: &str| piped(&env, &one, &args, text).expect_code(0).document()["data"].clone();
    let dry = ["import", "--format", "github", "--dry-run"];
    piped(&env, &one, &dry, ISSUES).expect_code(0);
    assert_eq!(says(&env, &one, &["issue", "list"]), "");
    let told = import(ISSUES);
    assert_eq!((&told["created"], &told["events"]), (&1.into(), &1.into()));
    assert_eq!(import(ISSUES)["events"], 0);
    let id = says(&env, &one, &["issue", "list"]);
    let issue = env.data(&one, &["issue", "show", id.trim_end(), "--json"]);
    assert_eq!((&issue["author"], &issue["key"]), (&"alice".into(), &"github:o/r#12".into()));
    let told = import(&ISSUES.replace("\"bug\"", "\"water\""));
    assert_eq!(
        (&told["created"], &told["changed"], &told["events"]),
        (&0.into(), &1.into(), &2.into())
    );
    let issue = env.data(&one, &["issue", "show", id.trim_end(), "--json"]);
    assert_eq!(issue["labels"], serde_json::json!(["water"]));
    let history = says(&env, &one, &["issue", "history", id.trim_end()]);
    assert!(
        history.contains("first by alice at 2026-01-02T03:04:05.000Z (github:o/r#12)"),
        "{history}"
    );
}

#[test]
fn what_cannot_be_read_leaves_nothing_behind() {
    let env = Env::new();
    let one = repository(&env, "one");
    let import = |format: &str, text: &str| {
        piped(&env, &one, &["import", "--format", format, "-"], text).refusal()
    };
    let second = ISSUES.replace("[{", "[{\"number\":11,\"title\":7},{");
    insta::assert_snapshot!([
        import("github", &second),
        import("github", &ISSUES[..100]),
        import("gitlab", "{}"),
        import("grit", "{\"format\":\"other\"}"),
        import("markdown", "# No head\n"),
        env.grit(&one, &["import", "--format", "grite"]).refusal(),
        env.grit(&one, &["import", "--format", "github", "missing.json"]).refusal(),
        env.grit(&one, &["import", "--format", "github", "x", "--from", "."]).refusal().lines().take(2).collect::<Vec<_>>().join("\n"),
    ].join("\n"), @r#"
    exit 2
    Error: standard input:1:23: invalid type: integer `7`, expected a string
    Hint: nothing was taken in; put it right, and do it again

    exit 2
    Error: standard input:2:29: EOF while parsing a string
    Hint: nothing was taken in; put it right, and do it again

    exit 2
    Error: standard input: item 1 of the document: it has neither a title nor a noteable_iid
    Hint: nothing was taken in; put it right, and do it again

    exit 2
    Error: standard input:1:1: this is no `grit-tracker` document
    Hint: nothing was taken in; put it right, and do it again

    exit 2
    Error: standard input:1:1: an issue begins with a line `---`, and a head with its title
    Hint: nothing was taken in; put it right, and do it again

    exit 3
    Error: [ROOT]/one/.git has no issues in refs/grite/wal
    Hint: `git fetch origin 'refs/grite/*:refs/grite/*'`

    exit 5
    Error: read missing.json: No such file or directory (os error 2)

    exit 2
    error: the argument '[FILE]' cannot be used with '--from <PATH>'
    "#);
    assert_eq!(says(&env, &one, &["issue", "list", "--state", "all"]), "");
    assert_eq!(env.git(&one, &["for-each-ref", "refs/grit"]), "");
}

#[test]
fn ten_thousand_events_are_one_pack() {
    let env = Env::new();
    let one = repository(&env, "one");
    let issues: Vec<String> = (0..2_000)
        .map(|number| {
            ISSUES[1..ISSUES.len() - 1]
                .replace("\"number\":12", &format!("\"number\":{number}"))
                .replace("issues/12", &format!("issues/{number}"))
                .replace("\"comments\":[]", &format!(
                    r#""comments":[{{"id":"a","author":{{"login":"bob"}},"body":"Me too","createdAt":"2026-01-02T04:00:00Z","url":"https://github.com/o/r/issues/{number}#issuecomment-{number}"}}]"#
                ))
        })
        .collect();
    let text = format!("[{}]", issues.join(","));
    let out = piped(&env, &one, &["import", "--format", "github", "-", "--json"], &text);
    let told = out.expect_code(0).document()["data"].clone();
    assert_eq!((&told["created"], &told["events"]), (&2_000.into(), &4_000.into()));
    let objects = env.git(&one, &["count-objects", "-v"]);
    let count = |name: &str| -> usize {
        let line = objects.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(": ").parse().unwrap()
    };
    assert_eq!((count("packs"), count("in-pack")), (1, 4_000), "{objects}");
    env.git(&one, &["fsck", "--strict"]);
    assert_eq!(says(&env, &one, &["issue", "list"]).lines().count(), 2_000);
}

/// Objects as git-native-issue and git-bug write them.
#[test]
fn trackers_in_git_are_read_from_another_repository() {
    let env = Env::new();
    let (one, other) = (repository(&env, "one"), repository(&env, "other"));
    let script = r#"
        tree=$(git hash-object -w -t tree /dev/null)
        root=$(printf 'It leaks\n\nSince Monday\n\nState: open\nLabels: bug\nFormat-Version: 1\n' | git commit-tree $tree)
        told=$(printf 'Me too\n' | git commit-tree $tree -p $root)
        shut=$(printf 'Close\n\nState: closed\nReason: completed\n' | git commit-tree $tree -p $told)
        git update-ref refs/issues/a7f3b2c1-4e5d-4a8b-9c1e-2f3a4b5c6d7e $shut
        empty=$(git hash-object -w --stdin </dev/null)
        who=$(printf '{"version":2,"name":"Jane Doe","email":"jane@example.org"}' | git hash-object -w --stdin)
        git update-ref refs/identities/i1 $(printf '100644 blob %s\tversion\n' $who | git mktree | xargs git commit-tree -m identity)
        ops=$(printf '{"author":{"id":"i1"},"ops":[{"type":1,"timestamp":1700000000,"nonce":"","title":"Crash","message":"It crashes","files":null}]}' | git hash-object -w --stdin)
        bug=$(printf '100644 blob %s\tcreate-clock-1\n100644 blob %s\tedit-clock-1\n100644 blob %s\tops\n100644 blob %s\tversion-4\n' $empty $empty $ops $empty | git mktree | xargs git commit-tree -m bug)
        git update-ref refs/bugs/b1 $bug
    "#;
    env.run(env.command("bash", &other).args(["-euo", "pipefail", "-c", script])).expect_code(0);
    let from = other.display().to_string();
    for (format, title, author) in
        [("git-native-issue", "It leaks", "Tess"), ("git-bug", "Crash", "jane@example.org")]
    {
        let args = ["import", "--format", format, "--from", &from, "--json"];
        let told = env.data(&one, &args);
        assert_eq!(told["created"], 1, "{told}");
        let id = told["issues"][0]["id"].as_str().unwrap();
        let issue = env.data(&one, &["issue", "show", id, "--json"]);
        assert_eq!((&issue["title"], &issue["author"]), (&title.into(), &author.into()));
        assert_eq!(env.data(&one, &args)["events"], 0);
    }
    let closed = env.data(&one, &["issue", "list", "--state", "closed", "--json"]);
    assert_eq!(closed[0]["closed"]["reason"], "completed");
    assert_eq!(closed[0]["comments"][0]["body"], "Me too");
}

/// A tracker with attachments: one that was taken off, and one twice.
fn with_files(env: &Env, folder: &Path) -> (String, Vec<u8>) {
    let bytes: Vec<u8> = (0..70_000u32).map(|n| (n * 7 % 251) as u8).collect();
    std::fs::write(env.path("core.bin"), &bytes).unwrap();
    std::fs::write(env.path("log.txt"), "it leaks\n").unwrap();
    let create = ["issue", "create", "--title", "t", "--attach", "../log.txt"];
    let id = says(env, folder, &create).trim_end().to_owned();
    says(env, folder, &["issue", "attach", &id, "../core.bin"]);
    says(env, folder, &["issue", "attachment", "remove", &id, "log.txt"]);
    says(env, folder, &["issue", "create", "--title", "u", "--attach", "../core.bin"]);
    (id, bytes)
}

fn saved(env: &Env, folder: &Path, id: &str) -> Vec<u8> {
    let path = says(env, folder, &["issue", "attachment", "save", id, "core.bin"]);
    std::fs::read(folder.join(path.trim_end())).unwrap()
}

#[test]
fn files_go_out_and_come_back() {
    let env = Env::new();
    let (one, other, late) =
        (repository(&env, "one"), repository(&env, "other"), repository(&env, "late"));
    let (id, bytes) = with_files(&env, &one);
    let document = says(&env, &one, &["export"]);
    assert_eq!(document.matches("\n\"sha256:").count(), 2, "each once");
    let import = ["import", "--format", "grit", "-", "--json"];
    piped(&env, &other, &import, &document).expect_code(0);
    assert_eq!(says(&env, &other, &["export"]), document, "files and everything");
    assert_eq!(saved(&env, &other, &id), bytes);
    says(&env, &other, &["verify"]);
    let again = piped(&env, &other, &import, &document).expect_code(0).document();
    assert_eq!(again["data"]["events"], 0);

    // First without them, as from an older Grit, and later with them.
    let bare = says(&env, &one, &["export", "--no-files"]);
    assert!(!bare.contains("\"files\""), "{bare}");
    let told = piped(&env, &late, &import, &bare).expect_code(0).document();
    assert_eq!(told["data"]["leftOut"][0], "the bytes of 2 attachments, not in the document");
    insta::assert_snapshot!(env.grit(&late, &["export"]).refusal(), @r"
    exit 5
    Error: the attachment `core.bin`: no event in this clone brought sha256:84bc50d4d2f6f3a614f6720911ca67c9e4c8771648a9d7934a556450e4e8192b
    Hint: export from a clone that has it whole; `grit export --no-files` leaves the bytes of attachments out
    ");
    assert_eq!(says(&env, &late, &["export", "--no-files"]), bare);
    piped(&env, &late, &import, &document).expect_code(0);
    assert_eq!(saved(&env, &late, &id), bytes);
    assert_eq!(says(&env, &late, &["export"]), document);
    says(&env, &late, &["verify"]);
    let again = piped(&env, &late, &import, &document).expect_code(0).document();
    assert_eq!(again["data"]["events"], 0);
}

#[test]
fn an_export_without_its_files_is_none() {
    let env = Env::new();
    let (one, other) = (repository(&env, "one"), repository(&env, "other"));
    with_files(&env, &one);
    let document = says(&env, &one, &["export"]);
    let forged = document.replace("aXQgbGVha3MK", "aXQgbGVha3MX");
    assert_ne!(forged, document);
    piped(&env, &other, &["import", "--format", "grit", "-"], &forged).expect_code(2);
    assert_eq!(says(&env, &other, &["log"]), "");
    // The blob is gone, and then it is another.
    let blob = env.git(&one, &["hash-object", "../log.txt"]);
    let (folder, name) = blob.trim().split_at(2);
    let object = one.join(".git/objects").join(folder).join(name);
    std::fs::rename(&object, env.path("object")).unwrap();
    let missing = env.grit(&one, &["export"]).expect_code(5);
    assert!(missing.stderr.contains("--no-files"), "{}", missing.stderr);
    let seed = env.git(&one, &["hash-object", "README"]);
    let (folder, name) = seed.trim().split_at(2);
    std::fs::copy(one.join(".git/objects").join(folder).join(name), &object).unwrap();
    let out = env.path("export.json").display().to_string();
    env.grit(&one, &["export", "--out", &out]).expect_code(5);
    assert!(!Path::new(&out).exists());
    says(&env, &one, &["export", "--no-files"]);
}

/// Whoever imports has no key but their own: what others did would be left out by everybody.
#[test]
fn where_signatures_are_required_nobody_speaks_for_others() {
    let env = Env::new();
    let (one, other) = (repository(&env, "one"), repository(&env, "other"));
    for title in ["It leaks", "Another"] {
        let mut create = env.command(GRIT, &one);
        create.env("GRIT_ACTOR", "alice").args(["issue", "create", "--title", title]);
        env.run(&mut create).expect_code(0);
    }
    let document = says(&env, &one, &["export"]);
    let markdown = says(&env, &one, &["export", "--format", "markdown"]);
    for args in
        [&["key", "create"][..], &["key", "publish"], &["policy", "--signatures", "require"]]
    {
        says(&env, &other, args);
    }
    let import = ["import", "--format", "grit", "-"];
    let dry_run = ["import", "--format", "grit", "-", "--dry-run"];
    let refusal = piped(&env, &other, &import, &document).refusal();
    let key = says(&env, &other, &["key", "list"]);
    insta::assert_snapshot!(refusal.replace(key.trim_end(), "[KEY]"), @r"
    exit 6
    Error: signatures are required here, and 2 of 2 events would not count: key [KEY] is tess's, and alice is said to have acted
    Hint: `grit sync` brings what others signed; `grit export --format markdown` there and `grit import --format markdown` here take it in in your own name
    ");
    piped(&env, &other, &dry_run, &document).expect_code(6);
    assert_eq!(says(&env, &other, &["log"]), "", "nothing was taken in");
    // In the importer's own name it counts.
    piped(&env, &other, &["import", "--format", "markdown", "-"], &markdown).expect_code(0);
    assert_eq!(says(&env, &other, &["issue", "list", "--state", "all"]).lines().count(), 2);
    says(&env, &other, &["verify"]);
    // Without a key nothing of it would.
    env.git(&other, &["config", "--unset", "grit.signingKey"]);
    let edited = markdown.replace("title: \"Another\"", "title: A second one");
    let unsigned = piped(&env, &other, &["import", "--format", "markdown", "-"], &edited);
    let unsigned = unsigned.expect_code(6).stderr;
    assert!(unsigned.contains("`grit key create`"), "{unsigned}");
}
