//! The README's quick start, with a strategy that soaks for less long before production.

use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::env::{Env, GRIT, wait_for};

fn hurry(env: &Env, shop: &Path) {
    let text = std::fs::read_to_string(shop.join("grit.yaml")).unwrap();
    let hurried = text
        .replace("strategy: rolling", "strategy: quick")
        .replace("strategies:\n", "strategies:\n  quick: { rolling: { soak: 500ms } }\n")
        .replace("      guard: {", "      soak: 1s\n      guard: {")
        .replace("interval: 500ms", "interval: 200ms");
    assert_ne!(text, hurried);
    env.commit(shop, &[("grit.yaml", &hurried)], "seconds for minutes");
    env.git(shop, &["tag", "--force", "v1.0.0"]);
}

fn slot(env: &Env, shop: &Path, service: &str) -> Result<Value, String> {
    let overview = env.data(shop, &["status", "--env", "production", "--json"]);
    let slots = overview["slots"].as_array().unwrap();
    let found = slots.iter().find(|slot| slot["service"] == service);
    found.cloned().ok_or_else(|| env.grit(shop, &["status"]).stdout)
}

fn deployment(env: &Env, shop: &Path, version: &str, status: &str) -> Value {
    wait_for(&format!("{version} {status}"), || {
        let deployment = slot(env, shop, "api")?["deployment"].clone();
        let there = deployment["version"] == version && deployment["status"] == status;
        if there { Ok(deployment) } else { Err(deployment.to_string()) }
    })
}

fn approve(env: &Env, shop: &Path, token: &str) {
    wait_for("approval", || {
        let args = ["approve", "api", "--env", "production"];
        let out = env.grit_as(token, shop, &args);
        (out.code == Some(0)).then_some(()).ok_or(out.stderr)
    });
}

#[test]
fn readme_quick_start_from_an_empty_folder_to_a_canary_and_back() {
    let env = Env::new();
    env.grit(&env.path(""), &["init", "--example", "shop"]).expect_code(0);
    let shop = env.path("shop");
    hurry(&env, &shop);
    let any = "127.0.0.1:0";
    let args = ["up", "--listen", any, "--edge-listen", any];
    let up = env.start(env.command(GRIT, &shop).args(args));
    wait_for("control process", || {
        up.stdout().contains("data ").then_some(()).ok_or_else(|| up.stderr())
    });
    let lead = env.grit(&shop, &["token", "create", "lead", "--role", "Admin"]).expect_code(0);
    let lead = lead.stdout.trim_end();

    env.git(&shop, &["push", "--quiet", "grit", "main", "v1.0.0"]);
    approve(&env, &shop, lead);
    deployment(&env, &shop, "v1.0.0", "SUCCEEDED");
    let unknown = ["deploy", "api", "--env", "production", "--version", "v9"];
    let refused = env.grit(&shop, &unknown).expect_code(3);
    assert!(refused.stderr.contains("v9"), "{refused:?}");

    env.commit(&shop, &[("services/api/VERSION", "1.1.0\n")], "api: version 1.1.0");
    env.git(&shop, &["tag", "v1.1.0"]);
    env.git(&shop, &["push", "--quiet", "grit", "main", "v1.1.0"]);
    approve(&env, &shop, lead);
    let canary = deployment(&env, &shop, "v1.1.0", "PAUSED");
    assert_eq!(canary["weight"], 500, "5 % in hundredths: {canary}");
    env.grit(&shop, &["rollout", "promote", "api", "--env", "production"]).expect_code(0);
    wait_for("20 %", || {
        let deployment = slot(&env, &shop, "api")?["deployment"].clone();
        if deployment["weight"] == 2000 { Ok(()) } else { Err(deployment.to_string()) }
    });
    let args = ["rollout", "abort", "api", "--env", "production", "--reason", "enough"];
    env.grit(&shop, &args).expect_code(0);
    deployment(&env, &shop, "v1.1.0", "ROLLED_BACK");

    let history = wait_for("history", || {
        env.grit(&shop, &["sync", "--audit"]).expect_code(0);
        let text = env.grit(&shop, &["history", "api", "--env", "production"]).stdout;
        if text.contains("ROLLED_BACK") { Ok(text) } else { Err(text) }
    });
    assert!(history.contains("SUCCEEDED"), "{history}");
    env.grit(&shop, &["logs", "api", "--env", "production"]).expect_code(0);

    let addresses = up.stdout();
    up.end(Signal::INT).expect_code(0);
    assert_eq!(env.processes(), []);
    for address in addresses.split_whitespace().filter_map(|word| word.strip_prefix("http://")) {
        assert!(TcpStream::connect(address).is_err(), "{address} still answers");
    }
}
