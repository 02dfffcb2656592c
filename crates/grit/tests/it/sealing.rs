//! Pipelines of a server: what starts them, what their jobs are given, and what they wait for.

use crate::env::{Env, wait_for};
use crate::hosted::{Server, job, named};

const DELIVER: &str = r#"
name: deliver
on: push
permissions: { contents: read }
jobs:
  plain:
    runs-on: ubuntu-latest
    steps:
      - env: { TOKEN: '${{ secrets.TOKEN }}', ONLY: '${{ secrets.ONLY_THERE }}' }
        run: |
          echo "plain $(printf %s "$TOKEN" | sha256sum | cut -c1-8) [$ONLY] ${{ vars.COLOUR }}"
          echo "shown: $TOKEN $(printf %s "$TOKEN" | base64)"
  live:
    runs-on: ubuntu-latest
    environment: { name: Live, url: 'https://${{ vars.COLOUR }}.example' }
    steps:
      - env: { TOKEN: '${{ secrets.TOKEN }}', ONLY: '${{ secrets.ONLY_THERE }}' }
        run: |
          echo "live $(printf %s "$TOKEN" | sha256sum | cut -c1-8) ${#ONLY} ${{ vars.COLOUR }}"
      - env: { GH: '${{ github.token }}' }
        run: |
          test "$GH" = "$GRIT_TOKEN" && echo "one token"
          ask() { curl -s -o answer -w '%{http_code}' -H "Authorization: Bearer $GH" "$@"; }
          echo "read $(ask $GRIT_SERVER/api/v1/runs)"
          echo "start $(ask --json '{"file":"deliver.yml"}' $GRIT_SERVER/api/v1/pipelines/dispatches)"
          echo "artifact $(ask --json '{"image":"x","digest":"sha256:DIGEST"}' $GRIT_SERVER/api/v1/artifacts)"
          echo "secrets $(ask $GRIT_SERVER/api/v1/secrets)"
"#;

