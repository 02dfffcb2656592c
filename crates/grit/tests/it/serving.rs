//! A control process: its data folder is its own, and so are its ports.

use std::net::TcpListener;

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::env::{Env, GRIT, Running, wait_for};

const ANY: &str = "127.0.0.1:0";

fn serve(env: &Env, data: &str, listen: &str, edge: &str) -> Running {
    let args = ["--data", data, "serve", "--repo", "r", "--listen", listen, "--edge-listen", edge];
    env.start(env.command(GRIT, &env.path("")).env("GRIT_LOG", "off").args(args))
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let env = Env::new();
    std::fs::write(env.path("file"), "").unwrap();
    let out = serve(&env, "file/data", ANY, ANY).wait();
    assert_eq!(out.code, Some(5), "{out:?}");
    assert!(out.stderr.starts_with("Error: the data folder file/data cannot be used: "), "{out:?}");
    assert!(out.stderr.ends_with("Hint: give another one with `--data FOLDER`\n"), "{out:?}");
}

#[test]
fn a_second_control_process_on_a_data_folder_is_refused() {
    let env = Env::new();
    let first = serve(&env, "data", ANY, ANY);
    let file = env.path("data/serve.json");
    wait_for("control process", || file.exists().then_some(()).ok_or_else(|| first.stderr()));
    let second = serve(&env, "data", ANY, ANY).wait();
    assert_eq!(second.code, Some(5), "{second:?}");
    assert_eq!(second.stdout, "");
    assert!(second.stderr.contains("Error: "), "{second:?}");
    let out = first.end(Signal::TERM).expect_code(0);
    assert!(out.stdout.starts_with("control  http://127.0.0.1:"), "{out:?}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let env = Env::new();
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (data, listen, edge) in [("one", &*address, ANY), ("two", ANY, &*address)] {
        let out = serve(&env, data, listen, edge).wait();
        assert_eq!(out.code, Some(5), "{out:?}");
        assert!(out.stderr.contains(&address), "{out:?}");
        assert!(out.stderr.contains("Hint: "), "{out:?}");
    }
}

#[test]
fn outside_a_repository_a_name_is_needed() {
    let env = Env::new();
    let args = ["--data", "data", "serve", "--listen", ANY, "--edge-listen", ANY];
    let out = env.grit(&env.path(""), &args).expect_code(5);
    let hint = out.stderr.lines().last().unwrap();
    assert_snapshot!(hint, @"Hint: `git init` makes one, `grit init --example shop` makes one with something in it");
}
