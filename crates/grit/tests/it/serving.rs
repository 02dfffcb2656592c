//! A control process: its data folder is its own, and so are its ports.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use insta::{allow_duplicates, assert_snapshot};
use rustix::process::Signal;

use crate::env::{Env, GRIT, Out, Running, wait_for};

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
    let pid = first.pid().to_string();
    assert_snapshot!(second.refusal().replace(&pid, "[PID]"), @r"
    exit 5
    Error: journal `[ROOT]/data/journal.db` is in use by process [PID]
    Hint: stop that process, or give another folder with `--data FOLDER`
    ");
    let out = first.end(Signal::TERM).expect_code(0);
    assert!(out.stdout.starts_with("control  http://127.0.0.1:"), "{out:?}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let env = Env::new();
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = |out: Out| out.refusal().replace(&address, "[ADDRESS]");
    assert_snapshot!(told(serve(&env, "one", &address, ANY).wait()), @r"
    exit 5
    Error: cannot listen on [ADDRESS]: Address already in use (os error 98)
    Hint: give another address with `--listen 127.0.0.1:0`
    ");
    assert_snapshot!(told(serve(&env, "two", ANY, &address).wait()), @r"
    exit 5
    Error: the edge cannot serve: listen on [ADDRESS]: Address already in use (os error 98)
    Hint: give another address with `--edge-listen 127.0.0.1:0`
    ");
    assert_eq!(env.processes(), []);
}

#[test]
fn outside_a_repository_a_name_and_a_folder_are_needed() {
    let env = Env::new();
    let here = env.path("home");
    let ports = ["--listen", ANY, "--edge-listen", ANY];
    let nameless = env.grit(&here, &[&["--data", "data", "serve"][..], &ports].concat());
    assert_snapshot!(nameless.refusal(), @r"
    exit 5
    Error: `[ROOT]/home` is not in a git repository
    Hint: name what is hosted: `--repo NAME`
    ");
    let homeless = env.grit(&here, &[&["serve", "--repo", "r"][..], &ports].concat());
    assert_snapshot!(homeless.refusal(), @r"
    exit 5
    Error: `[ROOT]/home` is not in a git repository
    Hint: say where everything is kept: `--data FOLDER`
    ");
    assert!(!here.join("data").exists(), "something was begun");
}

#[test]
fn without_git_nothing_is_begun() {
    let env = Env::new();
    let workflow =
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
    let repository = env.repository("repo", &[(".github/workflows/ci.yml", workflow)]);
    let here = env.path("home");
    let ports = ["--listen", ANY, "--edge-listen", ANY];
    let serve = [&["--data", "data", "serve", "--repo", "r"][..], &ports].concat();
    let up = [&["up"][..], &ports].concat();
    for (folder, args) in
        [(&repository, &up[..]), (&here, &serve), (&repository, &["run"]), (&repository, &["init"])]
    {
        let out = env.run(env.command(GRIT, folder).args(args).env("PATH", env.path("tmp")));
        allow_duplicates!(assert_snapshot!(out.refusal(), @r"
        exit 5
        Error: the `git` command is not installed
        Hint: install git: `apt-get install git`
        "));
    }
    assert!(!here.join("data").exists() && !repository.join(".git/grit").exists());
    assert_eq!(env.processes(), []);
}

mod needs_setpriv {
    use super::*;

    #[test]
    fn a_data_folder_that_cannot_be_written_is_named() {
        let env = Env::new();
        let folder = env.path("mine");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
        // Root writes everywhere; without these capabilities it is like everybody else.
        let plain = "--bounding-set=-dac_override,-dac_read_search";
        let is_root = rustix::process::geteuid().is_root();
        let mut command = match is_root {
            true => env.command("setpriv", &env.path("home")),
            false => env.command(GRIT, &env.path("home")),
        };
        if is_root {
            command.args([plain, GRIT]);
        }
        command.args(["--data", folder.to_str().unwrap(), "serve", "--repo", "r"]);
        assert_snapshot!(env.run(&mut command).refusal(), @r"
        exit 5
        Error: the data folder [ROOT]/mine cannot be used: Permission denied (os error 13)
        Hint: give another one with `--data FOLDER`
        ");
    }
}
