//! Where a secret must never be: whatever a step makes of it, and wherever it puts it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::env::{Env, GRIT, Running, wait_for};
use crate::hosted::Server;

const CI: &str = ".github/workflows/ci.yml";
const WORD: &str = "Pa's/\"w+o\"<r>d & 100%, or: so";
const KEY: &str = "-----BEGIN-----\nc2VjcmV0LW9uZQ\nc2VjcmV0LXR3bw\n-----END-----";
const NAME: &str = "name-of-nobody";

/// The same, as a file for `--secrets`.
const FILE: &str = r#"# of the test
WORD="Pa's/\"w+o\"<r>d & 100%, or: so"
KEY='-----BEGIN-----
c2VjcmV0LW9uZQ
c2VjcmV0LXR3bw
-----END-----'
NAME=name-of-nobody
"#;

/// How programs of this machine show a text; what they say is in `said`.
const SHOW: &str = r#"
{
printf '%s\n' "$S"
printf '%s' "$S" | base64 --wrap=0; echo
printf 'u%s' "$S" | base64 --wrap=0; echo
printf 'us%s' "$S" | base64 --wrap=0; echo
printf 'u%s' "$S" | base64 --wrap=0 | tr '+/' '-_'; echo
printf '%s' "$S" | od -An -v -tx1 | tr -d ' \n'; echo
printf '%s' "$S" | od -An -v -tx1 | tr -d ' \n' | tr a-f A-F; echo
printf '%s' "$S" | sed "s/%/%25/g; s/ /%20/g; s/'/%27/g; s/\"/%22/g; s/&/%26/g; s/</%3C/g; s/>/%3E/g; s/+/%2B/g; s/,/%2C/g; s/:/%3A/g; s#/#%2F#g"; echo
printf '%s' "$S" | sed 's/[\\"]/\\&/g'; echo
printf '%s' "$S" | sed "s/'/'\\\\''/g"; echo
printf '%s' "$S" | sed "s/'/''/g"; echo
printf '%s' "$S" | sed "s/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/\"/\&quot;/g; s/'/\&apos;/g"; echo
printf '%s' "$S" | sed "s/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/\"/\&#34;/g; s/'/\&#39;/g"; echo
} > said
while read -r line; do
  printf '%s\n' "$line"
  printf '%s' "$line" | cut -c1-9 | tr -d '\n'; sleep 0.01; printf '%s\n' "$line" | cut -c10-
  echo "::warning title=T $N::M $line"
  echo "::error file=src/a.rs,line=1::$line"
  echo "$line" >> "$GITHUB_STEP_SUMMARY"
done < said
"#;

/// Its steps: they show the secrets, give them to each other, name things by them, and wait.
const STEPS: &str = r#"
      - uses: actions/checkout@v4
      - name: Show
        run: |
SHOW
      - { name: Key, run: 'printf "%s\n" "$K"; printf "%s" "$K" | base64; echo "::notice::$K"' }
      - { name: Path, run: 'echo "$HOME/bin" >> "$GITHUB_PATH"' }
      - { name: Login, uses: docker/login-action@v3, with: { username: ann, password: '${{ secrets.WORD }}' } }
      - { name: Keep, continue-on-error: true, uses: actions/upload-artifact@v4, with: { name: 'a-${{ secrets.NAME }}', path: src } }
      - name: Give
        id: give
        run: |
          printf 'key<<E\n%s\nE\n' "$K" >> "$GITHUB_OUTPUT"
          echo "coded=$(printf %s "$S" | base64)" >> "$GITHUB_OUTPUT"
          echo "WORD_AGAIN=$S" >> "$GITHUB_ENV"
          echo "left=$N" >> "$GITHUB_STATE"
          echo "/opt/$N" >> "$GITHUB_PATH"
      - name: Take ${{ steps.give.outputs.key }}
        env: { KEY_AGAIN: '${{ steps.give.outputs.key }}' }
        run: test "$KEY_AGAIN" = "$K"; test "$WORD_AGAIN" = "$S"; echo "taken from $PATH"
      - name: Wait
        run: 'touch "$HOME/waiting"; until test -e "$HOME/go"; do sleep 0.05; done; echo ${{ secrets.NAME }}'
  b:
    needs: a
    runs-on: ubuntu-latest
    steps: [{ name: Other, run: 'test -z "${{ needs.a.outputs.key }}"; echo "other got ${{ needs.a.outputs.plain }}"' }]
"#;

