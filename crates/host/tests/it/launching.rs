use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use grit_host::{Exit, InvalidSpec, LaunchError, Limit, Limits, Output, Shim, Spec, launch};
use tokio::io::AsyncReadExt;

use crate::world::{World, ended, kill, open_reader, patiently, shim, until};

/// A log that nobody reads holds the shim up between its record and its exec.
fn held_up(world: &World) -> Spec {
    let gate = world.fifo("gate");
    world.sh("touch effect").output(Output::File(gate))
}

#[tokio::test]
async fn record_precedes_the_first_effect() {
    let world = World::new();
    let (spec, record, shim) = (held_up(&world).synced(), world.record(), shim());
    let launching = tokio::spawn(async move { launch(spec, &record, &shim).await });
    until("recorded", || world.recorded().is_some()).await;
    let recorded = world.recorded().unwrap();
    assert!(recorded.is_alive().unwrap());
    assert!(!world.path("effect").exists());

    let _reader = open_reader(&world.path("gate"));
    let launched = patiently("launch", launching).await.unwrap().unwrap();
    assert_eq!(launched.session(), &recorded);
    assert_eq!(recorded.marker(), world.marker());
    assert_eq!(ended(&launched).await, Exit::Code(0));
    assert!(world.path("effect").exists());
    assert!(!recorded.is_alive().unwrap());
}

#[tokio::test]
async fn shim_that_dies_before_exec_leaves_a_record_of_the_dead() {
    let world = World::new();
    let (spec, record, shim) = (held_up(&world), world.record(), shim());
    let launching = tokio::spawn(async move { launch(spec, &record, &shim).await });
    until("recorded", || world.recorded().is_some()).await;
    kill(world.recorded().unwrap().leader().pid);

    let launched = patiently("launch", launching).await.unwrap().unwrap();
    assert_eq!(ended(&launched).await, Exit::Signal(9));
    assert!(!world.recorded().unwrap().is_alive().unwrap());
    assert!(!world.path("effect").exists());

    let again = world.run("exit 4").await;
    assert_eq!(ended(&again).await, Exit::Code(4));
}

#[tokio::test]
async fn launch_that_is_given_up_starts_nothing() {
    let world = World::new();
    let (spec, record, shim) = (held_up(&world), world.record(), shim());
    let launching = tokio::spawn(async move { launch(spec, &record, &shim).await });
    until("recorded", || world.recorded().is_some()).await;
    launching.abort();
    assert!(launching.await.unwrap_err().is_cancelled());

    patiently("end", world.recorded().unwrap().wait_gone()).await.unwrap();
    let _reader = open_reader(&world.path("gate"));
    assert_eq!(world.marked(), []);
    assert!(!world.path("effect").exists());
}

#[tokio::test]
async fn shim_that_nobody_listens_to_starts_nothing() {
    let world = World::new();
    let (listener, answers) = std::io::pipe().unwrap();
    drop(listener);
    let status = Command::new(env!("CARGO_BIN_EXE_grit-host-shim"))
        .args(["__exec", "--record"])
        .arg(world.record())
        .args(["--synced", "0", "--marker-key", "GRIT_TEST", "--marker-value", "x", "--cwd"])
        .arg(world.path(""))
        .args(["--core", "0", "--", "/usr/bin/touch", "effect"])
        .stdin(answers)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(125));
    assert!(!world.record().exists());
    assert!(!world.path("effect").exists());
}

#[tokio::test]
async fn environment_is_exactly_what_was_given() {
    let world = World::new();
    let spec = Spec::new("/usr/bin/env", world.marker().clone())
        .envs([("B", "two words"), ("A", ""), ("C", "x=y\nz")])
        .output(Output::File(world.path("log")));
    let launched = world.launch(spec).await.unwrap();
    assert!(ended(&launched).await.is_success());
    let marker = world.marker();
    assert_eq!(world.read("log"), format!("A=\nB=two words\nC=x=y\nz\n{marker}\n"));
}

