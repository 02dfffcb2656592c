//! For tests: a server to deploy (`serve`), the shim that starts it, and an owner of a target that
//! waits to be killed (`own DATA`).
//!
//! The server obeys its environment (`EXIT_AT_START=CODE`, `NEVER_LISTEN`, `HEALTH=STATUS`) and
//! its requests: `/health`, `/health/STATUS` sets what that answers from now on, `/env`, `/pid`,
//! `/say/TEXT` writes a line to the log, `/exit/CODE`.
#![forbid(unsafe_code)]

#[path = "../../tests/it/ground.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod ground;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use grit_rollout::Target;
use grit_target::process::ProcessTarget;

type Error = Box<dyn std::error::Error + Send + Sync>;

const EXIT_PORT_IN_USE: i32 = 98;

fn main() -> ExitCode {
    if let Some(code) = grit_host::shim::run_if_asked() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["serve"] => serve(),
        ["own", data] => own(Path::new(data)),
        _ => Err("serve, or own DATA".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Has two instances, says so by a file, and waits to be killed.
fn own(data: &Path) -> Result<(), Error> {
    let fixture = std::env::current_exe()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let config = ground::config(data, &fixture, Arc::default());
        let set = ground::set(ground::artifacts(data, &fixture).1);
        let target = ProcessTarget::open(config).await?;
        let ensured = target.ensure(&ground::effect(1), &set).await;
        std::fs::write(data.join("owned"), format!("{ensured:?}"))?;
        std::future::pending().await
    })
}

fn serve() -> Result<(), Error> {
    if let Ok(code) = std::env::var("EXIT_AT_START") {
        say("cannot read its configuration");
        std::process::exit(code.parse()?);
    }
    if std::env::var_os("NEVER_LISTEN").is_some() {
        std::thread::park();
    }
    let health = std::env::var("HEALTH").map_or(Ok(200), |status| status.parse())?;
    let health = Arc::new(AtomicU16::new(health));
    let port = std::env::var("PORT")?.parse()?;
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("bind {port}: {error}"));
            std::process::exit(EXIT_PORT_IN_USE);
        }
    };
    for stream in listener.incoming() {
        let (stream, health) = (stream?, health.clone());
        std::thread::spawn(move || {
            // A caller that went away is no reason to end.
            let _ = answer(stream, &health);
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream, health: &AtomicU16) -> Result<(), Error> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().ok_or("no request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).ok_or("no path")?;
    let (mut status, mut body) = (200, String::new());
    match path.split_once('/').map(|(_, path)| path.split_once('/').unwrap_or((path, ""))) {
        Some(("health", "")) => status = health.load(Ordering::SeqCst),
        Some(("health", set)) => health.store(set.parse()?, Ordering::SeqCst),
        Some(("pid", _)) => body = std::process::id().to_string(),
        Some(("say", text)) => say(text),
        Some(("exit", code)) => std::process::exit(code.parse()?),
        Some(("env", _)) => {
            for (name, value) in std::env::vars() {
                writeln!(body, "{name}={value}")?;
            }
        }
        _ => status = 404,
    }
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    Ok(())
}
