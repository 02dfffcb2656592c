//! Actions of others and other repositories: where they come from, and that they stay what they were.

use std::path::{Path, PathBuf};

use crate::env::{Env, GRIT, Out};

const WORKFLOW: &str = ".github/workflows/ci.yml";

/// `acme/hello` as a bare repository, with an action at `v1`.
fn action(env: &Env, at: &str) -> PathBuf {
    let text = "inputs: {who: {default: you}}\nruns:\n  using: composite\n  steps:\n    \
                - {shell: sh, run: \"echo hello ${{ inputs.who }}\"}\n";
    let files = [("action.yml", text), ("deep/action.yml", text)];
    let repository = env.repository("hello", &files);
    env.git(&repository, &["tag", "--annotate", "--message", "one", "v1"]);
    let bare = env.path(at);
    std::fs::create_dir_all(bare.parent().unwrap()).unwrap();
    env.git(&repository, &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    repository
}

fn user(env: &Env, steps: &str) -> PathBuf {
    let text = format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}");
    env.repository("repo", &[(WORKFLOW, &text)])
}

fn run(env: &Env, repository: &Path, mirror: Option<&str>, host: &str) -> Out {
    let mut command = env.command(GRIT, repository);
    command.arg("run").env("GRIT_ACTIONS_URL", host).env("GRIT_VERBOSE", "1");
    if let Some(mirror) = mirror {
        command.env("GRIT_ACTIONS_MIRROR", env.path(mirror));
    }
    env.run(&mut command)
}

const STEPS: &str =
    "      - {uses: acme/hello@v1, with: {who: ann}}\n      - uses: acme/hello/deep@v1\n";

#[test]
fn an_action_of_a_mirror_is_pinned_and_another_commit_for_it_is_refused() {
    let env = Env::new();
    let hello = action(&env, "mirror/acme/hello.git");
    let repository = user(&env, STEPS);
    let out = run(&env, &repository, Some("mirror"), "off").expect_code(0);
    assert!(out.stderr.contains("hello ann") && out.stderr.contains("hello you"), "{out:?}");
    let first = env.git(&hello, &["rev-parse", "HEAD"]);
    let lock = std::fs::read_to_string(repository.join("grit.lock")).unwrap();
    assert!(lock.contains("\"acme/hello@v1\"") && lock.contains(first.trim()), "{lock}");

    env.commit(&hello, &[("deep/x", "x")], "second");
    let second = env.git(&hello, &["rev-parse", "HEAD"]);
    let mirror = env.path("mirror/acme/hello.git");
    env.git(&hello, &["push", "--quiet", "--force", mirror.to_str().unwrap(), "HEAD:refs/tags/v1"]);
    let out = run(&env, &repository, Some("mirror"), "off").expect_code(1);
    assert!(out.stderr.contains(first.trim()) && out.stderr.contains(second.trim()), "{out:?}");
    assert!(!out.stderr.contains("hello ann"), "{out:?}");
    assert_eq!(std::fs::read_to_string(repository.join("grit.lock")).unwrap(), lock);

    let mut pin = env.command(GRIT, &repository);
    pin.env("GRIT_ACTIONS_MIRROR", env.path("mirror")).args(["pipeline", "pin", "acme/hello@v1"]);
    env.run(&mut pin).expect_code(0);
    let lock = std::fs::read_to_string(repository.join("grit.lock")).unwrap();
    assert!(lock.contains(second.trim()) && !lock.contains(first.trim()), "{lock}");
    run(&env, &repository, Some("mirror"), "off").expect_code(0);
}

#[test]
fn an_action_of_a_host_is_asked_for_once() {
    let env = Env::new();
    action(&env, "host/acme/hello");
    let repository = user(&env, STEPS);
    let host = format!("file://{}", env.path("host").display());
    run(&env, &repository, None, &host).expect_code(0);
    std::fs::remove_dir_all(env.path("host")).unwrap();
    let out = run(&env, &repository, None, &host).expect_code(0);
    assert!(out.stderr.contains("hello ann"), "{out:?}");
    // Without the pin the host decides again.
    std::fs::remove_file(repository.join("grit.lock")).unwrap();
    let out = run(&env, &repository, None, &host).expect_code(1);
    assert!(out.stderr.contains("does not answer"), "{out:?}");
}