fn workflow() -> String {
    let show = SHOW.trim().lines().map(|line| format!("          {line}"));
    let steps = STEPS.replace("SHOW", &show.collect::<Vec<_>>().join("\n"));
    format!(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env: {{S: '${{{{ secrets.WORD }}}}', \
         K: '${{{{ secrets.KEY }}}}', N: '${{{{ secrets.NAME }}}}'}}\n    outputs: \
         {{key: '${{{{ steps.give.outputs.key }}}}', plain: yes}}\n    steps:{steps}"
    )
}

/// What tells a secret, in any of its notations: the beginning and the end of each would do.
const TELLING: &[&str] = &[
    // As it is, and where only quotes, ampersands and brackets are written otherwise.
    "Pa's/",
    "Pa''s/",
    "Pa'\\''s/",
    "Pa&apos;s",
    "Pa&#39;s",
    "100%, or",
    "\"w+o\"",
    // Hexadecimal and URLs.
    "506127732f22",
    "506127732F22",
    "Pa%27s",
    // Base64 after zero, one and two bytes.
    "UGEncy8id",
    "BhJ3MvInc",
    "QYSdzLyJ3",
    // Lines of the key, and the key in base64.
    "c2VjcmV0LW9uZQ",
    "c2VjcmV0LXR3bw",
    "LS0tLS1CRUdJTi0tLS0t",
    NAME,
];

#[track_caller]
fn tells_nothing(place: &str, text: &str) {
    let seen = TELLING.iter().find(|telling| text.contains(*telling));
    let around = seen.and_then(|telling| text.find(telling)).map(|at| {
        let (from, to) = (at.saturating_sub(300), at + 300);
        text[text.floor_char_boundary(from)..text.floor_char_boundary(to)].to_owned()
    });
    assert_eq!(seen, None, "{place}: {around:?}");
}

#[test]
fn a_secret_is_nowhere_whatever_a_step_makes_of_it() {
    let env = Env::new();
    docker(&env);
    let repository = env.repository("repo", &[(CI, &workflow()), ("src/a.rs", "x\n")]);
    let (secrets, logs) = (env.path("secrets.env"), env.path("logs"));
    std::fs::write(&secrets, FILE).unwrap();
    let mut command = env.command(GRIT, &repository);
    command.args(["run", "--json-lines", "--secrets"]).arg(&secrets).arg("--logs").arg(&logs);
    let running = env.start(&mut command);
    let processes = while_it_waits(&env, &running);
    let out = running.wait().expect_code(0);
    let events: Vec<Value> =
        out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check_shown(&events);
    let kept = everything(&logs, |_| true);
    check_logs(&kept);
    tells_nothing("the logs and what lies beside them", &kept);
    tells_nothing("the events", &out.stdout);
    tells_nothing("what is shown", &out.stderr);
    tells_nothing("the processes", &processes);
}

#[test]
fn a_server_keeps_no_secret_that_can_be_read() {
    let env = Env::new();
    docker(&env);
    let server = Server::start(&env, &[(CI, &workflow()), ("src/a.rs", "x\n")]);
    for (name, value) in [("WORD", WORD), ("KEY", KEY), ("NAME", NAME)] {
        server.secret(&[name], value);
    }
    let short = env.path("short");
    std::fs::write(&short, "abc\n").unwrap();
    let refused = server.grit(&["secret", "set", "SHORT", "--body-file", &short.to_string_lossy()]);
    assert!(refused.expect_code(2).stderr.contains("at least 4 characters"));
    server.push(&["main"]);
    let data = server.data();
    let processes = while_it_waits(&env, &server.up);
    // The workspace of a job that runs holds its script, for its processes to read.
    let during = everything(&data, |path| !path.starts_with(data.join("work")));
    let run = server.over(1).remove(0);
    assert_eq!(run["status"], "success", "{}\n{run:#}", server.said(&run));
    let told = server.grit(&["pipeline", "runs", run["id"].as_str().unwrap(), "--json"]);
    server.end();
    let after = everything(&data, |_| true);
    check_logs(&after);
    assert!(after.contains("run.step_finished"), "the journal was looked through");
    tells_nothing("the data folder while a job runs", &during);
    tells_nothing("the data folder", &after);
    tells_nothing("what the API tells", &told.expect_code(0).stdout);
    tells_nothing("the processes", &processes);
}

const PULLED: &str = r#"
on: pull_request
permissions: write-all
jobs:
  a:
    runs-on: ubuntu-latest
    env: { N: '${{ secrets.NAME }}' }
    steps:
      - { name: secret, if: "env.N != ''", run: 'true' }
      - { name: identity, run: 'test -n "$ACTIONS_ID_TOKEN_REQUEST_URL$ACTIONS_ID_TOKEN_REQUEST_TOKEN"', continue-on-error: true }
      - name: said
        env: { ALL: '${{ toJSON(secrets) }}' }
        run: echo "got [$N] [${{ secrets.NAME }}], in all $(printf %s "$ALL" | jq '[.[] | length] | add')"
