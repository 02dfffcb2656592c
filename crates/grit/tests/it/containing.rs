//! `grit run` with a Docker engine: containers of jobs, services, actions and images.

use crate::env::{Env, Out};

const WORKFLOW: &str = ".github/workflows/ci.yml";

#[test]
fn without_an_engine_a_job_fails_and_says_what_to_do() {
    let env = Env::new();
    let workflow = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    container: debian:13\n    \
                    steps: [{run: 'true'}]\n";
    let shop = env.repository("shop", &[(WORKFLOW, workflow)]);
    let mut command = env.command(crate::env::GRIT, &shop);
    let out = env.run(command.arg("run").env("DOCKER_HOST", "unix:///nobody/here.sock"));
    let out = out.expect_code(1);
    assert!(out.stderr.contains("no Docker engine answers at unix:///nobody/here.sock"), "{out:?}");
    assert!(out.stderr.contains("DOCKER_HOST"), "{out:?}");
}

mod needs_docker {
    mod needs_dockerd {
        mod needs_busybox {
            use std::path::Path;
            use std::process::{Child, Command, Stdio};

            use grit_testkit::engine::{BUSYBOX, TestEngine, engine};

            use rustix::process::Signal;

            use super::super::super::*;
            use crate::env::{GRIT, wait_for};

            /// Runs `grit run` with the engine.
            fn run(env: &Env, shop: &Path, args: &[&str]) -> Out {
                let mut command = env.command(GRIT, shop);
                command.arg("run").args(args).env("DOCKER_HOST", engine().host());
                command.env("GRIT_VERBOSE", "1");
                env.run(&mut command)
            }

            fn workflow(text: &str) -> String {
                text.replace("BUSYBOX", BUSYBOX)
            }

            #[test]
            fn a_job_in_a_container_with_a_service_and_actions_of_all_kinds() {
                let env = Env::new();
                let text = workflow(
                    r#"
on: push
env: { IMAGE: BUSYBOX }
jobs:
  tests:
    runs-on: ubuntu-latest
    container:
      image: ${{ 'BUSYBOX' }}
      env: { WORD: hidden }
    services:
      db:
        image: BUSYBOX
        env: { ANSWER: '${{ env.IMAGE }}' }
        command: sh -c "while true; do echo $ANSWER | nc -l -p 5432; done"
        options: --health-cmd "test -n '$ANSWER'" --health-interval 200ms
      none:
        image: ''
    steps:
      - uses: actions/checkout@v4
      - run: test "$(nc -w 20 db 5432 < /dev/null)" = "$IMAGE"
      - run: test "${{ github.workspace }}" = "$GITHUB_WORKSPACE" && test -f "$GITHUB_WORKSPACE/word"
      - run: test -n "${{ job.services.db.id }}" && test -n "${{ job.container.network }}"
      - run: test -z "${{ job.services.none.id }}" && test "$WORD" = hidden
      - id: act
        uses: ./act
        with: { who: world }
      - run: test "${{ steps.act.outputs.greeting }}" = "Hello world, 2 args"
      - uses: docker://BUSYBOX
        with:
          entrypoint: /bin/sh
          args: -c 'test "$INPUT_MORE" = "m o" && cat /github/workspace/word'
          more: m o
"#,
                );
                let action = "name: act\ninputs: { who: { required: true } }\nruns:\n  using: docker\n  \
                              image: Dockerfile\n  env: { MORE: '${{ inputs.who }}' }\n  \
                              args: ['a b', '${{ inputs.who }}']\n  post-entrypoint: /post.sh\n";
                let main = "#!/bin/sh\ntest \"$MORE\" = \"$2\" || exit 9\n\
                            echo \"greeting=Hello $INPUT_WHO, $# args\" >> $GITHUB_OUTPUT\n\
                            echo kept=yes >> $GITHUB_STATE\n";
                let post = "#!/bin/sh\necho \"tidied up: $STATE_kept\"\n";
                let recipe = format!(
                    "FROM {BUSYBOX}\nCOPY *.sh /\nRUN chmod +x /*.sh\nENTRYPOINT [\"/main.sh\"]\n"
                );
                let shop = env.repository(
                    "shop",
                    &[
                        (WORKFLOW, &text),
                        ("word", "a word\n"),
                        ("act/action.yml", action),
                        ("act/Dockerfile", &recipe),
                        ("act/main.sh", main),
                        ("act/post.sh", post),
                    ],
                );
                let out = run(&env, &shop, &[]).expect_code(0);
                assert!(out.stderr.contains("tidied up: yes"), "{}", out.stderr);
                assert!(out.stderr.contains("a word"), "{}", out.stderr);
                let plan = env.grit(&shop, &["run", "--plan", "--json"]).expect_code(0).stdout;
                assert!(plan.contains("\"services\"") && plan.contains(BUSYBOX), "{plan}");
            }