#[tokio::test]
async fn only_standard_streams_are_handed_over_and_input_is_empty() {
    let world = World::new();
    let launched = world.launch(world.spec("cat")).await.unwrap();
    assert!(ended(&launched).await.is_success());
    assert_eq!(world.read("log"), "");

    let launched = world.launch(world.spec("ls").arg("/proc/self/fd")).await.unwrap();
    assert!(ended(&launched).await.is_success());
    let log = world.read("log");
    let mut open: Vec<u32> = log.lines().map(|fd| fd.parse().unwrap()).collect();
    // `ls` has the folder open that it lists.
    let folder = (0..).find(|fd| !inherited().contains(fd)).unwrap();
    open.retain(|&fd| fd != folder);
    open.sort_unstable();
    assert_eq!(open, inherited());
}

/// The descriptors that any child of this process gets: it may have been started with some.
fn inherited() -> Vec<u32> {
    const CLOEXEC: u32 = 0o2_000_000;
    let mut fds = Vec::from([0, 1, 2]);
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Tests run side by side: a descriptor may be closed by now.
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{name}")) else {
            continue;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        fds.push(name.parse().unwrap());
        if flags & CLOEXEC != 0 {
            fds.pop();
        }
    }
    fds.sort_unstable();
    fds.dedup();
    fds
}