"#;

/// What its steps came to, and what they said.
fn pulled_from(head: &str) -> (Vec<String>, String) {
    let env = Env::new();
    let repository = env.repository("repo", &[(CI, PULLED)]);
    let event = serde_json::json!({"event": "pull_request", "payload": {"action": "opened", "number": 3,
        "pull_request": {"number": 3, "base": {"ref": "main", "repo": {"full_name": "o/r"}},
            "head": {"ref": "topic", "repo": {"full_name": head}}}}});
    std::fs::write(env.path("pull.json"), event.to_string()).unwrap();
    std::fs::write(env.path("secrets"), FILE).unwrap();
    let path = |name: &str| env.path(name).display().to_string();
    let (event, secrets, logs) = (path("pull.json"), path("secrets"), path("logs"));
    let args = ["run", "--json", "--event", &event, "--secrets", &secrets, "--logs", &logs];
    let document = env.grit(&repository, &args).expect_code(0).document();
    let steps = document["data"][0]["jobs"][0]["steps"].as_array().unwrap().clone();
    let endings = steps.iter().map(|step| step["ending"].as_str().unwrap().to_owned()).collect();
    let warned = env.grit(&repository, &["pipeline", "lint"]);
    assert!(warned.stdout.contains("W0112"), "who writes it is told: {warned:?}");
    (endings, everything(&env.path("logs"), |_| true))
}

#[test]
fn a_pull_request_from_outside_gets_no_secret_and_no_identity() {
    let (endings, said) = pulled_from("fork/r");
    assert_eq!(endings, ["skipped", "failure", "success"]);
    assert!(said.contains("got [] [], in all 0\n"), "{said}");
    let (endings, said) = pulled_from("o/r");
    assert_eq!(endings, ["success", "success", "success"]);
    assert!(said.contains("got [***] [***], in all 102\n"), "{said}");
    tells_nothing("the log", &said);
}

/// The command lines of everything that runs while the last step of the first job does.
fn while_it_waits(env: &Env, running: &Running) -> String {
    wait_for("the last step", || {
        env.path("home/waiting").exists().then_some(()).ok_or_else(|| running.stderr())
    });
    let processes = format!("{:?}", env.processes());
    std::fs::write(env.path("home/go"), "").unwrap();
    assert!(processes.contains("bash"), "{processes}");
    processes
}

/// Each was said, and is seen to have been: nothing is hidden by not being there.
fn check_shown(events: &[Value]) {
    let of = |name: &str| {
        let is = |event: &&Value| event["data"]["step"]["title"].as_str().unwrap_or("") == name;
        let step = events.iter().filter(|event| event["event"] == "step.finished").find(is);
        step.unwrap_or_else(|| panic!("{name}: {events:#?}"))["data"]["step"].clone()
    };
    let show = of("Show");
    assert!(show["annotations"]["kept"].as_array().unwrap().len() >= 10, "{show:#}");
    assert!(show["summary_bytes"].as_u64().unwrap() >= 13 * 4, "{show:#}");
    assert_eq!(of("Keep")["ending"], "failure", "an artifact with a secret for a name");
    assert_eq!(of("Take ***")["ending"], "success");
    let job = events.iter().find(|event| event["event"] == "job.finished").unwrap();
    let said = &job["data"]["annotations"]["kept"][0]["message"];
    assert!(said.as_str().unwrap().contains("The output `key` is left empty"), "{job:#}");
}

fn check_logs(kept: &str) {
    for line in ["***", "in the list: login", "taken from /opt/***:", "other got yes"] {
        assert!(kept.contains(line), "{line}: {kept}");
    }
}

/// Says how it is called, for all to see.
fn docker(env: &Env) {
    let path = env.path("home/bin/docker");
    std::fs::create_dir_all(env.path("home/bin")).unwrap();
    std::fs::write(&path, "#!/bin/sh\ncat > /dev/null\necho \"in the list: $*\"\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// The names and the contents of all files below a folder that are wanted.
fn everything(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> String {
    let (mut text, mut folders) = (String::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            text.push_str(&entry.file_name().to_string_lossy());
            match entry.path() {
                path if !is_wanted(&path) => {}
                path if path.is_dir() => folders.push(path),
                // A file may go while we look, and a socket cannot be read.
                path => text
                    .push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default())),
            }
        }
    }
    text
}
