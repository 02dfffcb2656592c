//! `grit run --hook`: the hooks of `.pre-commit-config.yaml`, on what is staged.

use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::env::{Env, GRIT, Out, wait_for};

const CONFIG: &str = ".pre-commit-config.yaml";

fn repository(env: &Env, hooks: &str, files: &[(&str, &str)]) -> PathBuf {
    let config = format!("repos:\n- repo: local\n  hooks:\n{hooks}");
    let all: Vec<(&str, &str)> =
        [(CONFIG, config.as_str())].into_iter().chain(files.iter().copied()).collect();
    env.repository("repo", &all)
}

fn hook(env: &Env, folder: &Path) -> Out {
    env.grit(folder, &["run", "--hook", "pre-commit"])
}

fn write(folder: &Path, path: &str, text: &str) {
    std::fs::write(folder.join(path), text).unwrap();
}

fn read(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join(path)).unwrap()
}

#[test]
fn hooks_look_at_what_is_staged_and_say_what_pre_commit_says() {
    let env = Env::new();
    let hooks = "  - { id: shell, name: Shell files, entry: sh -n, language: system, types: [shell] }\n  - { id: words, name: No bad words, entry: 'bad|worse', language: pygrep, args: [-i], exclude: '^bad/' }\n  - { id: own, name: Own script, entry: tools/check.sh, language: script, files: '\\.txt$' }\n  - { id: never, name: Never, entry: No file like this., language: fail, files: 'forbidden' }\n  - { id: push, name: Only at a push, entry: 'false', language: system, stages: [push] }\n  - { id: always, name: Always, entry: 'true', language: system, always_run: true, pass_filenames: false, types: [rust] }\n";
    let script = "#!/bin/sh\nfor file; do grep -q good \"$file\" || { echo \"$file is not good\"; exit 1; }; done\n";
    let folder = repository(&env, hooks, &[("tools/check.sh", script)]);
    env.run(env.command("chmod", &folder).args(["+x", "tools/check.sh"])).expect_code(0);
    write(&folder, "a.txt", "good\n");
    write(&folder, "not-staged.txt", "bad\n");
    env.git(&folder, &["add", "a.txt", "tools"]);
    let out = hook(&env, &folder).expect_code(0);
    assert_snapshot!(out.stdout, @r"
    Shell files..............................................................Passed
    No bad words.............................................................Passed
    Own script...............................................................Passed
    Never................................................(no files to check)Skipped
    Always...................................................................Passed
    ");
    write(&folder, "a.txt", "a Bad one\n");
    write(&folder, "forbidden", "");
    env.git(&folder, &["add", "a.txt", "forbidden"]);
    let out = hook(&env, &folder).expect_code(1);
    assert_snapshot!(out.stdout, @r"
    Shell files..............................................................Passed
    No bad words.............................................................Failed
    - hook id: words
    - exit code: 1

    a.txt:1:a Bad one

    Own script...............................................................Failed
    - hook id: own
    - exit code: 1

    a.txt is not good

    Never....................................................................Failed
    - hook id: never
    - exit code: 1

    No file like this.

    forbidden

    Always...................................................................Passed
    ");
    let document =
        env.grit(&folder, &["run", "--hook", "pre-commit", "--json"]).expect_code(1).document();
    assert_eq!(document["data"][1]["result"], "failed", "{document:#}");
    assert_eq!(document["data"][1]["files"], 3, "{document:#}");
}

#[test]
fn what_is_not_staged_is_out_of_the_way_and_back_afterwards() {
    let env = Env::new();
    let hooks = "  - { id: see, name: See, entry: sh -c 'cat file && test ! -e gone && exit 1', language: system, verbose: true, pass_filenames: false, always_run: true }\n";
    let folder = repository(&env, hooks, &[("file", "one\n"), ("kept", "x"), ("gone", "x")]);
    write(&folder, "file", "staged\n");
    env.git(&folder, &["rm", "--quiet", "gone"]);
    env.git(&folder, &["add", "file"]);
    write(&folder, "file", "not staged\n");
    std::fs::remove_file(folder.join("kept")).unwrap();
    write(&folder, "untracked", "own\n");
    let out = hook(&env, &folder).expect_code(1);
    assert!(out.stdout.contains("\nstaged\n"), "{out:?}");
    assert_eq!(read(&folder, "file"), "not staged\n");
    assert!(!folder.join("kept").exists());
    assert_eq!(read(&folder, "untracked"), "own\n");
    assert_eq!(
        env.git(&folder, &["status", "--porcelain"]),
        "MM file\nD  gone\n D kept\n?? untracked\n"
    );
}

#[test]
fn work_that_is_not_staged_survives_a_kill_at_any_moment_of_the_hooks() {
    let env = Env::new();
    let begun = env.path("begun");
    let hooks = format!(
        "  - {{ id: stay, name: Stay, entry: sh -c 'touch {}; sleep 1000', language: system, pass_filenames: false, always_run: true }}\n",
        begun.display()
    );
    let folder = repository(&env, &hooks, &[("file", "one\n"), ("other", "one\n")]);
    write(&folder, "file", "not staged\n");
    write(&folder, "other", "not staged either\n");
    let running = env.start(env.command(GRIT, &folder).args(["run", "--hook", "pre-commit"]));
    wait_for("the hook", || begun.exists().then_some(()).ok_or_else(|| running.stderr()));
    assert_eq!(read(&folder, "file"), "one\n", "it is out of the way");
    running.end(Signal::KILL);
    let out = env.grit(&folder, &["doctor"]).expect_code(1);
    assert!(out.stdout.contains("puts it back first"), "{out:?}");
    write(&folder, "other", "typed since\n");
    write(&folder, CONFIG, "repos: []\n");
    env.git(&folder, &["add", CONFIG]);
    let out = hook(&env, &folder).expect_code(0);
    assert_eq!(read(&folder, "file"), "not staged\n", "{out:?}");
    assert_eq!(read(&folder, "other"), "not staged either\n", "{out:?}");
    assert!(out.stderr.contains("Put back what was not staged"), "{out:?}");
    assert_eq!(
        read(&folder, ".git/grit/found/other.1"),
        "typed since\n",
        "what stood there is kept"
    );
    let out = hook(&env, &folder).expect_code(0);
    assert_eq!(out.stderr, "", "it is put back once");
}

#[test]
fn hooks_that_change_files_fail_and_go_together_with_what_is_not_staged_or_give_way() {
    let env = Env::new();
    let hooks = "  - { id: fix, name: Fix, entry: sed -i s/teh/the/, language: system, types: [plain-text] }\n";
    let text = "teh first\n2\n3\n4\n5\nlast\n";
    let folder = repository(&env, hooks, &[("a.txt", "x\n"), ("b.txt", "x\n")]);
    write(&folder, "a.txt", text);
    write(&folder, "b.txt", text);
    env.git(&folder, &["add", "."]);
    write(&folder, "a.txt", &text.replace("last", "last of mine"));
    write(&folder, "b.txt", &text.replace("teh first", "teh only one"));
    let out = hook(&env, &folder).expect_code(1);
    assert!(out.stdout.contains("- files were modified by this hook"), "{out:?}");
    assert_eq!(read(&folder, "a.txt"), "the first\n2\n3\n4\n5\nlast of mine\n");
    assert_eq!(read(&folder, "b.txt"), text.replace("teh first", "teh only one"));
    assert!(out.stderr.contains("Changes by hooks to b.txt are undone"), "{out:?}");
}

#[test]
fn hooks_come_from_a_mirror_at_the_version_that_is_pinned() {
    let env = Env::new();
    let manifest =
        "- { id: greet, name: Greet, entry: greet.sh, language: script, files: '\\.md$' }\n";
    let theirs = env.repository(
        "theirs",
        &[(".pre-commit-hooks.yaml", manifest), ("greet.sh", "#!/bin/sh\necho one \"$@\"\n")],
    );
    env.run(env.command("chmod", &theirs).args(["+x", "greet.sh"])).expect_code(0);
    env.commit(&theirs, &[], "executable");
    env.git(&theirs, &["tag", "v1"]);
    env.commit(&theirs, &[("greet.sh", "#!/bin/sh\necho two\n")], "second");
    let config = "repos:\n- repo: https://git.example.invalid/somebody/theirs\n  rev: v1\n  hooks: [{ id: greet, args: [--loud], verbose: true }]\n";
    let folder = env.repository("repo", &[(CONFIG, config), ("a.md", "x")]);
    env.git(&folder, &["config", "grit.hookMirror", "../mirrors"]);
    env.git(&folder, &["config", "grit.hookNetwork", "false"]);
    let out = env.grit(&folder, &["run", "--hook", "pre-commit", "--all-files"]).expect_code(2);
    assert!(out.stderr.contains("there is no mirror of https://git.example.invalid"), "{out:?}");
    std::fs::create_dir_all(env.path("mirrors/somebody")).unwrap();
    env.git(
        &env.path(""),
        &["clone", "--quiet", "--bare", "theirs", "mirrors/somebody/theirs.git"],
    );
    let out = env.grit(&folder, &["run", "--hook", "pre-commit", "--all-files"]).expect_code(0);
    assert!(out.stdout.contains("\none --loud a.md\n"), "{out:?}");
    std::fs::remove_dir_all(env.path("mirrors")).unwrap();
    env.grit(&folder, &["run", "--hook", "pre-commit", "--all-files"]).expect_code(0);
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_touched() {
    let env = Env::new();
    let hooks = "  - { id: first, name: First, entry: touch ran, language: system, always_run: true, pass_filenames: false }\n  - { id: box, name: Box, entry: image, language: docker_image }\n";
    let folder = repository(&env, hooks, &[]);
    let out = hook(&env, &folder);
    assert_snapshot!(out.refusal(), @r"
    exit 2
    Error: the hook `box` is of the language `docker_image`, which is not done by this version; done are system, script, python, node, rust, pygrep and fail
    ");
    assert!(!folder.join("ran").exists());
    write(
        &folder,
        CONFIG,
        "repos: [{repo: local, hooks: [{id: a, name: A, entry: x, language: system, files: '(?!a)'}]}]\n",
    );
    let out = hook(&env, &folder).expect_code(2);
    assert!(out.stderr.contains("`files` of the hook `a`"), "{out:?}");
    std::fs::remove_file(folder.join(CONFIG)).unwrap();
    hook(&env, &folder).expect_code(3);
    env.grit(&folder, &["run", "--hook", "commit-msg"]).expect_code(2);
}

#[test]
fn hooks_are_skipped_chosen_and_ended_as_asked() {
    let env = Env::new();
    let begun = env.path("begun");
    let hooks = format!(
        "  - {{ id: one, name: One, entry: 'false', language: system, always_run: true }}\n  - {{ id: two, name: Two, entry: sh -c 'touch {}; sleep 1000', language: system, always_run: true, pass_filenames: false }}\n",
        begun.display()
    );
    let folder = repository(&env, &hooks, &[]);
    write(&folder, CONFIG, &format!("fail_fast: true\n{}", read(&folder, CONFIG)));
    let out = hook(&env, &folder).expect_code(1);
    assert!(!out.stdout.contains("Two"), "{out:?}");
    env.grit(&folder, &["run", "--hook", "pre-commit", "--only", "three"]).expect_code(3);
    let mut command = env.command(GRIT, &folder);
    let running = env.start(command.args(["run", "--hook", "pre-commit"]).env("SKIP", "one"));
    wait_for("the hook", || begun.exists().then_some(()).ok_or_else(|| running.stderr()));
    let out = running.end(Signal::INT).expect_code(130);
    assert!(out.stdout.starts_with("One"), "{out:?}");
    assert_eq!(env.processes(), []);
}

/// A command that reaches the registries of packages as this machine does: what its user has set up
/// for that lies in a home that a test does not have.
fn as_configured(command: &mut Command) -> &mut Command {
    let is_meant = |name: &str| {
        let name = name.to_ascii_lowercase();
        let of_tools = ["pip_", "npm_config_", "pyenv_"];
        let of_network = ["ssl_cert_file", "ssl_cert_dir", "node_extra_ca_certs"];
        of_tools.iter().any(|prefix| name.starts_with(prefix))
            || name.ends_with("_proxy")
            || of_network.contains(&name.as_str())
    };
    command.envs(std::env::vars().filter(|(name, _)| is_meant(name)));
    let home = PathBuf::from(std::env::var("HOME").unwrap_or_default());
    for (name, files) in [
        ("PIP_CONFIG_FILE", &[".config/pip/pip.conf", ".pip/pip.conf"][..]),
        ("NPM_CONFIG_USERCONFIG", &[".npmrc"]),
    ] {
        let file = files.iter().map(|file| home.join(file)).find(|file| file.is_file());
        if std::env::var_os(name).is_none() {
            command.envs(file.map(|file| (name, file)));
        }
    }
    command
}

/// Their repositories cannot be had, and the packages that they are published as can.
fn from_registry(
    repository: &str,
    rev: &str,
    hook: &str,
    files: &[(&str, &str)],
) -> (Env, PathBuf) {
    let env = Env::new();
    let config = format!(
        "repos:\n- repo: https://git.example.invalid/{repository}\n  rev: {rev}\n  hooks: [{{ id: {hook} }}]\n"
    );
    let all: Vec<(&str, &str)> =
        std::iter::once((CONFIG, &*config)).chain(files.iter().copied()).collect();
    let folder = env.repository("repo", &all);
    env.git(&folder, &["config", "grit.hookNetwork", "false"]);
    (env, folder)
}

fn all_files(env: &Env, folder: &Path) -> Out {
    let mut command = env.command(GRIT, folder);
    env.run(as_configured(command.args(["run", "--hook", "pre-commit", "--all-files"])))
}

mod needs_pip {
    use super::*;

    #[test]
    fn hooks_of_python_come_from_their_registry_at_the_same_version() {
        let files = [("a.txt", "recieve\n"), ("b.txt", "receive\n")];
        let (env, folder) =
            from_registry("codespell-project/codespell", "v2.3.0", "codespell", &files);
        let out = all_files(&env, &folder).expect_code(1);
        assert!(out.stdout.contains("a.txt:1: recieve ==> receive"), "{out:?}");
        assert!(!out.stdout.contains("b.txt"), "{out:?}");
        let programs = env.run(
            env.command("sh", &folder)
                .args(["-c", "$(find .git/grit/hooks/env -path '*/bin/codespell') --version"]),
        );
        assert_eq!(programs.expect_code(0).stdout.trim(), "2.3.0");
        write(&folder, "a.txt", "receive\n");
        env.git(&folder, &["add", "a.txt"]);
        // What was installed is there: nobody is asked again.
        env.grit(&folder, &["run", "--hook", "pre-commit", "--all-files"]).expect_code(0);
    }

    #[test]
    fn a_registry_that_is_configured_is_the_one_that_is_asked() {
        let (env, folder) =
            from_registry("adrienverge/yamllint", "v1.35.1", "yamllint", &[("a.yaml", "a: 1\n")]);
        let mut command = env.command(GRIT, &folder);
        command.args(["run", "--hook", "pre-commit", "--all-files"]);
        command.env("PIP_INDEX_URL", "http://127.0.0.1:9/simple").env("PIP_RETRIES", "0");
        let out = env.run(command.env("PIP_NO_CACHE_DIR", "1")).expect_code(2);
        assert!(out.stderr.contains("cannot be installed"), "{out:?}");
    }
}

mod needs_npm {
    use super::*;

    #[test]
    fn hooks_of_node_come_from_their_registry_at_the_same_version() {
        let files = [("a.json", "{\"a\":1}\n"), ("b.bin", "\u{0}")];
        let (env, folder) =
            from_registry("pre-commit/mirrors-prettier", "v3.1.0", "prettier", &files);
        let out = all_files(&env, &folder).expect_code(1);
        assert!(out.stdout.contains("- files were modified by this hook"), "{out:?}");
        assert_eq!(read(&folder, "a.json"), "{ \"a\": 1 }\n");
        env.git(&folder, &["add", "a.json"]);
        env.grit(&folder, &["run", "--hook", "pre-commit", "--all-files"]).expect_code(0);
    }

    #[test]
    fn a_registry_that_is_configured_is_the_one_that_is_asked() {
        let (env, folder) =
            from_registry("pre-commit/mirrors-prettier", "v3.1.0", "prettier", &[("a.json", "1")]);
        let mut command = env.command(GRIT, &folder);
        command.args(["run", "--hook", "pre-commit", "--all-files"]);
        command
            .env("npm_config_registry", "http://127.0.0.1:9/")
            .env("npm_config_fetch_retries", "0");
        let out = env.run(&mut command).expect_code(2);
        assert!(out.stderr.contains("cannot be installed"), "{out:?}");
        assert!(out.stderr.contains("ECONNREFUSED"), "{out:?}");
    }
}
