//! The upstreams and the three proxies before them, set up alike.

use std::{cell::Cell, fs, net::TcpStream, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;

use crate::tools;

use super::{
    ask,
    part::{Part, free_port},
};

/// What the upstreams answer.
const BODY: &str = "a body of fifty-four bytes, as small answers often are";
const _: () = assert!(BODY.len() == 54, "the length that it speaks of");

/// The share of requests that goes to the second upstream.
pub const CANARY_PERCENT: u32 = 10;
const STABLE_PERCENT: u32 = 100 - CANARY_PERCENT;

/// Unused connections that a proxy may keep: more than there are clients.
const POOL: u32 = 64;
/// Requests on one connection, where a proxy counts them: no limit that is reached.
const KEPT_ALIVE: u32 = 1_000_000_000;

/// The host that the edge routes by its slot.
pub const HOST: &str = "api.production.localhost";

/// A proxy that serves.
pub struct Proxy {
    pub name: &'static str,
    pub version: String,
    part: Part,
    port: u16,
}

impl Proxy {
    fn start(
        folder: &Path,
        name: &'static str,
        version: String,
        port: u16,
        command: &mut Command,
    ) -> Result<Self> {
        let mut part = Part::start(folder, name, command)?;
        part.wait_for(|| listens(port))?;
        Ok(Self { name, version, part, port })
    }

    pub fn address(&self) -> String {
        address(self.port)
    }

    /// Of the proxy with all its threads and processes.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.part.cpu_time()
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// What a program says of itself, in a line.
fn version_of(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("start {program}"))?;
    // nginx tells its version on stderr.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Two servers that answer at once, and count.
pub struct Upstreams {
    stable: u16,
    canary: u16,
    /// How often each was asked for its count, which it counts as well.
    asked: Cell<u64>,
    _parts: [Part; 2],
}

/// How many requests each upstream has answered.
#[derive(Clone, Copy)]
pub struct Served {
    pub stable: u64,
    pub canary: u64,
}

impl Upstreams {
    pub fn start(folder: &Path) -> Result<Self> {
        let (stable, canary) = (free_port()?, free_port()?);
        let start = |name: &str, port: u16| -> Result<Part> {
            let mut command = nginx_command(folder, name, &upstream(port))?;
            let mut part = Part::start(folder, name, &mut command)?;
            part.wait_for(|| listens(port))?;
            Ok(part)
        };
        let parts = [start("stable", stable)?, start("canary", canary)?];
        Ok(Self { stable, canary, asked: Cell::new(0), _parts: parts })
    }

    /// Requests so far, without those of this function.
    pub fn served(&self) -> Result<Served> {
        self.asked.set(self.asked.get() + 1);
        let of = |port: u16| -> Result<u64> {
            let status = ask::get(&address(port), "/status")?;
            let total = requests(&status).with_context(|| format!("read the status {status:?}"))?;
            Ok(total - self.asked.get())
        };
        Ok(Served { stable: of(self.stable)?, canary: of(self.canary)? })
    }
}

/// The third number below `server accepts handled requests` (ngx_http_stub_status_module).
fn requests(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    lines.find(|line| line.contains("handled requests"))?;
    lines.next()?.split_whitespace().nth(2)?.parse().ok()
}

/// `nginx` in the foreground with the `http` block `http`, one worker, and nothing of the machine's own configuration.
fn nginx_command(folder: &Path, name: &str, http: &str) -> Result<Command> {
    let place = folder.join(format!("{name}.d"));
    fs::create_dir(&place)?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", place.display()))
        .concat();
    let text = format!(
        "worker_processes 1;\ndaemon off;\npid {0}/pid;\nerror_log stderr;\nevents {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests {KEPT_ALIVE};\n{temporary}{http}}}\n",
        place.display()
    );
    let configuration = place.join("nginx.conf");
    fs::write(&configuration, text)?;
    let mut command = tools::command("nginx");
    command.arg("-p").arg(&place).arg("-e").arg("stderr").arg("-c").arg(&configuration);
    Ok(command)
}

fn upstream(port: u16) -> String {
    format!(
        "  server {{\n    listen {};\n    location / {{ return 200 \"{BODY}\"; }}\n    \
         location = /status {{ stub_status; }}\n  }}\n",
        address(port)
    )
}

/// nginx, as its documentation says to keep connections to upstreams.
pub fn nginx(folder: &Path, upstreams: &Upstreams) -> Result<Proxy> {
    let port = free_port()?;
    let http = format!(
        "  upstream shop {{\n    server {} weight={STABLE_PERCENT};\n    server {} weight={CANARY_PERCENT};\n    \
         keepalive {POOL};\n    keepalive_requests {KEPT_ALIVE};\n  }}\n  server {{\n    listen {};\n    \
         location / {{\n      proxy_pass http://shop;\n      proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\";\n      proxy_set_header Host $host;\n    }}\n  }}\n",
        address(upstreams.stable),
        address(upstreams.canary),
        address(port)
    );
    let version = version_of(tools::command("nginx").arg("-v"))?;
    let mut command = nginx_command(folder, "nginx", &http)?;
    Proxy::start(folder, "nginx", version, port, &mut command)
}

/// haproxy in the foreground, one thread; connections to servers are shared among clients.
pub fn haproxy(folder: &Path, upstreams: &Upstreams) -> Result<Proxy> {
    let port = free_port()?;
    let text = format!(
        "global\n  nbthread 1\n  maxconn 1024\ndefaults\n  mode http\n  http-reuse always\n  timeout connect 1s\n  \
         timeout client 75s\n  timeout server 60s\nfrontend clients\n  bind {}\n  default_backend shop\n\
         backend shop\n  balance roundrobin\n  server stable {} weight {STABLE_PERCENT}\n  \
         server canary {} weight {CANARY_PERCENT}\n",
        address(port),
        address(upstreams.stable),
        address(upstreams.canary)
    );
    let configuration = folder.join("haproxy.cfg");
    fs::write(&configuration, text)?;
    let version = version_of(tools::command("haproxy").arg("-v"))?;
    let mut command = tools::command("haproxy");
    command.arg("-db").arg("-f").arg(&configuration);
    Proxy::start(folder, "haproxy", version, port, &mut command)
}

/// `grit edge` with one thread, its route put through the admin socket as a controller does.
pub fn grit(folder: &Path, binary: &Path, upstreams: &Upstreams) -> Result<Proxy> {
    let (port, data) = (free_port()?, folder.join("data"));
    fs::create_dir(&data)?;
    let mut command = Command::new(binary);
    command.arg("edge").arg("--data").arg(&data);
    command.args(["--listen", &address(port), "--threads", "1"]);
    let version = version_of(Command::new(binary).arg("--version"))?;
    let mut proxy = Proxy::start(folder, "grit", version, port, &mut command)?;
    let socket = data.join("edge/admin.sock");
    proxy.part.wait_for(|| socket.exists())?;
    ask::put(&socket, "/routes", &route(upstreams, CANARY_PERCENT * 100, 1))
        .context("give grit edge its route")?;
    Ok(proxy)
}

/// The edge's route over both upstreams, `canary` basis points of it to the second.
pub fn route(upstreams: &Upstreams, canary: u32, sequence: u64) -> String {
    let group = |revision: u16, weight: u32, port: u16| {
        json!({
            "revision": revision,
            "version": format!("v{revision}.0.0"),
            "weight": weight,
            "stable": revision == 1,
            "endpoints": [{"instance": format!("ins_{revision:026}"), "address": address(port)}],
        })
    };
    let route = json!({
        "slot": {"tenant": "local", "repo": "shop", "environment": "production", "service": "api"},
        "fence": 1,
        "sequence": sequence,
        "groups": [
            group(1, 10_000 - canary, upstreams.stable),
            group(2, canary, upstreams.canary),
        ],
        "guard": {
            "error_rate": 5_000,
            "window": 10_000,
            "min_requests": 100,
        },
        "request_timeout": 30_000,
    });
    route.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_page_counts_requests() {
        let status =
            "Active connections: 1 \nserver accepts handled requests\n 3 3 17 \nReading: 0\n";
        assert_eq!(requests(status), Some(17));
        assert_eq!(requests("<html>"), None);
    }
}