            /// What is at the engine of that process.
            fn owned_by(pid: i32) -> Vec<String> {
                let format = "{{.ID}} {{.Label \"grit.owner\"}}";
                let of = format!(" {pid}/");
                let list = |args: &[&str]| {
                    let args =
                        [args, &["--filter", "label=grit.owner", "--format", format]].concat();
                    let said = engine().docker(&args);
                    let own = said.lines().filter(|line| line.contains(&of));
                    own.map(str::to_owned).collect::<Vec<_>>()
                };
                [list(&["ps", "--all"]), list(&["network", "ls"])].concat()
            }

            #[test]
            fn what_a_killed_run_left_goes_with_the_next_and_what_is_alive_stays() {
                let env = Env::new();
                let job = workflow(
                    "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    container: BUSYBOX\n    \
                     steps: [{run: 'SCRIPT'}]\n",
                );
                let endless =
                    env.repository("endless", &[(WORKFLOW, &job.replace("SCRIPT", "sleep 1000"))]);
                let short = env.repository("short", &[(WORKFLOW, &job.replace("SCRIPT", "true"))]);
                let start = || {
                    let mut command = env.command(GRIT, &endless);
                    let running = env.start(command.arg("run").env("DOCKER_HOST", engine().host()));
                    wait_for("container", || match &owned_by(running.pid())[..] {
                        [_, _] => Ok(()),
                        other => Err(format!("{other:?} {}", running.stderr())),
                    });
                    running
                };
                let (dead, alive) = (start(), start());
                let (pid, other) = (dead.pid(), alive.pid());
                dead.end(Signal::KILL);
                assert_eq!(owned_by(pid).len(), 2, "a container and its network");
                run(&env, &short, &[]).expect_code(0);
                assert_eq!(owned_by(pid), [""; 0]);
                assert_eq!(owned_by(other).len(), 2);
                alive.end(Signal::TERM).expect_code(130);
                assert_eq!(owned_by(other), [""; 0]);
            }

            #[test]
            fn what_opens_the_machine_is_for_runners_that_are_trusted() {
                let env = Env::new();
                let text = workflow(
                    "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    container:\n      \
                     image: BUSYBOX\n      volumes: ['/:/host:ro']\n    steps: [{run: test -d /host/proc}]\n",
                );
                let shop = env.repository("shop", &[(WORKFLOW, &text)]);
                let out = run(&env, &shop, &[]).expect_code(1);
                assert!(out.stderr.contains("the machine's `/` would open"), "{}", out.stderr);
                let trusting = "runners: { \"ubuntu-*\": { trusted: true } }\n";
                env.commit(&shop, &[("grit.yaml", trusting)], "trust");
                run(&env, &shop, &[]).expect_code(0);
            }

