//! `cache:` of the setup actions: what a package manager fetched is there for the next run.

use std::fs;
use std::path::Path;

use crate::env::{Env, Out};
use crate::setting_up::{WORKFLOW, program, run_in, workflow};

/// Runs the steps in a repository with these files, which stays for the next time.
fn run(env: &Env, steps: &str, files: &[(&str, &str)]) -> Out {
    let folder = env.path("repo");
    let text = workflow(&format!("      - uses: actions/checkout@v4\n{steps}"));
    let all: Vec<(&str, &str)> =
        std::iter::once((WORKFLOW, &*text)).chain(files.iter().copied()).collect();
    if folder.exists() {
        env.commit(&folder, &all, "again");
    } else {
        env.repository("repo", &all);
    }
    run_in(env, &folder)
}

fn forget(path: &Path) {
    if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
}

const NPM: &str = "      - {id: n, uses: actions/setup-node@v4, with: {cache: npm}}
      - run: echo \"hit ${{ steps.n.outputs.cache-hit }}, there $(cat ~/.npm/_cacache/x)\"
      - run: mkdir -p ~/.npm/_cacache && echo fetched > ~/.npm/_cacache/x
";

#[test]
fn what_npm_fetched_is_kept_by_its_lock_file_and_restored() {
    let env = Env::new();
    program(&env, "bin/node", "echo v98.1.0");
    program(&env, "bin/npm", "mkdir -p ~/.npm/_logs; echo warning >&2; echo \"$HOME/.npm\"");
    let (home, one) = (env.path("home/.npm"), ("package-lock.json", "{}"));
    let first = run(&env, NPM, &[one]).expect_code(0);
    assert!(first.stderr.contains("hit false, there\n"), "{first:?}");
    assert!(first.stderr.contains("Cache saved with key: node-cache-Linux-"), "{first:?}");
    forget(&home);
    let second = run(&env, NPM, &[one]).expect_code(0);
    assert!(second.stderr.contains("hit true, there fetched"), "{second:?}");
    assert!(second.stderr.contains("it is not kept again"), "{second:?}");
    // The lock file is another, and so is the key; what its beginning finds is a start.
    forget(&home);
    let third = run(&env, NPM, &[("package-lock.json", "{ }")]).expect_code(0);
    assert!(third.stderr.contains("hit true, there fetched"), "{third:?}");
    assert!(third.stderr.contains("Cache saved with key: node-cache-Linux-"), "{third:?}");
}

/// Nobody wants a folder of their own put back to what it was, or copied as a whole.
#[test]
fn what_the_machine_has_already_is_used_as_it_is() {
    let env = Env::new();
    program(&env, "bin/node", "echo v98.1.0");
    program(&env, "bin/npm", "echo \"$HOME/.npm\"");
    fs::create_dir_all(env.path("home/.npm/_cacache")).unwrap();
    fs::write(env.path("home/.npm/_cacache/x"), "own").unwrap();
    let out = run(&env, NPM, &[("package-lock.json", "{}")]).expect_code(0);
    assert!(out.stderr.contains("hit false, there own"), "{out:?}");
    assert!(out.stderr.contains("home/.npm is this machine's own"), "{out:?}");
    assert!(!out.stderr.contains("Cache saved"), "{out:?}");
}

#[test]
fn a_lock_file_that_is_missing_fails_the_step_as_the_action_does() {
    let env = Env::new();
    program(&env, "bin/node", "echo v98.1.0");
    program(&env, "bin/npm", "echo \"$HOME/.npm\"");
    let python =
        "case \"$2\" in *platform*) echo 3.98.1;; *prefix*) echo /opt/py; echo \"$0\";; esac";
    for name in ["python", "python3"] {
        program(&env, &format!("cache/Python/3.98.1/x64/bin/{name}"), python);
    }
    fs::write(env.path("cache/Python/3.98.1/x64.complete"), "").unwrap();
    for (uses, told) in [
        ("actions/setup-node@v4, with: {cache: npm}", "Dependencies lock file is not found in"),
        (
            "actions/setup-node@v4, with: {cache: npm, cache-dependency-path: web/none.json}",
            "Some specified paths were not resolved",
        ),
        ("actions/setup-node@v4, with: {cache: bower}", "Caching for 'bower' is not supported"),
        (
            "actions/setup-python@v5, with: {python-version: '3.98', cache: pip}",
            "matched to [**/requirements.txt or **/pyproject.toml]",
        ),
        (
            "actions/setup-python@v5, with: {python-version: '3.98', cache: poetry}",
            "matched to [**/poetry.lock], make sure you have checked out",
        ),
    ] {
        let out = run(&env, &format!("      - {{uses: {uses}}}\n"), &[]).expect_code(1);
        assert!(out.stderr.contains(told), "{uses}: {out:?}");
    }
}

