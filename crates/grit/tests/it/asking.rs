//! What a control process is asked for by name, and what is asked twice.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::Value;

use crate::env::{Env, GRIT, wait_for};
use crate::living::{Living, commit};

const ROLLING: &str = "{ rolling: { soak: 100ms } }";

#[test]
fn what_is_not_there_is_named_beside_what_is() {
    let env = Env::new();
    let living = Living::start(&env);
    let ask = |args: &[&str]| env.grit(&living.repository, args).refusal();
    let answer = |args: &[&str]| env.grit(&living.repository, args);
    let deploy = |service: &str, environment: &str, version: &str| {
        ask(&["deploy", service, "--env", environment, "--version", version])
    };
    assert_snapshot!(deploy("svc", "live", "v1.0"), @r"
    exit 3
    Error: there is no version `v1.0`; there is none yet
    Hint: a version is a tag, a branch or a commit that was pushed: `git push grit v1.0`
    ");
    assert_snapshot!(ask(&["logs", "svc"]), @r"
    exit 3
    Error: nothing was ever deployed as `svc`
    Hint: `grit status` shows what runs where
    ");
    living.push("v1.0", "[./svc, good]", ROLLING);
    living.ended("v1.0", &["SUCCEEDED"]);
    let head = env.git(&living.repository, &["rev-parse", "--short=10", "HEAD"]);
    env.commit(&living.repository, &[], "not tagged");
    env.git(&living.repository, &["push", "--quiet", "grit", "main"]);
    let next = env.git(&living.repository, &["rev-parse", "--short=10", "HEAD"]);
    let told = |text: String| text.replace(head.trim(), "[HEAD]").replace(next.trim(), "[NEXT]");

    assert_snapshot!(told(deploy("svc", "live", "v9")), @r"
    exit 3
    Error: there is no version `v9`; there are [NEXT], v1.0
    Hint: a version is a tag, a branch or a commit that was pushed: `git push grit v9`
    ");
    assert_snapshot!(told(deploy("svc", "live", "v10")), @r"
    exit 3
    Error: there is no version `v10`; did you mean `v1.0`? (there are [NEXT], v1.0)
    Hint: a version is a tag, a branch or a commit that was pushed: `git push grit v10`
    ");
    assert_snapshot!(deploy("scv", "live", "v1.0"), @r"
    exit 3
    Error: service `scv` is not in grit.yaml of that version; did you mean `svc`? (there is only svc)
    Hint: `grit.yaml` is read at the version that is deployed: is it the right one?
    ");
    assert_snapshot!(deploy("svc", "lvie", "v1.0"), @r"
    exit 3
    Error: environment `lvie` is not in grit.yaml of that version; did you mean `live`? (there is only live)
    Hint: `grit.yaml` is read at the version that is deployed: is it the right one?
    ");
    assert_snapshot!(ask(&["rollback", "scv", "--env", "live"]), @r"
    exit 3
    Error: nothing was ever deployed as `scv --env live`; did you mean `svc --env live`? (there is only svc --env live)
    Hint: `grit status` shows what runs where
    ");
    assert_snapshot!(ask(&["rollback", "svc", "--env", "live"]), @r"
    exit 4
    Error: there is no earlier revision to roll back to
    Hint: `grit status` shows what is in progress
    ");
    assert_snapshot!(ask(&["rollback", "svc", "--env", "live", "7"]), @r"
    exit 3
    Error: there is no revision 7
    Hint: `grit history SERVICE` shows the revisions
    ");
    assert_snapshot!(ask(&["rollout", "promote", "svcs"]), @r"
    exit 3
    Error: nothing was ever deployed as `svcs`; did you mean `svc`?
    Hint: `grit status` shows what runs where
    ");
    assert_snapshot!(ask(&["rollout", "promote", "svc", "--env", "staging"]), @r"
    exit 3
    Error: nothing was ever deployed to `staging`; there is only live
    Hint: `grit status` shows what runs where
    ");
    assert_snapshot!(ask(&["rollout", "promote", "svc"]), @r"
    exit 4
    Error: no rollout is in progress
    Hint: `grit status` shows what is there
    ");
    assert_snapshot!(ask(&["logs", "nothing"]), @r"
    exit 3
    Error: nothing was ever deployed as `nothing`; there is only svc
    Hint: `grit status` shows what runs where
    ");
    assert_snapshot!(ask(&["status", "--env", "lvie"]), @r"
    exit 3
    Error: nothing was ever deployed to `lvie`; did you mean `live`?
    Hint: `grit status` shows what runs where
    ");
    wait_for("history", || match answer(&["history", "--sync"]) {
        out if out.stdout.contains("v1.0") => Ok(()),
        out => Err(format!("{out:?}")),
    });
    let metrics = answer(&["metrics", "pipelines", "--json"]).expect_code(0).document();
    let whole = &metrics["data"][0];
    assert!(whole["runs"].as_u64() >= Some(1), "{metrics:#}");
    assert_eq!(whole["success"], 10_000, "{metrics:#}");
    assert_eq!(whole["job"], serde_json::Value::Null, "{metrics:#}");
    assert_snapshot!(ask(&["history", "scv"]), @r"
    exit 3
    Error: no deployment is recorded of `scv`; did you mean `svc`?
    Hint: `grit history` shows all that is recorded
    ");
    assert_snapshot!(ask(&["history", "svc", "--env", "lvie"]), @r"
    exit 3
    Error: no deployment is recorded in `lvie`; did you mean `live`?
    Hint: `grit history` shows all that is recorded
    ");
    let strategy = ["deploy", "svc", "--env", "live", "--version", "v1.0", "--strategy", "roling"];
    assert_snapshot!(ask(&strategy), @r"
    exit 3
    Error: strategy `roling` is not in grit.yaml of that version; did you mean `rolling`? (there are s, rolling, canary)
    Hint: `grit.yaml` is read at the version that is deployed: is it the right one?
    ");

    a_lost_answer_is_asked_for_again_and_deploys_once(&env, &living);
    living.up.end(Signal::INT).expect_code(0);
    assert_eq!(env.processes(), []);
}

#[test]
fn a_push_that_nobody_could_take_note_of_is_refused_and_one_that_came_all_the_same_is_found() {
    let env = Env::new();
    let living = Living::start(&env);
    living.push("v1", "[./svc, good]", ROLLING);
    living.ended("v1", &["SUCCEEDED"]);
    let repository = living.repository.clone();
    living.up.end(Signal::INT).expect_code(0);

    commit(&env, &repository, "v2", "[./svc, better]", ROLLING);
    let push = env.run(env.command("git", &repository).args(["push", "grit", "main", "v2"]));
    assert_ne!(push.code, Some(0), "{push:?}");
    assert!(push.stderr.contains("remote: Hint: `grit up` starts one"), "{push:?}");
    let hosted = repository.join(".git/grit/data/repos/shelf.git");
    let from = repository.to_str().unwrap();
    assert_eq!(env.git(&hosted, &["tag"]), "v1\n", "a refused push came all the same");
    env.git(&hosted, &["fetch", "--quiet", from, "refs/tags/v2:refs/tags/v2"]);

    let living = Living::resume(&env, repository);
    living.ended("v2", &["SUCCEEDED"]);
    living.up.end(Signal::INT).expect_code(0);
    assert_eq!(env.processes(), []);
}

fn a_lost_answer_is_asked_for_again_and_deploys_once(env: &Env, living: &Living<'_>) {
    let file = living.serve_file();
    let (token, server) = (file["token"].as_str().unwrap(), file["server"].as_str().unwrap());
    let (proxy, asked) = forgetful(server.parse().unwrap());
    let args = ["deploy", "svc", "--env", "live", "--version", "v1.0", "--json"];
    let mut command = env.command(GRIT, &living.repository);
    command.args(args).env("GRIT_TOKEN", token).env("GRIT_SERVER", format!("http://{proxy}"));
    let told = env.run(&mut command).expect_code(0).document()["data"].clone();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let numbers = || -> Vec<Value> {
        let deployments = living.get("/api/v1/deployments");
        deployments.as_array().unwrap().iter().map(|one| one["number"].clone()).collect()
    };
    assert_eq!(numbers(), [2, 1], "{told:#}");

    let body = r#"{"service":"svc","environment":"live","version":"v1.0"}"#;
    let first = living.post("/deploy", Some("k"), body);
    assert_eq!(living.post("/deploy", Some("k"), body)["id"], first["id"]);
    assert_eq!(numbers(), [3, 2, 1]);
    assert_ne!(living.post("/deploy", Some("other"), body)["id"], first["id"]);
    assert_ne!(living.post("/deploy", None, body)["id"], first["id"]);
    assert_eq!(numbers(), [5, 4, 3, 2, 1]);
    let other = r#"{"service":"svc","environment":"live","version":"main"}"#;
    assert_eq!(living.post("/deploy", Some("k"), other)["code"], "key_used");
    assert_eq!(living.post("/deploy", Some(&"k".repeat(256)), body)["code"], "bad_request");
}

/// Passes requests on to a server, and loses the first answer.
fn forgetful(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = asked.clone();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut upstream = TcpStream::connect(server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let mut answer = vec![0; 64 << 10];
            let length = upstream.read(&mut answer).unwrap();
            if count.fetch_add(1, Ordering::Relaxed) > 0 {
                client.write_all(&answer[..length]).unwrap();
            }
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    });
    (address, asked)
}