            #[test]
            fn a_service_that_ends_at_once_is_told_with_its_log() {
                let env = Env::new();
                let text = workflow(
                    "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    services:\n      db:\n        \
                     image: BUSYBOX\n        command: sh -c 'echo no room for data; exit 3'\n      \
                     after:\n        image: BUSYBOX\n        command: sleep 1000\n        options: >-\n          \
                     --health-cmd '! ping -c 1 db' --health-interval 100ms --health-start-period 1h\n    \
                     steps: [{run: 'true'}]\n",
                );
                let shop = env.repository("shop", &[(WORKFLOW, &text)]);
                let out = run(&env, &shop, &[]).expect_code(1);
                assert!(out.stderr.contains("service container `db` failed"), "{}", out.stderr);
                assert!(out.stderr.contains("no room for data"), "{}", out.stderr);
            }

            #[test]
            fn labels_lead_to_what_grit_yaml_says() {
                let env = Env::new();
                let text = "on: push\njobs:\n  big:\n    runs-on: [self-hosted, big]\n    steps:\n      \
                            - run: test \"$GITHUB_WORKSPACE\" = /__w/shop/shop && ! command -v cargo\n  \
                            here:\n    runs-on: windows-2025\n    steps:\n      \
                            - run: test \"$GITHUB_WORKSPACE\" != /__w/shop/shop\n";
                let runners = format!(
                    "runners: {{ big: {{ container: \"{BUSYBOX}\" }}, \"windows-*\": host }}\n"
                );
                let files = [(WORKFLOW, text), ("grit.yaml", &runners)];
                let shop = env.repository("shop", &files);
                let out = run(&env, &shop, &[]).expect_code(0);
                assert!(out.stdout.contains("2 succeeded"), "{out:?}");
            }

            mod needs_docker_registry {
                use super::*;

                /// Debian's registry, with its own folder and port.
                struct Registry(Child);

                impl Drop for Registry {
                    fn drop(&mut self) {
                        let _ = self.0.kill();
                        let _ = self.0.wait();
                    }
                }

