//! Jobs of `grit run` that deploy to an environment: they wait for it, and have its secrets and variables.

use std::path::Path;

use crate::env::{Env, GRIT, Running, wait_for};

const DEPLOY: &str = "name: deploy\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    \
    steps: [{ run: 'true' }]\n  live:\n    needs: build\n    runs-on: ubuntu-latest\n    \
    environment: production\n    steps: [{ run: 'echo delivered > $DONE' }]\n";
const APPROVED: &str = "environments:\n  production:\n    protection: { approval: { min: 1 } }\n";
const TIMED: &str = "environments:\n  production:\n    protection: { wait: 1s }\n";

fn repository(env: &Env, protection: &str) -> std::path::PathBuf {
    let workflow = DEPLOY.replace("$DONE", &env.path("done").display().to_string());
    env.repository(
        "shop",
        &[(".github/workflows/deploy.yml", &*workflow), ("grit.yaml", protection)],
    )
}

/// What is to be typed in another terminal.
fn told(running: &Running) -> String {
    wait_for("what to type", || {
        let said = running.stderr();
        let told = said.split("`grit approve ").nth(1).and_then(|rest| rest.split('`').next());
        told.map(str::to_owned).ok_or(said)
    })
}

fn approve(env: &Env, repository: &Path, who: &str, args: &[&str]) -> crate::env::Out {
    let mut command = env.command(GRIT, repository);
    env.run(command.arg("approve").args(args).env("GRIT_ACTOR", who))
}

#[test]
fn a_local_run_waits_for_an_approval_from_another_terminal() {
    let env = Env::new();
    let repository = repository(&env, APPROVED);
    let running = env.start(env.command(GRIT, &repository).args(["run"]));
    let target = told(&running);
    assert!(target.starts_with("run_") && target.ends_with("/live"), "{target}");
    assert!(running.stderr().contains("Waiting: live for an approval for production"));
    let own = approve(&env, &repository, "tess", &[&target]).expect_code(6);
    assert!(own.stderr.contains("whoever started the run cannot approve it"), "{own:?}");
    let (run, _) = target.split_once('/').unwrap();
    approve(&env, &repository, "bob", &[&format!("{run}/build")]).expect_code(4);
    assert!(!env.path("done").exists());
    approve(&env, &repository, "bob", &[&target]).expect_code(0);
    running.wait().expect_code(0);
    assert!(env.path("done").exists());
    let records = std::fs::read_dir(repository.join(".git/grit/runs")).unwrap();
    assert_eq!(records.count(), 0, "nothing is left of it");
}

#[test]
fn who_refuses_ends_the_job_and_a_run_that_was_killed_is_over() {
    let env = Env::new();
    let repository = repository(&env, APPROVED);
    let running = env.start(env.command(GRIT, &repository).args(["run"]));
    let target = told(&running);
    approve(&env, &repository, "bob", &[&target, "--reject", "not today"]).expect_code(0);
    let out = running.wait().expect_code(1);
    assert!(out.stderr.contains("bob refused the approval for production: not today"), "{out:?}");
    let running = env.start(env.command(GRIT, &repository).args(["run"]));
    let target = told(&running);
    running.end(rustix::process::Signal::KILL);
    let late = approve(&env, &repository, "bob", &[&target]).expect_code(4);
    assert!(late.stderr.contains("does not run any more"), "{late:?}");
    assert!(!env.path("done").exists());
}

#[test]
fn a_local_run_waits_as_long_as_its_environment_wants() {
    let env = Env::new();
    let repository = repository(&env, TIMED);
    let out = env.grit(&repository, &["run"]).expect_code(0);
    assert!(out.stderr.contains("Waiting: live for production until "), "{out:?}");
    assert!(env.path("done").exists());
    std::fs::remove_file(env.path("done")).unwrap();
    env.grit(&repository, &["run", "--dry-run"]).expect_code(0);
    assert!(!env.path("done").exists());
}

#[test]
fn a_local_run_gives_each_job_what_its_environment_has() {
    let env = Env::new();
    let line = format!(
        "steps: [{{ run: 'echo \"${{{{ github.job }}}}: ${{{{ secrets.KEY }}}} ${{{{ secrets.ONLY }}}} \
         ${{{{ vars.PLACE }}}}\" | tee -a {}' }}]",
        env.path("seen").display()
    );
    let workflow = format!(
        "name: deploy\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    {line}\n  live:\n    \
         needs: build\n    runs-on: ubuntu-latest\n    environment: Production\n    {line}\n"
    );
    let repository = env.repository("shop", &[(".github/workflows/deploy.yml", &*workflow)]);
    let file = |name: &str, text: &str| {
        std::fs::write(env.path(name), text).unwrap();
        env.path(name).display().to_string()
    };
    let (all, own) =
        (file("all", "KEY=key-of-all\n"), file("own", "KEY=key-of-live\nONLY=only-live\n"));
    let (here, there) = (file("here", "PLACE=here\n"), file("there", "PLACE=there\n"));
    let own = format!("production={own}");
    let there = format!("production={there}");
    let args = ["run", "--secrets", &all, "--secrets", &own, "--vars", &there, "--vars", &here];
    let out = env.grit(&repository, &args).expect_code(0);
    let seen = std::fs::read_to_string(env.path("seen")).unwrap();
    assert_eq!(seen, "build: key-of-all  here\nlive: key-of-live only-live there\n");
    assert!(!format!("{out:?}").contains("only-live"), "{out:?}");
    assert!(!out.stderr.contains("deploys to"), "{out:?}");
    let wrong = own.replace("production=", "produktion=");
    let out = env.grit(&repository, &["run", "--secrets", &wrong]).expect_code(0);
    assert!(out.stderr.contains("Nothing of it deploys to produktion"), "{out:?}");
    let absent = env.grit(&repository, &["run", "--secrets", "production=none"]).expect_code(2);
    assert!(absent.stderr.contains("none cannot be read"), "{absent:?}");
}