#[test]
fn secrets_reach_the_jobs_that_they_are_for_and_nobody_else() {
    let env = Env::new();
    let deliver = DELIVER.replace("DIGEST", &"0".repeat(64));
    let server = Server::start(&env, &[(".github/workflows/deliver.yml", &*deliver)]);
    let (shared, own, only) = ("shared-s3cret-value", "own-s3cret-value", "only-s3cret-value");
    server.secret(&["token"], &format!("{shared}\n"));
    server.secret(&["TOKEN", "--env", "live"], own);
    server.secret(&["ONLY_THERE", "--env", "LIVE"], only);
    server.grit(&["variable", "set", "COLOUR", "red"]).expect_code(0);
    server.grit(&["variable", "set", "COLOUR", "blue", "--env", "live"]).expect_code(0);
    let listed = server.grit(&["secret", "list"]).expect_code(0);
    assert_eq!(listed.stdout, "TOKEN\n");
    server.grit(&["secret", "set", "GITHUB_X", "--body-file", "README"]).expect_code(2);
    server.push(&["main"]);
    let runs = server.over(1);
    let said = server.said(&runs[0]);
    assert_eq!(runs[0]["status"], "success", "{said}\n{:#}", runs[0]);
    let start = |text: &str| {
        let out = env.run(
            env.command("sh", &server.repository)
                .args(["-c", &format!("printf %s {text} | sha256sum | cut -c1-8 | tr -d '\\n'")]),
        );
        out.expect_code(0).stdout
    };
    assert!(said.contains(&format!("plain {} [] red", start(shared))), "{said}");
    assert!(said.contains(&format!("live {} {} blue", start(own), only.len())), "{said}");
    for line in ["one token", "read 200", "start 403", "artifact 403", "secrets 403", "shown: ***"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    let live = job(&runs[0], "live");
    assert_eq!(
        (&live["environment"], &live["url"]),
        (&"Live".into(), &"https://blue.example".into())
    );
    // Neither a log nor anything that the server keeps holds a value.
    let data = server.data();
    for value in [shared, own, only] {
        let found = env.run(env.command("grep", &data).args(["-rlaF", value, "."]));
        assert_eq!((found.code, found.stdout.as_str()), (Some(1), ""), "{value}");
    }
    server.grit(&["secret", "remove", "TOKEN", "--env", "live"]).expect_code(0);
    server.grit(&["secret", "remove", "TOKEN", "--env", "live"]).expect_code(3);
    server.end();
}

const PATHS: &str = "name: paths\non: { push: { paths: ['src/**'] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps:\n      \
    - run: echo \"${{ github.event.head_commit.message }} by ${{ github.event.pusher.name }}\"\n";
const BY_HAND: &str = "name: hand\non:\n  workflow_dispatch:\n    inputs:\n      \
    count: { type: number, required: true }\n  repository_dispatch: { types: [poke] }\n\
    jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      \
    - run: echo \"count ${{ inputs.count == 41 }} ${{ github.event.client_payload.word }}\"\n";
const AFTER: &str = "name: after\non: { workflow_run: { workflows: [paths], types: [completed] } }\n\
    jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      \
    - run: echo \"after ${{ github.event.workflow_run.conclusion }}\"\n";
const TAGGED: &str = "name: tagged\non: { push: { tags: ['v*'] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps: [{ run: 'echo tag ${{ github.ref_name }}' }]\n";

#[test]
fn what_starts_a_pipeline_is_what_its_file_says() {
    let env = Env::new();
    let files = [
        (".github/workflows/paths.yml", PATHS),
        (".github/workflows/hand.yml", BY_HAND),
        (".github/workflows/after.yml", AFTER),
        (".github/workflows/tagged.yml", TAGGED),
        ("src/a", "1"),
    ];
    let server = Server::start(&env, &files);
    server.push(&["main"]);
    let runs = server.over(2);
    assert!(server.said(named(&runs, "paths")).contains("first by owner"), "{runs:#?}");
    assert!(server.said(named(&runs, "after")).contains("after success"));
    server.commit(&[("docs/a", "1")], "docs only");
    server.push(&["main"]);
    server.commit(&[("src/a", "2")], "source");
    server.push(&["main"]);
    let runs = server.over(4);
    let paths = runs.iter().filter(|run| run["name"] == "paths").count();
    assert_eq!(paths, 2, "the push that changed docs alone started nothing: {runs:#?}");
    env.git(&server.repository, &["tag", "v1"]);
    server.push(&["v1"]);
    let runs = server.over(5);
    assert!(server.said(named(&runs, "tagged")).contains("tag v1"));
    server.grit(&["pipeline", "start", "hand.yml", "--input", "count=many"]).expect_code(2);
    server.grit(&["pipeline", "start", "paths.yml"]).expect_code(2);
    server.grit(&["pipeline", "start", "none.yml"]).expect_code(3);
    server.grit(&["pipeline", "start", "hand.yml", "--input", "count=41"]).expect_code(0);
    let runs = server.over(6);
    assert!(server.said(named(&runs, "hand")).contains("count true"));
    server.end();
}

const ONE_AT_A_TIME: &str = "name: one\non: push\nconcurrency: { group: Deploy }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps:\n      \
    - run: while [ ! -e \"$GATE\" ]; do sleep 0.1; done\n        \n";

#[test]
fn of_a_concurrency_group_one_runs_and_the_newest_waits() {
    let env = Env::new();
    let gate = env.path("gate");
    let workflow = ONE_AT_A_TIME.replace("$GATE", &gate.display().to_string());
    let server = Server::start(&env, &[(".github/workflows/one.yml", &*workflow)]);
    server.push(&["main"]);
    server.wait(1, |run| job(run, "a")["state"] == "running");
    server.commit(&[("a", "2")], "second");
    server.push(&["main"]);
    let waits = server.wait(2, |run| run["status"] == "running" || run["status"] == "waiting");
    assert_eq!(waits[0]["why"], "for its turn in the concurrency group Deploy", "{waits:#?}");
    server.commit(&[("a", "3")], "third");
    server.push(&["main"]);
    let three = wait_for("the second is replaced", || {
        let runs = server.runs();
        let replaced = runs.len() == 3 && runs[1]["status"] == "cancelled";
        if replaced { Ok(runs) } else { Err(format!("{runs:#?}")) }
    });
    assert_eq!(three[1]["why"], "a newer one of its concurrency group took its place");
    assert_eq!((&three[0]["status"], &three[2]["status"]), (&"waiting".into(), &"running".into()));
    assert_eq!(job(&three[0], "a")["state"], "waiting");
    std::fs::write(gate, "").unwrap();
    let runs = server.over(3);
    let statuses: Vec<&str> = runs.iter().filter_map(|run| run["status"].as_str()).collect();
    assert_eq!(statuses, ["success", "cancelled", "success"]);
    let [last, _, first] = &runs[..] else { panic!("{runs:#?}") };
    assert!(job(last, "a")["started"].as_i64() >= first["completedAt"].as_i64(), "{runs:#?}");
    server.end();
}

const GUARDED: &str = "name: guarded\non: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    \
    outputs: { word: '${{ steps.s.outputs.word }}' }\n    \
    steps: [{ id: s, run: 'echo word=kept >> $GITHUB_OUTPUT' }]\n  \
    deploy:\n    needs: test\n    runs-on: ubuntu-latest\n    environment: production\n    \
    steps: [{ run: 'echo got ${{ needs.test.outputs.word }}; test -e $GATE' }]\n";
const PROTECTED: &str = "environments:\n  production:\n    protection: { approval: { min: 1, distinct: false }, refs: main }\n";

#[test]
fn a_job_waits_for_an_approval_and_runs_once_more_alone() {
    let env = Env::new();
    let gate = env.path("gate");
    let workflow = GUARDED.replace("$GATE", &gate.display().to_string());
    let files = [(".github/workflows/guarded.yml", &*workflow), ("grit.yaml", PROTECTED)];
    let server = Server::start(&env, &files);
    server.push(&["main"]);
    let runs = server.wait(1, |run| job(run, "deploy")["waiting"].is_string());
    let id = runs[0]["id"].as_str().unwrap();
    let waits = server.run(id);
    assert_eq!(job(&waits, "deploy")["waiting"], "for an approval for production");
    let token =
        env.data(&server.repository, &["token", "create", "mona", "--role", "Member", "--json"]);
    let token = token["token"].as_str().unwrap();
    let target = format!("{id}/deploy");
    let refused = env.grit_as(token, &server.repository, &["approve", &target]).expect_code(6);
    assert!(refused.stderr.contains("takes the role Admin"), "{refused:?}");
    server.grit(&["approve", &target]).expect_code(0);
    let runs = server.over(1);
    assert_eq!(runs[0]["status"], "failure", "the gate is not there: {runs:#?}");
    assert!(server.said(&runs[0]).contains("got kept"));
    server.grit(&["approve", &target]).expect_code(4);
    std::fs::write(gate, "").unwrap();
    let again = server.grit(&["pipeline", "rerun", id, "--failed"]).expect_code(0);
    let again = again.stdout.trim().to_owned();
    wait_for("the approval is asked for again", || {
        let run = server.run(&again);
        if job(&run, "deploy")["waiting"].is_string() { Ok(()) } else { Err(run.to_string()) }
    });
    assert_eq!(job(&server.run(&again), "test")["state"], "success", "it is not run again");
    server.grit(&["approve", &again]).expect_code(0);
    let runs = server.over(2);
    let last = runs.iter().find(|run| run["id"] == *again).unwrap();
    assert_eq!(last["status"], "success", "{last:#}");
    assert!(server.said(last).contains("got kept"));
    // Another branch may not deploy there, whatever its own grit.yaml says.
    env.git(&server.repository, &["checkout", "--quiet", "-b", "topic"]);
    server.commit(&[("grit.yaml", "environments: { production: {} }\n")], "unprotected");
    server.push(&["topic"]);
    let runs = server.over(3);
    let topic = runs.iter().find(|run| run["refName"] == "refs/heads/topic").unwrap();
    let why = job(topic, "deploy")["why"].as_str().unwrap();
    assert_eq!(why, "topic may not deploy to production, only main", "{topic:#}");
    server.end();
}

#[test]
fn a_run_of_the_server_is_cancelled_with_its_reason() {
    let env = Env::new();
    let workflow = "name: long\non: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    \
        steps: [{ run: sleep 1000 }]\n";
    let server = Server::start(&env, &[(".github/workflows/long.yml", workflow)]);
    server.push(&["main"]);
    let runs = server.wait(1, |run| job(run, "a")["state"] == "running");
    let id = runs[0]["id"].as_str().unwrap();
    server.grit(&["pipeline", "rerun", id]).expect_code(2);
    server.grit(&["pipeline", "cancel", id, "--reason", "enough"]).expect_code(0);
    let runs = server.over(1);
    assert_eq!((&runs[0]["status"], &runs[0]["why"]), (&"cancelled".into(), &"enough".into()));
    server.grit(&["pipeline", "cancel", id]).expect_code(4);
    server.end();
}