                fn registry(env: &Env, port: u16) -> Registry {
                    let config = format!(
                        "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
                         http: {{ addr: \"127.0.0.1:{port}\" }}\n",
                        env.path("registry").display()
                    );
                    let file = env.path("registry.yml");
                    std::fs::write(&file, config).unwrap();
                    let mut command = Command::new("docker-registry");
                    command.arg("serve").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
                    let registry = Registry(command.spawn().unwrap());
                    wait_for("registry", || {
                        let there = std::net::TcpStream::connect(("127.0.0.1", port));
                        there.map(drop).map_err(|error| error.to_string())
                    });
                    registry
                }

                #[test]
                fn a_job_builds_and_pushes_with_dockers_own_client() {
                    let env = Env::new();
                    let port = grit_testkit::free_port();
                    let _registry = registry(&env, port);
                    let text = workflow(&format!(
                        r#"
on: push
jobs:
  push:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          docker build --tag 127.0.0.1:{port}/shop:1 .
          docker push 127.0.0.1:{port}/shop:1
          docker image rm 127.0.0.1:{port}/shop:1
  pull:
    needs: push
    runs-on: ubuntu-latest
    container:
      image: 127.0.0.1:{port}/shop:1
      credentials: {{ username: me, password: '${{{{ github.sha }}}}' }}
    steps:
      - run: cat /word
"#
                    ));
                    let recipe = format!("FROM {BUSYBOX}\nCOPY word /word\n");
                    let files =
                        [(WORKFLOW, text.as_str()), ("word", "pushed\n"), ("Dockerfile", &recipe)];
                    let shop = env.repository("shop", &files);
                    let out = run(&env, &shop, &[]).expect_code(0);
                    assert!(out.stderr.contains("pushed\n"), "{}", out.stderr);
                }
            }

            mod needs_pg_lsclusters {
                use std::collections::BTreeSet;
                use std::fs;

                use super::*;

                const POSTGRES: &str = "grit-test/postgres:1";

                /// An image of this machine's PostgreSQL, with the libraries that it needs, over BusyBox.
                fn image(env: &Env, engine: &TestEngine) {
                    let root = env.path("postgres");
                    let versions = fs::read_dir("/usr/lib/postgresql").unwrap();
                    let version = versions.map(|entry| entry.unwrap().path()).max().unwrap();
                    let share =
                        Path::new("/usr/share/postgresql").join(version.file_name().unwrap());
                    let programs = ["postgres", "initdb", "psql", "pg_isready"];
                    let programs: Vec<_> =
                        programs.iter().map(|name| version.join("bin").join(name)).collect();
                    let library = version.join("lib");
                    let plain = ["plpgsql.so", "dict_snowball.so"].map(|name| library.join(name));
                    let mut files: BTreeSet<_> = programs.iter().chain(&plain).cloned().collect();
                    for file in &files.clone() {
                        files.extend(libraries(file));
                    }
                    for file in &files {
                        copy(file, &root);
                    }
                    let mut command = Command::new("cp");
                    command.current_dir("/").args(["-a", "--parents"]);
                    command.arg(share.strip_prefix("/").unwrap()).arg(&root);
                    assert!(command.status().unwrap().success());
                    let start = "#!/bin/sh\nset -e\nchown postgres /data\n\
                        su postgres -c \"initdb --no-sync --auth trust --username app --no-locale --encoding UTF8 /data\"\n\
                        echo 'host all all all trust' >> /data/pg_hba.conf\n\
                        exec su postgres -c \"exec postgres -D /data -k /tmp -h '*' -c fsync=off -c jit=off\"\n";
                    let recipe = format!(
                        "FROM {BUSYBOX}\nCOPY . /\nENV PATH={}/bin:/bin\n\
                         RUN echo 'postgres:x:70:70:p:/data:/bin/sh' >> /etc/passwd && mkdir /data && chmod 1777 /tmp && chmod +x /start.sh\n\
                         EXPOSE 5432\nCMD [\"/start.sh\"]\n",
                        version.display()
                    );
                    fs::write(root.join("start.sh"), start).unwrap();
                    fs::write(root.join("Dockerfile"), recipe).unwrap();
                    engine.docker(&["build", "--quiet", "--tag", POSTGRES, root.to_str().unwrap()]);
                }

                fn libraries(file: &Path) -> Vec<std::path::PathBuf> {
                    let said = Command::new("ldd").arg(file).output().unwrap().stdout;
                    let said = String::from_utf8_lossy(&said).into_owned();
                    let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
                    paths.map(Into::into).collect()
                }

                /// To the same place below `root`, as a file.
                fn copy(file: &Path, root: &Path) {
                    let to = root.join(file.strip_prefix("/").unwrap());
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::copy(file, to).unwrap();
                }

                #[test]
                fn tests_of_a_job_talk_to_a_real_database() {
                    let env = Env::new();
                    image(&env, engine());
                    let ask = "psql --no-psqlrc --tuples-only --no-align -U app";
                    let text = format!(
                        r#"
on: push
jobs:
  inside:
    runs-on: ubuntu-latest
    container: {POSTGRES}
    services: &services
      postgres:
        image: {POSTGRES}
        ports: ['5432']
        options: >-
          --health-cmd "pg_isready -h 127.0.0.1 -U app"
          --health-interval 1s --health-timeout 5s --health-retries 120
    steps:
      - run: test "$({ask} -h postgres -c 'select 6 * 7' postgres)" = 42
  outside:
    runs-on: ubuntu-latest
    services: *services
    steps:
      - run: >-
          test "$({ask} -h 127.0.0.1 -p ${{{{ job.services.postgres.ports['5432'] }}}}
          -c 'select 6 * 7' postgres)" = 42
"#
                    );
                    let shop = env.repository("shop", &[(WORKFLOW, &text)]);
                    let out = run(&env, &shop, &[]).expect_code(0);
                    assert!(out.stdout.contains("2 succeeded"), "{out:?}");
                }
            }
        }
    }
}
