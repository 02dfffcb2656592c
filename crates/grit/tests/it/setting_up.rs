//! Actions that `grit run` does itself: toolchains, Docker, reports, scripts, and what is not sent.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::env::{Env, GRIT, Out};

pub const WORKFLOW: &str = ".github/workflows/ci.yml";

/// A program on the path of a test's own.
pub fn program(env: &Env, path: &str, script: &str) {
    let file = env.path(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
}

pub fn workflow(steps: &str) -> String {
    format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}")
}

/// Runs the workflow of a repository with these files, with `bin` and a tool cache before all else.
fn run(env: &Env, name: &str, steps: &str, files: &[(&str, &str)]) -> Out {
    let text = workflow(steps);
    let all: Vec<(&str, &str)> =
        std::iter::once((WORKFLOW, &*text)).chain(files.iter().copied()).collect();
    let repository = env.repository(name, &all);
    run_in(env, &repository)
}

pub fn run_in(env: &Env, repository: &Path) -> Out {
    let path = format!("{}:{}", env.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = env.command(GRIT, repository);
    command.args(["run", "--logs"]).arg(env.path("logs")).env("PATH", path);
    env.run(command.env("RUNNER_TOOL_CACHE", env.path("cache")).env("GRIT_VERBOSE", "1"))
}

/// The files of that ending beside the logs, together.
fn kept(env: &Env, ending: &str) -> String {
    let mut stack = vec![env.path("logs")];
    let mut text = String::new();
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                stack.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

fn node(env: &Env, path: &str, version: &str) {
    program(env, path, &format!("echo v{version}"));
}

#[test]
fn a_toolchain_is_of_the_version_that_is_asked_for() {
    let env = Env::new();
    node(&env, "bin/node", "98.1.0");
    node(&env, "cache/node/18.99.0/x64/bin/node", "18.99.0");
    std::fs::write(env.path("cache/node/18.99.0/x64.complete"), "").unwrap();
    let steps = "      - uses: actions/checkout@v4
      - {id: a, uses: actions/setup-node@v4, with: {node-version: 98.x}}
      - run: test \"$(node --version) ${{ steps.a.outputs.node-version }}\" = 'v98.1.0 v98.1.0'
      - {id: b, uses: actions/setup-node@v4, with: {node-version-file: .nvmrc}}
      - run: test \"$(node --version) ${{ steps.b.outputs.node-version }}\" = 'v18.99.0 v18.99.0'
";
    let out = run(&env, "repo", steps, &[(".nvmrc", "lts/hydrogen\n")]);
    assert!(out.expect_code(0).stderr.contains("cache/node/18.99.0/x64/bin/node"));
}

/// What is in the tool cache and not marked as complete is not there.
#[test]
fn no_other_version_stands_in_for_it() {
    let env = Env::new();
    node(&env, "bin/node", "20.1.0");
    node(&env, "cache/node/16.9.0/x64/bin/node", "16.9.0");
    program(&env, "bin/go", "echo go version go1.21.5 linux/amd64");
    program(&env, "bin/helm", "echo v3.13.1+g3547a4b");
    for (number, uses, told) in [
        (
            0,
            "actions/setup-node@v4, with: {node-version: 16}",
            "node 16 is asked for, and this machine has",
        ),
        (1, "actions/setup-node@v4, with: {node-version: 99.x}", "20.1.0"),
        (
            2,
            "actions/setup-go@v5, with: {go-version: '1.20'}",
            "No other version is used in its place",
        ),
        (3, "azure/setup-helm@v4, with: {version: v3.99.0}", "this machine has 3.13.1"),
        (4, "dtolnay/rust-toolchain@1.2.3", "No other version is used in its place"),
    ] {
        let steps = format!("      - {{uses: {uses}}}\n      - run: echo \"went on\"\n");
        let steps = steps.replace(
            "{uses: dtolnay",
            "{env: {RUSTUP_DIST_SERVER: 'file:///nowhere'}, uses: dtolnay",
        );
        let out = run(&env, &format!("repo{number}"), &steps, &[]).expect_code(1);
        assert!(out.stderr.contains(told), "{uses}: {out:?}");
        assert!(!out.stderr.contains("\nwent on"), "{out:?}");
    }
}

#[test]
fn several_pythons_and_a_java_are_where_their_variables_say() {
    let env = Env::new();
    let python = |version: &str| {
        let answer = format!(
            "case \"$2\" in *platform*) echo {version};; *prefix*) echo /opt/py; echo \"$0\";; *) echo ran {version};; esac"
        );
        for name in ["python", "python3"] {
            program(&env, &format!("cache/Python/{version}/x64/bin/{name}"), &answer);
        }
        std::fs::write(env.path(&format!("cache/Python/{version}/x64.complete")), "").unwrap();
    };
    python("3.98.1");
    python("3.99.0");
    let jdk = "cache/Java_Temurin-Hotspot_jdk/97.0.2-9/x64";
    for name in ["java", "javac"] {
        program(
            &env,
            &format!("{jdk}/bin/{name}"),
            "echo 'openjdk version \"97.0.2\" 2030-01-01' >&2",
        );
    }
    std::fs::write(env.path("cache/Java_Temurin-Hotspot_jdk/97.0.2-9/x64.complete"), "").unwrap();
    std::fs::write(env.path(&format!("{jdk}/release")), "IMPLEMENTOR=\"Eclipse Adoptium\"\n")
        .unwrap();
    let steps = "      - {id: p, uses: actions/setup-python@v5, with: {python-version: \"3.98\\n3.99\"}}
      - run: test \"$(python x y) ${{ steps.p.outputs.python-version }}\" = 'ran 3.99.0 3.99.0' && test \"$pythonLocation\" = /opt/py
      - {id: j, uses: actions/setup-java@v4, with: {distribution: temurin, java-version: 97}}
      - run: test -x \"$JAVA_HOME/bin/javac\" && test \"${{ steps.j.outputs.version }}\" = 97.0.2 && test \"$(command -v java)\" = \"$JAVA_HOME/bin/java\"
";
    run(&env, "repo", steps, &[]).expect_code(0);
}

/// Writes down what it is called with, and what it reads.
const DOCKER: &str = "
case \"$*\" in *--password-stdin*) printf 'in %s\\n' \"$(cat)\" >> \"$OUT\";; esac
printf '%s\\n' \"docker $*\" >> \"$OUT\"
printf 'arg %s\\n' \"$COLOUR\" >> \"$OUT\"
while [ $# -gt 0 ]; do
  if [ \"$1\" = --metadata-file ]; then
    echo '{\"containerimage.digest\":\"sha256:abc\",\"containerimage.config.digest\":\"sha256:def\"}' > \"$2\"
  fi
  shift
done";

#[test]
fn images_are_built_by_the_machines_docker() {
    let env = Env::new();
    let record = env.path("out/docker");
    program(&env, "bin/docker", &DOCKER.replace("$OUT", &record.display().to_string()));
    let steps = "      - uses: actions/checkout@v4
      - {uses: docker/login-action@v3, with: {registry: r.example, username: ann, password: hush-hush}}
      - {uses: docker/setup-buildx-action@v3, with: {driver: docker}}
      - {id: m, uses: docker/metadata-action@v5, with: {images: r.example/Shop, tags: \"type=sha,prefix=\\ntype=raw,value=edge\"}}
      - id: b
        uses: docker/build-push-action@v5
        with:
          context: .
          push: true
          tags: ${{ steps.m.outputs.tags }}
          build-args: COLOUR=red
          platforms: linux/amd64,linux/arm64
          cache-from: type=gha
          secrets: token=very-secret
      - run: test '${{ steps.b.outputs.digest }} ${{ steps.b.outputs.imageid }}' = 'sha256:abc sha256:def'
";
    run(&env, "repo", steps, &[("Dockerfile", "FROM scratch\n")]).expect_code(0);
    let said = std::fs::read_to_string(record).unwrap();
    assert!(
        said.contains("in hush-hush\ndocker login --username ann --password-stdin r.example\n"),
        "{said}"
    );
    let build = said.lines().find(|line| line.contains("buildx build")).unwrap();
    for part in [
        "--platform linux/amd64,linux/arm64",
        "--tag=r.example/shop:edge",
        "--push",
        "--build-arg=COLOUR ",
        "--secret=id=token,src=",
        "--cache-from=type=gha",
    ] {
        assert!(build.contains(part), "{part}: {build}");
    }
    assert!(build.ends_with(" ."), "{build}");
    assert!(said.contains("arg red\n"), "{said}");
    assert!(said.ends_with("docker logout r.example\narg \n"), "{said}");
    assert!(!said.contains("very-secret") && !said.contains("docker login hush"), "{said}");
}

const JUNIT: &str = r#"<testsuite name="s"><testcase classname="c" name="ok" time="1"/>
<testcase classname="c" name="bad" file="a.py" line="7"><failure message="no">why</failure></testcase></testsuite>"#;

#[test]
fn reports_are_read_shown_and_kept() {
    let env = Env::new();
    let steps = "      - uses: actions/checkout@v4
      - {id: t, uses: mikepenz/action-junit-report@v5, with: {report_paths: 'out/*.xml'}}
      - run: test '${{ steps.t.outputs.failed }} of ${{ steps.t.outputs.total }}' = '1 of 2'
      - {id: c, uses: codecov/codecov-action@v3, with: {file: ./coverage.info}}
      - run: test '${{ steps.c.outputs.coverage }}' = 50.00
      - {id: s, uses: github/codeql-action/upload-sarif@v3, with: {sarif_file: a.sarif}}
      - run: test '${{ steps.s.outputs.errors }}' = 1
      - {uses: github/codeql-action/upload-sarif@v3, with: {sarif_file: a.sarif, fail-on: error}, continue-on-error: true, id: g}
      - run: test '${{ steps.g.outcome }}' = failure
      - {uses: dorny/test-reporter@v1, with: {path: 'out/*.xml', reporter: java-junit}}
";
    let sarif = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[{"ruleId":"R1","level":"error",
"message":{"text":"bad thing"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.py"},"region":{"startLine":3}}}]}]}]}"#;
    let files = [
        ("out/a.xml", JUNIT),
        ("coverage.info", "SF:a.py\nDA:1,1\nDA:2,0\nend_of_record\n"),
        ("a.sarif", sarif),
    ];
    let out = run(&env, "repo", steps, &files).expect_code(1);
    assert!(out.stderr.contains("FAILED  a / Run dorny/test-reporter@v1"), "{out:?}");
    assert!(!out.stderr.contains("FAILED  a / Run test"), "{out:?}");
    assert!(kept(&env, "tests.json").contains("\"name\":\"bad\""));
    assert!(kept(&env, "findings.json").contains("bad thing"));
    assert!(kept(&env, "coverage.json").contains("a.py"));
    assert!(kept(&env, "summary.md").contains("c::bad"));
}

#[test]
fn a_report_that_is_missing_fails_where_it_must_be_there() {
    let env = Env::new();
    for (number, uses, told) in [
        (
            0,
            "codecov/codecov-action@v3, with: {file: none.xml, fail_ci_if_error: true}",
            "no report of coverage matches none.xml",
        ),
        (
            1,
            "dorny/test-reporter@v1, with: {path: 'none/*.xml', reporter: java-junit}",
            "no file of test results matches none/*.xml",
        ),
        (
            2,
            "github/codeql-action/upload-sarif@v3, with: {sarif_file: none.sarif}",
            "there is no `none.sarif`",
        ),
    ] {
        let out = run(&env, &format!("repo{number}"), &format!("      - {{uses: {uses}}}\n"), &[]);
        let out = out.expect_code(1);
        assert!(out.stderr.contains(told), "{uses}: {out:?}");
    }
}

/// What each reporter does where nobody says otherwise, and where somebody does.
#[test]
fn reporters_fail_where_the_actions_themselves_do() {
    const DORNY: &str = "dorny/test-reporter@v1, with: {reporter: java-junit, path";
    const MIKEPENZ: &str = "mikepenz/action-junit-report@v5, with: {report_paths";
    const ENRICOMI: &str = "EnricoMi/publish-unit-test-result-action@v2, with: {files";
    const CODECOV: &str = "codecov/codecov-action@v4, with: {files";
    let cases = [
        (DORNY, "red.xml", "failure"),
        (DORNY, "red.xml, fail-on-error: false", "success"),
        (DORNY, "none.xml", "failure"),
        (DORNY, "none.xml, fail-on-empty: false", "success"),
        (DORNY, "broken.xml, fail-on-error: false", "failure"),
        (DORNY, "green.xml, max-annotations: 51", "failure"),
        (MIKEPENZ, "red.xml", "success"),
        (MIKEPENZ, "red.xml, fail_on_failure: true", "failure"),
        (MIKEPENZ, "none.xml", "success"),
        (MIKEPENZ, "none.xml, require_tests: true", "failure"),
        (MIKEPENZ, "only.xml", "success"),
        (MIKEPENZ, "only.xml, require_passed_tests: true", "failure"),
        (MIKEPENZ, "broken.xml", "success"),
        (MIKEPENZ, "broken.xml, fail_on_parse_error: true", "failure"),
        (ENRICOMI, "red.xml", "success"),
        (ENRICOMI, "red.xml, action_fail: true", "failure"),
        (ENRICOMI, "red.xml, action_fail: true, fail_on: nothing", "success"),
        (ENRICOMI, "\"green.xml\\n!red.xml\", action_fail: true", "success"),
        (ENRICOMI, "none.xml", "success"),
        (ENRICOMI, "none.xml, action_fail_on_inconclusive: true", "failure"),
        (CODECOV, "none.info", "success"),
        (CODECOV, "none.info, fail_ci_if_error: true", "failure"),
        (CODECOV, "none.info, fail_ci_if_error: true, handle_no_reports_found: true", "success"),
        (CODECOV, "a.info, fail_ci_if_error: true", "success"),
    ];
    let (mut steps, mut seen, mut wanted) =
        ("      - uses: actions/checkout@v4\n".to_owned(), String::new(), String::new());
    for (number, (uses, with, outcome)) in cases.iter().enumerate() {
        steps += &format!(
            "      - {{id: s{number}, continue-on-error: true, uses: {uses}: {with}}}}}\n"
        );
        seen += &format!("{number}:${{{{ steps.s{number}.outcome }}}} ");
        wanted += &format!("{number}:{outcome} ");
    }
    steps += &format!("      - run: echo 'seen {seen}'\n");
    let only = r#"<testsuite name="s"><testcase name="bad"><failure/></testcase></testsuite>"#;
    let green = r#"<testsuite name="s"><testcase name="ok"/></testsuite>"#;
    let files = [
        ("red.xml", JUNIT),
        ("only.xml", only),
        ("green.xml", green),
        ("broken.xml", "<testsuite>"),
        ("a.info", "SF:a.py\nDA:1,1\nend_of_record\n"),
    ];
    let env = Env::new();
    let out = run(&env, "repo", &steps, &files).expect_code(0);
    let said = out.stderr.lines().find_map(|line| line.strip_prefix("seen ")).unwrap();
    assert_eq!(said.trim(), wanted.trim());
}

#[test]
fn what_is_not_delivered_is_said_and_kept() {
    let env = Env::new();
    let steps = "      - uses: actions/checkout@v4
      - id: r
        uses: softprops/action-gh-release@v2
        with: {tag_name: v1.2.3, name: One, files: 'dist/*', body_path: notes.md}
      - {uses: 8398a7/action-slack@v3, with: {status: success, text: Build is green}}
      - run: test '${{ steps.r.outputs.delivered }}' = false
";
    let files = [("dist/a.tgz", "a"), ("notes.md", "what is new")];
    let out = run(&env, "repo", steps, &files).expect_code(0);
    assert!(
        out.stderr.contains("Not delivered: the release v1.2.3 \"One\" with dist/a.tgz"),
        "{out:?}"
    );
    assert!(out.stderr.contains("Not delivered: a Slack message: Build is green"), "{out:?}");
    let kept = kept(&env, "undelivered.json");
    assert!(kept.contains("what is new") && kept.contains("Build is green"), "{kept}");
}

#[test]
fn scripts_find_the_toolkit_and_cannot_reach_the_service() {
    let env = Env::new();
    let steps = "      - uses: actions/checkout@v4
      - id: s
        uses: actions/github-script@v7
        with:
          script: |
            const { stdout } = await exec.getExecOutput('sh', ['-c', 'echo \"$1\"', 'sh', 'a b'], { silent: true });
            core.setOutput('said', stdout.trim());
            core.exportVariable('COLOUR', 'blue');
            await io.mkdirP('made/deep');
            const found = await (await glob.create('*.txt\\n!b.txt')).glob();
            core.setOutput('found', found.map((file) => require('path').basename(file)).join());
            await core.summary.addHeading('Seen').write();
            return { ref: context.ref, repo: context.repo.repo };
      - run: test '${{ steps.s.outputs.said }}/${{ steps.s.outputs.found }}' = 'a b/a.txt' && test \"$COLOUR\" = blue && test -d made/deep
      - run: test '${{ fromJSON(steps.s.outputs.result).ref }}' = refs/heads/main
      - {uses: actions/github-script@v7, with: {script: \"await github.rest.issues.createComment({body: 'hello'})\"}}
";
    let out = run(&env, "repo", steps, &[("a.txt", ""), ("b.txt", "")]).expect_code(1);
    assert!(!out.stderr.contains("FAILED  a / Run test"), "{out:?}");
    assert!(out.stderr.contains("not delivered: github.rest.issues.createComment"), "{out:?}");
    assert!(kept(&env, "summary.md").contains("<h1>Seen</h1>"));
}
