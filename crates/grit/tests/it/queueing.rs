//! All runs of a server share the slots of its machine.

use crate::env::{Env, wait_for};
use crate::hosted::{Server, job};

const MANY: &str = "name: many\non: { push: { branches: [main] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    strategy: { matrix: { n: [1, 2, 3, 4] } }\n    \
    steps: [{ run: 'while [ ! -e $GATE ]; do sleep 0.1; done' }]\n";
const ONE: &str = "name: one\non: { push: { branches: [topic] } }\njobs:\n  b:\n    \
    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";

#[test]
fn a_run_of_many_jobs_starves_nobody_and_a_place_outlives_the_control_process() {
    let env = Env::new();
    let gate = env.path("gate");
    let many = MANY.replace("$GATE", &gate.display().to_string());
    let files = [(".github/workflows/many.yml", &*many), (".github/workflows/one.yml", ONE)];
    let one_slot = ["--slots", "1"];
    let server = Server::start_with(&env, &files, &one_slot);
    server.push(&["main"]);
    server.wait(1, |run| run["jobs"].as_array().unwrap().iter().any(|j| j["state"] == "running"));
    server.commit(&[("x", "1")], "another commit");
    server.push(&["HEAD:refs/heads/topic"]);
    let waits = |server: &Server<'_>| {
        let runs = server.wait(2, |run| !run["jobs"][0]["state"].is_null());
        let one = runs.iter().find(|run| run["name"] == "one").unwrap();
        let said = job(one, "b")["waiting"].as_str().unwrap_or_default().to_owned();
        let wanted = "for a slot: 1 of 1 are taken, and another run comes first";
        if said == wanted { Ok(()) } else { Err(format!("{one:#}")) }
    };
    wait_for("its place in the queue", || waits(&server));
    let server = server.again(&one_slot);
    wait_for("the same place after a restart", || waits(&server));
    std::fs::write(gate, "").unwrap();
    let runs = server.over(2);
    let started = |name: &str| -> Vec<i64> {
        let run = runs.iter().find(|run| run["name"] == name).unwrap();
        assert_eq!(run["status"], "success", "{run:#}");
        let jobs = run["jobs"].as_array().unwrap().iter();
        let mut times: Vec<i64> = jobs.map(|job| job["started"].as_i64().unwrap()).collect();
        times.sort_unstable();
        times
    };
    let (many, one) = (started("many"), started("one")[0]);
    assert!(one < many[2], "after one more job of the other run: {one}, {many:?}");
    server.end();
}
