//! The life of a service: start with what the environment says, serve, drain
//! on SIGTERM, end.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

use super::fault::Switch;
use super::http::{Request, Response};
use super::json::Json;
use super::server::{DRAIN_MAX, Server};
use super::signal::Termination;

/// The configuration file, in the working directory or next to the binary.
const CONFIG: &str = "shop.conf";
const EXIT_FAILED: u8 = 1;
const EXIT_MISCONFIGURED: u8 = 2;

pub type Handler = Box<dyn Fn(&Request) -> Response + Send + Sync>;

/// A service: what every one has, and the handler of its own routes.
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
    pub faults: Switch,
    pub handle: Handler,
}

impl Service {
    /// Answers the routes that every service has, and passes on the others.
    pub fn answer(&self, request: &Request) -> Response {
        let name = ("service", Json::from(self.name));
        let version = ("version", Json::from(self.version));
        match (request.head.method.as_str(), request.head.path.as_str()) {
            ("GET" | "HEAD", "/health") => {
                Response::json(200, &Json::object([("status", Json::from("ok")), name, version]))
            }
            ("GET" | "HEAD", "/version") => Response::json(200, &Json::object([name, version])),
            (_, "/health" | "/version") => Response::method_not_allowed("GET, HEAD"),
            _ => (self.handle)(request),
        }
    }
}

/// Why a service did not start; the message says what to do about it.
pub struct StartError {
    message: String,
    exit: u8,
}

impl StartError {
    /// The environment or the configuration file is wrong.
    pub fn misconfigured(message: impl Display) -> Self {
        Self { message: message.to_string(), exit: EXIT_MISCONFIGURED }
    }

    fn failed(what: &str, error: &io::Error) -> Self {
        Self { message: format!("{what}: {error}"), exit: EXIT_FAILED }
    }
}

/// Runs a service until SIGTERM or SIGINT. Exit codes: 0 stopped on request,
/// 1 could not listen, 2 wrong configuration.
pub fn run(
    name: &'static str,
    version: &'static str,
    handler: Result<Handler, StartError>,
) -> ExitCode {
    match handler.and_then(|handle| serve(name, version, handle)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(format_args!("{name}: {}", error.message));
            ExitCode::from(error.exit)
        }
    }
}

/// Writes one line for whoever runs the service. A log that cannot be written,
/// because its disk is full, is no reason to end: `eprintln!` would panic.
pub fn log(line: impl Display) {
    // In one piece, so that lines of several processes do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn serve(name: &'static str, version: &'static str, handle: Handler) -> Result<(), StartError> {
    let port = port(env::var("PORT").ok().as_deref())?;
    let faults = load_switch()?;
    let notice = faults.describe();
    // Before the first connection: a SIGTERM must never find the default.
    let termination = Termination::install()
        .map_err(|error| StartError::failed("cannot handle SIGTERM", &error))?;
    let server = Server::start(port, Service { name, version, faults, handle });
    let server = server.map_err(|error| {
        StartError::failed(&format!("cannot listen on 127.0.0.1:{port}"), &error)
    })?;
    log(format_args!("{name} {version}: listening on http://{}", server.address()));
    if let Some(notice) = notice {
        log(format_args!("{name} {version}: {notice}"));
    }
    termination.wait().map_err(|error| StartError::failed("cannot wait for SIGTERM", &error))?;
    log(format_args!("{name} {version}: draining"));
    match server.drain() {
        0 => log(format_args!("{name} {version}: stopped")),
        cut => log(format_args!(
            "{name} {version}: stopped, {cut} connections were still open after {DRAIN_MAX:?}"
        )),
    }
    Ok(())
}

fn port(value: Option<&str>) -> Result<u16, StartError> {
    let value = value.ok_or_else(|| {
        StartError::misconfigured("PORT is not set; try: PORT=8081 and the same command")
    })?;
    value.parse().map_err(|_| {
        StartError::misconfigured(format!("PORT must be a number from 0 to 65535, found `{value}`"))
    })
}

/// No file at all is a healthy service; a file with a mistake is refused.
fn load_switch() -> Result<Switch, StartError> {
    let beside_binary = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(CONFIG)));
    for path in [Some(PathBuf::from(CONFIG)), beside_binary].into_iter().flatten() {
        let shown = path.display();
        match fs::read_to_string(&path) {
            Ok(text) => {
                let switch = Switch::parse(&text);
                return switch.map_err(|error| {
                    StartError::misconfigured(format!("{shown}:{}: {}", error.line, error.problem))
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StartError::misconfigured(format!("{shown}: {error}"))),
        }
    }
    Switch::parse("").map_err(|error| StartError::misconfigured(error.problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_comes_from_the_environment_or_not_at_all() {
        assert!(matches!(port(Some("8081")), Ok(8081)));
        for bad in [None, Some(""), Some("web"), Some("70000"), Some("-1")] {
            assert!(port(bad).is_err_and(|error| error.exit == EXIT_MISCONFIGURED), "{bad:?}");
        }
    }
}
