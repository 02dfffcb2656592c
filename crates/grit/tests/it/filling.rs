//! A data folder on a disk that fills up: what cannot be kept is refused, what was acknowledged is
//! there, and with room again everything goes on.

mod needs_unshare {
    use std::path::PathBuf;
    use std::process::Command;

    use insta::assert_snapshot;
    use rustix::process::{Pid, Signal, kill_process};
    use serde_json::Value;

    use crate::env::{Env, GRIT, Out, Running, wait_for};
    use crate::living::{Load, commit, compile};

    const ROLLING: &str = "{ rolling: { soak: 100ms } }";
    const CANARY: &str = "{ canary: { steps: [{ setWeight: 20 }, { pause: {} }], soak: 100ms } }";
    /// The journal, keys, artifacts and instances are on the first.
    const DISKS: [(&str, &str); 3] = [("", "12m"), ("edge", "256k"), ("repos", "2m")];

    /// A data folder of small disks that nobody else sees.
    struct Small<'a> {
        env: &'a Env,
        repository: PathBuf,
        disk: Running,
    }

    impl<'a> Small<'a> {
        fn make(env: &'a Env) -> Self {
            let repository = env.repository("shelf", &[]);
            std::fs::create_dir(env.path("data")).unwrap();
            let mount = |(folder, size): (&str, &str)| {
                format!(
                    "mkdir -p data/{folder} && mount -t tmpfs -o size={size} tmpfs data/{folder}"
                )
            };
            let mounts = DISKS.map(mount).join(" && ");
            let script = format!("{mounts} && echo there && sleep 1000");
            let args = ["--user", "--map-root-user", "--mount", "sh", "-c", &script];
            let disk = env.start(env.command("unshare", &env.path("")).args(args));
            let small = Self { env, repository, disk };
            wait_for("disk", || {
                let seen = small.disk.stdout() + &small.disk.stderr();
                if seen == "there\n" { Ok(()) } else { Err(seen) }
            });
            small
        }

        /// A command that sees the disk.
        fn command(&self, program: &str) -> Command {
            let mut command = self.env.command("nsenter", &self.repository);
            let pid = self.disk.pid().to_string();
            command.args(["--target", &pid, "--user", "--mount", "--preserve-credentials"]);
            command.arg(format!("--wd={}", self.repository.display())).arg(program);
            command.env("GRIT_DATA", self.env.path("data"));
            command
        }

        fn run(&self, program: &str, args: &[&str]) -> Out {
            self.env.run(self.command(program).args(args))
        }

        fn grit(&self, args: &[&str]) -> Out {
            self.run(GRIT, args)
        }

        fn serve(&self) -> Running {
            let any = "127.0.0.1:0";
            let args = ["serve", "--repo", "shelf", "--listen", any, "--edge-listen", any];
            self.env.start(self.command(GRIT).args(args).env("GRIT_LOG", "warn"))
        }

        fn served(&self) -> Running {
            let serving = self.serve();
            wait_for("control process", || {
                let there = serving.stdout().contains("data ");
                there.then_some(()).ok_or_else(|| serving.stderr())
            });
            serving
        }

        fn push(&self, version: &str) -> Out {
            let hosted = self.env.path("data/repos/shelf.git");
            self.run("git", &["push", "--quiet", hosted.to_str().unwrap(), "main", version])
        }

        fn fill(&self, folder: &str) {
            let script = format!("cat /dev/zero > \"$GRIT_DATA/{folder}/filler\"");
            let out = self.run("sh", &["-c", &script]).expect_code(1);
            assert!(out.stderr.contains("No space left"), "{out:?}");
        }

        fn make_room(&self, folder: &str) {
            self.run("sh", &["-c", &format!("rm \"$GRIT_DATA/{folder}/filler\"")]).expect_code(0);
        }

        /// What the repository itself tells.
        fn history(&self) -> Vec<String> {
            let out = self.grit(&["history", "svc", "--sync", "--json"]).expect_code(0);
            let told = out.document()["data"].as_array().unwrap().clone();
            told.iter().map(|one| format!("{} {}", one["version"], one["status"])).collect()
        }

        fn slot(&self) -> Value {
            let out = self.grit(&["status", "--json"]).expect_code(0);
            out.document()["data"]["slots"][0].clone()
        }

        #[track_caller]
        fn until(&self, version: &str, status: &str) {
            wait_for(&format!("{version} {status}"), || {
                let deployment = self.slot()["deployment"].clone();
                let there = deployment["version"] == version && deployment["status"] == status;
                if there { Ok(()) } else { Err(deployment.to_string()) }
            });
        }

        fn kill_all(&self) {
            let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
            let ours = space(self.disk.pid());
            let entries = std::fs::read_dir("/proc").unwrap().flatten();
            let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            for pid in pids.filter(|pid| ours.is_some() && space(*pid) == ours) {
                // Gone already is as good.
                let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
            }
        }
    }

    impl Drop for Small<'_> {
        fn drop(&mut self) {
            self.kill_all();
        }
    }

    #[track_caller]
    fn refused(out: Out) {
        let out = out.expect_code(5);
        assert!(out.stderr.contains("Hint: make room"), "{out:?}");
    }

    #[track_caller]
    fn all_answered(load: &Load) -> Vec<String> {
        let answers = load.answers();
        assert!(answers.iter().all(|answer| answer.starts_with("200 ")), "{answers:?}");
        answers
    }

    #[test]
    fn a_disk_that_fills_up_loses_nothing_and_goes_on_with_room() {
        let env = Env::new();
        compile(&env);
        let small = Small::make(&env);
        let serving = small.served();
        commit(&env, &small.repository, "v1", "[./svc, one]", ROLLING);
        small.push("v1").expect_code(0);
        small.until("v1", "SUCCEEDED");
        commit(&env, &small.repository, "v2", "[./svc, two]", CANARY);
        small.push("v2").expect_code(0);
        small.until("v2", "PAUSED");
        let file = small.run("sh", &["-c", "cat \"$GRIT_DATA/serve.json\""]).document();
        let load = Load::start(file["edge"].as_str().unwrap().parse().unwrap());
        commit(&env, &small.repository, "v3", "[./svc, three]", ROLLING);

        the_journal_is_full(&small, serving, &load);
        let serving = small.served();
        small.until("v2", "PAUSED");
        the_snapshot_and_the_ledger_are_full(&small, &serving, &load);

        small.push("v3").expect_code(0);
        small.until("v3", "SUCCEEDED");
        all_answered(&load);
        let wanted = ["v3", "v2", "v1"].map(|version| format!("\"{version}\" \"SUCCEEDED\""));
        wait_for("the whole history", || {
            let told = small.history();
            if told == wanted { Ok(()) } else { Err(format!("{told:?}")) }
        });
    }

    /// Nothing that is asked for is done, and a server does not even start.
    fn the_journal_is_full(small: &Small<'_>, serving: Running, load: &Load) {
        let before = small.slot();
        small.fill("");
        assert_snapshot!(small.grit(&["rollout", "promote", "svc"]).refusal(), @r"
        exit 5
        Error: the disk of the data folder is full, and nothing was changed
        Hint: make room there, and do it again; nothing that was acknowledged is lost
        ");
        refused(small.grit(&["rollback", "svc", "--env", "live"]));
        refused(small.grit(&["deploy", "svc", "--env", "live", "--version", "v1"]));
        assert_snapshot!(small.grit(&["token", "create", "lead"]).refusal(), @r"
        exit 5
        Error: the disk of the data folder is full, and nothing was changed
        Hint: make room there, and do it again; nothing that was acknowledged is lost
        ");
        let push = small.push("v3");
        assert_ne!(push.code, Some(0), "{push:?}");
        assert!(push.stderr.contains("remote: Hint: make room"), "{push:?}");
        assert_eq!(small.slot(), before, "what was refused did something");
        drop(serving);
        assert_snapshot!(small.serve().wait().refusal(), @r"
        exit 5
        Error: the data folder [ROOT]/data cannot be used: No space left on device (os error 28)
        Hint: make room on the disk, and do it again; nothing that was acknowledged is lost
        ");
        all_answered(load);
        small.make_room("");
    }

    /// What is recorded waits until it can be carried out.
    fn the_snapshot_and_the_ledger_are_full(small: &Small<'_>, serving: &Running, load: &Load) {
        small.fill("edge");
        small.fill("repos");
        let push = small.push("v3");
        assert_ne!(push.code, Some(0), "{push:?}");
        small.grit(&["rollout", "promote", "svc"]).expect_code(0);
        wait_for("edge's refusal", || {
            let said = serving.stderr();
            if said.contains("could not store the route") { Ok(()) } else { Err(said) }
        });
        let answers = all_answered(load);
        assert!(answers.iter().any(|answer| answer.starts_with("200 one ")), "{answers:?}");
        small.make_room("edge");
        small.until("v2", "SUCCEEDED");
        all_answered(load);
        wait_for("ledger's refusal", || {
            let said = serving.stderr();
            if said.contains("the relay waits") { Ok(()) } else { Err(said) }
        });
        small.make_room("repos");
        small.grit(&["token", "create", "lead"]).expect_code(0);
        let hosted = small.env.path("data/repos/shelf.git");
        small.run("git", &["remote", "add", "grit", hosted.to_str().unwrap()]).expect_code(0);
        small.run("git", &["config", "grit.remote", "grit"]).expect_code(0);
    }
}
