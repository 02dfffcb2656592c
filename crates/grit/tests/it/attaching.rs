//! Files that belong to an issue.

use std::os::unix::fs::symlink;

use crate::env::{Env, Out};

fn line(out: Out) -> String {
    out.expect_code(0).stdout.trim_end().to_owned()
}

#[test]
fn a_file_comes_out_elsewhere_as_it_went_in() {
    let (env, one, two) = Env::two_clones();
    let bytes: Vec<u8> = (0..70_000u32).map(|n| (n * 7 % 251) as u8).collect();
    std::fs::write(env.path("core dump.bin"), &bytes).unwrap();
    std::fs::write(env.path("log.txt"), "it leaks\n").unwrap();
    let create = ["issue", "create", "--title", "t", "--attach", "../log.txt"];
    let id = line(env.grit(&one, &create));
    env.grit(&one, &["issue", "attach", &id, "../core dump.bin", "--name", "core.bin"])
        .expect_code(0);
    env.grit(&one, &["sync", "--push"]).expect_code(0);
    env.grit(&two, &["sync"]).expect_code(0);
    let names = line(env.grit(&two, &["issue", "attachment", "list", &id]));
    assert_eq!(names, "core.bin\nlog.txt");
    let files = env.data(&two, &["issue", "attachment", "list", &id, "--json"]);
    assert_eq!((&files[0]["size"], &files[0]["mediaType"]), (&70_000.into(), &BYTES.into()));
    assert_eq!(files[1]["mediaType"], "text/plain");
    let path = line(env.grit(&two, &["issue", "attachment", "save", &id, "core.bin"]));
    assert_eq!(std::fs::read(two.join(path)).unwrap(), bytes);
    let digest = files[1]["digest"].as_str().unwrap()["sha256:".len()..][..8].to_owned();
    env.grit(&two, &["issue", "attachment", "save", &id, &digest, "--to", ".."]).expect_code(4);
    let shown = line(env.grit(&two, &["issue", "show", &id]));
    assert!(shown.contains("attachment: core.bin (70000 bytes, "), "{shown}");
    let history = line(env.grit(&two, &["issue", "history", &id]));
    assert!(history.contains("attached “log.txt”"), "{history}");
    env.grit(&two, &["issue", "attachment", "remove", &id, "log.txt"]).expect_code(0);
    let left = line(env.grit(&two, &["issue", "attachment", "list", &id]));
    assert_eq!(left, "core.bin");
    env.grit(&two, &["verify"]).expect_code(0);
}

const BYTES: &str = "application/octet-stream";

#[test]
fn a_retried_step_attaches_once() {
    let (env, one, _) = Env::two_clones();
    std::fs::write(env.path("log.txt"), "red\n").unwrap();
    let create = ["issue", "create", "--title", "t", "--key", "run-7", "--attach", "../log.txt"];
    let id = line(env.grit(&one, &create));
    assert_eq!(line(env.grit(&one, &create)), id);
    assert_eq!(line(env.grit(&one, &["log"])).lines().count(), 2);
}

#[test]
fn what_cannot_be_attached_changes_nothing() {
    let (env, one, _) = Env::two_clones();
    std::fs::write(env.path("large"), vec![b'x'; 2_000]).unwrap();
    env.git(&one, &["config", "grit.attachmentMax", "1k"]);
    for (file, code) in [("../large", 2), ("..", 2), ("../nothing", 3), ("-", 2)] {
        env.grit(&one, &["issue", "create", "--title", "t", "--attach", file]).expect_code(code);
    }
    env.git(&one, &["config", "grit.attachmentMax", "64m"]);
    let out = env.grit(&one, &["issue", "create", "--title", "t", "--attach", "../large"]);
    assert!(out.expect_code(2).stderr.contains("grit.attachmentMax"));
    assert_eq!(line(env.grit(&one, &["log"])), "");
    env.git(&one, &["config", "grit.attachmentMax", "2k"]);
    let id = line(env.grit(&one, &["issue", "create", "--title", "t", "--attach", "../large"]));
    for name in ["../x", "a/b", ""] {
        env.grit(&one, &["issue", "attach", &id, "../large", "--name", name]).expect_code(2);
    }
}

/// An event that somebody else's program wrote: its name leads out of the folder, and a link lies
/// where it would be written.
#[test]
fn saving_stays_in_its_folder() {
    let (env, one, _) = Env::two_clones();
    std::fs::write(env.path("log.txt"), "evil\n").unwrap();
    let id = line(env.grit(&one, &["issue", "create", "--title", "t", "--attach", "../log.txt"]));
    let tip = env.git(&one, &["for-each-ref", "--format=%(objectname)", "refs/grit/a"]);
    let message = env.git(&one, &["log", "-1", "--format=%B", tip.trim()]);
    let hostile = message.trim_end().replace("\"log.txt\"", "\"../../evil\"");
    assert_ne!(hostile, message.trim_end());
    let tree = env.git(&one, &["log", "-1", "--format=%T", tip.trim()]);
    let evil = env.git(&one, &["commit-tree", "-m", &hostile, tree.trim()]);
    env.git(&one, &["update-ref", "refs/grit/a/evil", evil.trim()]);
    let save = ["issue", "attachment", "save", &id, "../../evil", "--to", "out"];
    std::fs::create_dir_all(one.join("out")).unwrap();
    let path = line(env.grit(&one, &save));
    assert!(path.starts_with("out/attachment-"), "{path}");
    assert_eq!(std::fs::read_to_string(one.join(&path)).unwrap(), "evil\n");
    std::fs::write(env.path("precious"), "keep\n").unwrap();
    std::fs::remove_file(one.join(&path)).unwrap();
    symlink(env.path("precious"), one.join(&path)).unwrap();
    env.grit(&one, &save).expect_code(4);
    env.grit(&one, &[&save[..], &["--force"]].concat()).expect_code(0);
    assert_eq!(std::fs::read_to_string(env.path("precious")).unwrap(), "keep\n");
}

#[test]
fn a_damaged_file_is_told() {
    let (env, one, _) = Env::two_clones();
    std::fs::write(env.path("log.txt"), "red\n").unwrap();
    let id = line(env.grit(&one, &["issue", "create", "--title", "t", "--attach", "../log.txt"]));
    let blob = env.git(&one, &["hash-object", "../log.txt"]).trim_end().to_owned();
    std::fs::remove_file(one.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let out = env.grit(&one, &["issue", "attachment", "save", &id, "log.txt"]).expect_code(5);
    assert!(out.stderr.contains("does not have the bytes"), "{}", out.stderr);
    let out = env.grit(&one, &["verify"]).expect_code(1);
    assert!(out.stdout.contains("attachment `log.txt`"), "{}", out.stdout);
}