#[tokio::test]
async fn working_folder_and_relative_program() {
    let world = World::new();
    let tool = world.path("tool");
    fs::write(&tool, "#!/bin/sh\npwd -P\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap();
    let launched = world.launch(world.spec("./tool")).await.unwrap();
    assert!(ended(&launched).await.is_success());

    let by_path = world.spec("tool").env("PATH", world.path(""));
    let launched = world.launch(by_path).await.unwrap();
    assert!(ended(&launched).await.is_success());
    let folder = world.path("").canonicalize().unwrap();
    let line = format!("{}\n", folder.display());
    assert_eq!(world.read("log"), line.repeat(2));
}

#[tokio::test]
async fn logs_are_appended_to() {
    let world = World::new();
    for _ in 0..2 {
        let launched = world.run("echo out; echo err >&2; echo out").await;
        ended(&launched).await;
    }
    assert_eq!(world.read("log"), "out\nerr\nout\n".repeat(2));

    let (stdout, stderr) = (world.path("stdout"), world.path("stderr"));
    let apart = Output::Files { stdout, stderr };
    let spec = world.sh("echo out; echo err >&2").output(apart);
    ended(&world.launch(spec).await.unwrap()).await;
    assert_eq!((world.read("stdout"), world.read("stderr")), ("out\n".into(), "err\n".into()));
}

#[tokio::test]
async fn pipe_carries_both_streams_to_their_end() {
    let world = World::new();
    let spec = world.sh("echo out; echo err >&2; exit 3").output(Output::Pipe);
    let mut launched = world.launch(spec).await.unwrap();
    let mut text = String::new();
    let mut output = launched.take_output().unwrap();
    patiently("end of output", output.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "out\nerr\n");
    assert!(launched.take_output().is_none());
    assert_eq!(ended(&launched).await, Exit::Code(3));
    assert_eq!(launched.try_exit(), Some(Exit::Code(3)));
}

#[tokio::test]
async fn limits_hold() {
    let world = World::new();
    let limits = Limits {
        open_files: Some(5),
        memory_bytes: Some(512 << 20),
        processes: Some(1234),
        core_bytes: 0,
    };
    let shown = "ulimit -n; ulimit -Hn; ulimit -v; ulimit -p; ulimit -c; ulimit -Hc";
    let spec = world.sh(&format!("{shown}; exec 3</dev/null 4</dev/null; echo 4; exec </dev/null"));
    let launched = world.launch(spec.limits(limits)).await.unwrap();
    assert_ne!(ended(&launched).await, Exit::Code(0), "a sixth file was opened");
    let log = world.read("log");
    assert!(log.starts_with("5\n5\n524288\n1234\n0\n0\n4\n"), "{log}");
}

#[tokio::test]
async fn limit_beyond_the_systems_is_refused() {
    let world = World::new();
    let limits = Limits { open_files: Some(1 << 40), ..Limits::default() };
    let refused = world.launch(world.sh("touch effect").limits(limits)).await;
    let Err(LaunchError::Limit { limit: Limit::OpenFiles, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(!world.record().exists());
    assert!(!world.path("effect").exists());
}

#[tokio::test]
async fn exit_is_a_code_or_a_signal() {
    let world = World::new();
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 255", Exit::Code(255)),
        ("kill -TERM $$", Exit::Signal(15)),
    ] {
        let launched = world.run(script).await;
        let (one, other) = tokio::join!(launched.wait(), launched.wait());
        assert_eq!((one.unwrap(), other.unwrap()), (exit, exit), "{script}");
    }
}

#[tokio::test]
async fn broken_pipe_ends_the_command() {
    let world = World::new();
    let mut launched = world.launch(world.sh("yes").output(Output::Pipe)).await.unwrap();
    drop(launched.take_output());
    // `yes` is a child of the shell: 128 + SIGPIPE, or the shell itself if it exec'd.
    let exit = patiently("end", launched.wait()).await.unwrap();
    assert_eq!(exit.shell_code(), 128 + 13);
}

#[tokio::test]
async fn what_cannot_be_launched_says_why_and_leaves_no_record() {
    let world = World::new();
    fs::write(world.path("data"), "no program").unwrap();
    let script = world.path("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let in_no_folder = |name: &str| world.path("none").join(name);

    type Expected = fn(&LaunchError) -> bool;
    let cases: [(Spec, Expected); 9] = [
        (world.spec("no-such-command"), |e| matches!(e, LaunchError::NotFound { .. })),
        (world.spec("./no-such-file"), |e| matches!(e, LaunchError::NotFound { .. })),
        (world.spec("./script"), |e| matches!(e, LaunchError::NotFound { .. })),
        (world.spec("./data"), |e| matches!(e, LaunchError::NotExecutable { .. })),
        (world.spec("/"), |e| matches!(e, LaunchError::NotExecutable { .. })),
        (world.sh("").cwd(in_no_folder("")), |e| matches!(e, LaunchError::Cwd { .. })),
        (world.sh("").cwd(world.path("data")), |e| matches!(e, LaunchError::Cwd { .. })),
        (world.sh("").output(Output::File(in_no_folder("log"))), |e| {
            matches!(e, LaunchError::Log { .. })
        }),
        (world.sh(&"x".repeat(1 << 20)), |e| {
            matches!(e, LaunchError::Invalid(InvalidSpec::TooLong))
        }),
    ];
    for (spec, expected) in cases {
        let shown = format!("{spec:.200?}");
        let error = world.launch(spec).await.expect_err(&shown);
        assert!(expected(&error), "{error:?}");
        assert!(!world.record().exists(), "{error:?}");
    }
    assert_eq!(world.marked(), []);
}

#[tokio::test]
async fn record_that_cannot_be_written_stops_the_launch() {
    let world = World::new();
    let record = world.path("none").join("record.json");
    let refused = launch(world.sh("touch effect").synced(), &record, &shim()).await;
    assert!(matches!(refused, Err(LaunchError::Record { .. })), "{refused:?}");
    assert!(!world.path("effect").exists());
}

#[tokio::test]
async fn program_that_is_no_shim() {
    let world = World::new();
    let launch_by = async |program: &str| {
        let shim = Shim::at(program);
        launch(world.sh("touch effect"), &world.record(), &shim).await
    };
    let died = launch_by("/bin/false").await;
    assert!(matches!(died, Err(LaunchError::ShimDied { exit: Exit::Code(1) })), "{died:?}");
    let missing = launch_by("/no/such/shim").await;
    assert!(matches!(missing, Err(LaunchError::Shim { .. })), "{missing:?}");
    assert!(!world.path("effect").exists());
}

#[tokio::test]
async fn record_of_a_running_command_is_not_overwritten() {
    let world = World::new();
    let first = world.run("exec sleep 600").await;
    let second = world.launch(world.sh("touch effect")).await;
    let Err(LaunchError::AlreadyRunning { session }) = second else {
        panic!("{second:?}");
    };
    assert_eq!(&session, first.session());
    assert_eq!(world.recorded().as_ref(), Some(first.session()));
    assert!(!world.path("effect").exists());
}

#[tokio::test]
async fn program_open_for_writing_is_waited_for() {
    let world = World::new();
    let tool = world.path("tool");
    fs::copy("/bin/true", &tool).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&tool).unwrap();
    let (spec, record, shim) = (world.spec("./tool"), world.record(), shim());
    let launching = tokio::spawn(async move { launch(spec, &record, &shim).await });
    until("recorded", || world.recorded().is_some()).await;
    drop(writer);
    let launched = patiently("launch", launching).await.unwrap().unwrap();
    assert!(ended(&launched).await.is_success());
}