#[test]
fn an_action_that_is_nowhere_is_told_so() {
    let env = Env::new();
    let repository = user(&env, "      - uses: acme/hello@v1\n");
    let out = run(&env, &repository, None, "off").expect_code(1);
    assert!(
        out.stderr.contains("in no mirror, and nothing is fetched from a host here"),
        "{out:?}"
    );
    std::fs::create_dir_all(env.path("mirror")).unwrap();
    action(&env, "mirror/acme/hello.git");
    let other = env.path("repo").join(WORKFLOW);
    let text = std::fs::read_to_string(&other).unwrap().replace("@v1", "@v9");
    env.commit(&repository, &[(WORKFLOW, &text)], "another");
    let out = run(&env, &repository, Some("mirror"), "off").expect_code(1);
    assert!(out.stderr.contains("there is no `v9` in acme/hello"), "{out:?}");
}

#[test]
fn a_checkout_takes_part_of_a_repository_its_submodules_and_others() {
    let env = Env::new();
    action(&env, "mirror/acme/hello.git");
    let steps = "      - uses: actions/checkout@v4
        with: {sparse-checkout: src, submodules: true}
      - run: test -f src/a && test ! -e docs/b && test -f src/lib/action.yml
      - {uses: actions/checkout@v4, with: {repository: acme/hello, ref: v1, path: other}}
      - run: test -f other/deep/action.yml && test -f src/a
      - {uses: actions/checkout@v4, with: {repository: acme/none, path: none}}
";
    let repository = user(&env, steps);
    env.commit(&repository, &[("src/a", "a"), ("docs/b", "b")], "files");
    let mirror = env.path("mirror/acme/hello.git");
    let add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        mirror.to_str().unwrap(),
        "src/lib",
    ];
    env.git(&repository, &add);
    let modules = std::fs::read_to_string(repository.join(".gitmodules")).unwrap();
    let modules =
        modules.replace(mirror.to_str().unwrap(), "https://example.invalid/acme/hello.git");
    env.commit(&repository, &[(".gitmodules", &modules)], "a module");
    let out = run(&env, &repository, Some("mirror"), "off").expect_code(1);
    assert!(
        out.stderr.contains("`acme/none` is another repository, and there is no mirror"),
        "{out:?}"
    );
    assert!(!out.stderr.contains("FAILED  a / Run test"), "{out:?}");
}

/// An action with something to do before the first step and after the last.
fn wrapping(folder: &str) -> Vec<(String, String)> {
    let text = "name: wrap\ninputs: {who: {default: you}}\n\
        runs: {using: node20, pre: pre.mjs, main: main.mjs, post: post.mjs}\n";
    let program = |stage: &str| {
        format!(
            "import fs from 'node:fs'\nconsole.log('{stage}', process.env.INPUT_WHO, process.env.STATE_by)\n\
             if ('{stage}' === 'ahead') fs.appendFileSync(process.env.GITHUB_STATE, 'by=ahead\\n')\n"
        )
    };
    let file = |name: &str, text: String| (format!("{folder}{name}"), text);
    vec![
        file("action.yml", text.to_owned()),
        file("pre.mjs", program("ahead")),
        file("main.mjs", program("main")),
        file("post.mjs", program("after")),
    ]
}

#[test]
fn what_actions_do_ahead_comes_before_the_first_step() {
    grit_testkit::tool("node", "nodejs");
    let env = Env::new();
    let files = |all: &[(String, String)], name: &str, more: &[(&str, &str)]| {
        let all = all.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        env.repository(name, &all.chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let wrap = files(&wrapping(""), "wrap", &[]);
    env.git(&wrap, &["tag", "v1"]);
    std::fs::create_dir_all(env.path("mirror/acme")).unwrap();
    let bare = env.path("mirror/acme/wrap.git");
    env.git(&wrap, &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo first\n      \
        - uses: actions/checkout@v4\n      - {uses: o/kept@v1, with: {who: ann}}\n      \
        - {uses: acme/wrap@v1, with: {who: bob}, if: false}\n";
    let repository = files(&wrapping(".grit/actions/o/kept@v1/"), "repo", &[(WORKFLOW, text)]);
    let out = run(&env, &repository, Some("mirror"), "off").expect_code(0);
    let said = [
        "ahead ann undefined",
        "ahead bob undefined",
        "first",
        "main ann ahead",
        "after bob ahead",
        "after ann ahead",
    ];
    let lines = out.stderr.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| said.contains(line)).collect();
    assert_eq!(lines, said, "{}", out.stderr);
}