/// Each tool is asked for its folder, in the version that was set up, and each has its own key.
#[test]
fn every_setup_action_keeps_what_its_tool_says() {
    let env = Env::new();
    let python =
        "case \"$2\" in *platform*) echo 3.98.1;; *prefix*) echo /opt/py; echo \"$0\";; esac";
    for name in ["python", "python3"] {
        program(&env, &format!("cache/Python/3.98.1/x64/bin/{name}"), python);
    }
    program(&env, "cache/Python/3.98.1/x64/bin/pip", "echo \"$HOME/pips\"");
    fs::write(env.path("cache/Python/3.98.1/x64.complete"), "").unwrap();
    let go = "case \"$*\" in version) echo go version go1.98.1 linux/amd64;; *GOMODCACHE) echo \"$HOME/mods\";; *GOCACHE) echo \"$HOME/builds\";; esac";
    program(&env, "bin/go", go);
    let jdk = "cache/Java_Temurin-Hotspot_jdk/97.0.2-9/x64";
    for name in ["java", "javac"] {
        let said = "echo 'openjdk version \"97.0.2\" 2030-01-01' >&2";
        program(&env, &format!("{jdk}/bin/{name}"), said);
    }
    fs::write(env.path("cache/Java_Temurin-Hotspot_jdk/97.0.2-9/x64.complete"), "").unwrap();
    program(
        &env,
        "bin/dotnet",
        "case \"$*\" in *list-sdks) echo '98.0.100 [/opt/dotnet/sdk]';; *) echo \"global-packages: $HOME/nugets/\";; esac",
    );
    program(&env, "bin/ruby", "printf 98.3.0");
    program(
        &env,
        "bin/bundle",
        "case \"$1\" in install) test -d vendor/bundle && echo \"gems are there\"; mkdir -p vendor/bundle; echo gem > vendor/bundle/x;; esac",
    );
    let files = [
        ("sub/requirements.txt", "x\n"),
        ("web/go.sum", "x\n"),
        ("pom.xml", "<x/>"),
        ("packages.lock.json", "{}"),
        ("Gemfile", "x"),
        ("Gemfile.lock", "y"),
    ];
    let steps = "      - {id: p, uses: actions/setup-python@v5, with: {python-version: '3.98', cache: pip}}
      - {id: g, uses: actions/setup-go@v5, with: {go-version: '1.98', cache-dependency-path: web/go.sum}}
      - {id: j, uses: actions/setup-java@v4, with: {distribution: temurin, java-version: 97, cache: maven}}
      - {id: d, uses: actions/setup-dotnet@v4, with: {dotnet-version: 98.0.x, cache: true}}
      - {uses: ruby/setup-ruby@v1, with: {ruby-version: '98.3', bundler-cache: true}}
      - run: echo \"hits ${{ steps.p.outputs.cache-hit }} ${{ steps.g.outputs.cache-hit }} ${{ steps.j.outputs.cache-hit }} ${{ steps.d.outputs.cache-hit }}\"
      - run: cat ~/pips/x ~/mods/x ~/builds/x ~/.m2/repository/x ~/nugets/x || true
      - run: for folder in pips mods builds .m2/repository nugets; do mkdir -p ~/$folder; echo $folder > ~/$folder/x; done
";
    let first = run(&env, steps, &files).expect_code(0);
    assert!(first.stderr.contains("hits false false false false"), "{first:?}");
    for key in [
        "setup-python-Linux-",
        "-python-3.98.1-pip-",
        "setup-go-Linux-",
        "-go-1.98.1-",
        "setup-java-Linux-",
        "dotnet-cache-Linux-",
        "setup-ruby-bundler-cache-v6-Linux-",
    ] {
        assert!(first.stderr.contains(key), "{key}: {first:?}");
    }
    for folder in ["pips", "mods", "builds", ".m2", "nugets"] {
        forget(&env.path(&format!("home/{folder}")));
    }
    let second = run(&env, steps, &files).expect_code(0);
    assert!(second.stderr.contains("hits true true true true"), "{second:?}");
    assert!(second.stderr.contains("pips\nmods\nbuilds\n.m2/repository\nnugets\n"), "{second:?}");
    assert!(second.stderr.contains("gems are there"), "{second:?}");
}

#[test]
fn go_without_a_lock_file_says_so_and_goes_on() {
    let env = Env::new();
    program(&env, "bin/go", "echo go version go1.98.1 linux/amd64");
    let steps = "      - {uses: actions/setup-go@v5, with: {go-version: '1.98'}}\n";
    let out = run(&env, steps, &[]).expect_code(0);
    assert!(out.stderr.contains("Supported file pattern: go.sum"), "{out:?}");
    let steps = "      - {uses: actions/setup-go@v5, with: {go-version: '1.98', cache: false}}\n";
    let out = run(&env, steps, &[]).expect_code(0);
    assert!(!out.stderr.contains("go.sum"), "{out:?}");
}
