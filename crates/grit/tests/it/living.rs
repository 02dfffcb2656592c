//! A small service of a test's own, deployed by pushes: what it does is said by its command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::env::{Env, GRIT, Running, wait_for};

/// Answers with its first argument and its pid. `sick` is never healthy, `dying` ends by itself.
const SOURCE: &str = r#"
use std::io::{BufRead, BufReader, Write};
fn main() {
    let name = std::env::args().nth(1).unwrap();
    let address = format!("127.0.0.1:{}", std::env::var("PORT").unwrap());
    let listener = std::net::TcpListener::bind(address).unwrap();
    if name.starts_with("dying") {
        std::thread::spawn(|| {
            std::thread::sleep(std::time::Duration::from_secs(3));
            std::process::exit(9);
        });
    }
    for stream in listener.incoming() {
        let (stream, name) = (stream.unwrap(), name.clone());
        std::thread::spawn(move || serve(stream, &name));
    }
}
fn serve(mut stream: std::net::TcpStream, name: &str) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        let first = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        let sick = name == "sick" && first.contains("/health");
        let status = if sick { "503 Service Unavailable" } else { "200 OK" };
        let body = format!("{name} {}", std::process::id());
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}
"#;

const ANY: &str = "127.0.0.1:0";

/// `grit up` of a repository with one service, `svc`, and one environment, `live`.
pub struct Living<'a> {
    env: &'a Env,
    pub repository: PathBuf,
    pub up: Running,
    pub data: PathBuf,
}

impl<'a> Living<'a> {
    /// Compiles the service and starts the server; nothing is deployed yet.
    pub fn start(env: &'a Env) -> Self {
        compile(env);
        Self::resume(env, env.repository("shelf", &[]))
    }

    /// Starts the server on what is there.
    pub fn resume(env: &'a Env, repository: PathBuf) -> Self {
        let args = ["up", "--listen", ANY, "--edge-listen", ANY];
        let up = env.start(env.command(GRIT, &repository).args(args));
        wait_for("control process", || {
            up.stdout().contains("data ").then_some(()).ok_or_else(|| up.stderr())
        });
        let data = repository.join(".git/grit/data");
        Self { env, repository, up, data }
    }

    /// Commits a version whose instances run `command`, and pushes its tag.
    pub fn push(&self, version: &str, command: &str, strategy: &str) {
        commit(self.env, &self.repository, version, command, strategy);
        self.env.git(&self.repository, &["push", "--quiet", "grit", "main", version]);
    }

    /// The deployment of a version once it has one of these ends.
    #[track_caller]
    pub fn ended(&self, version: &str, ends: &[&str]) -> Value {
        let done = ["SUCCEEDED", "FAILED", "ROLLED_BACK", "CANCELLED", "DEGRADED", "SUPERSEDED"];
        let deployment = wait_for(&format!("end of {version}"), || {
            let slot = self.slot()?;
            let deployment = slot["deployment"].clone();
            let over = done.iter().any(|end| deployment["status"] == *end);
            let there = deployment["version"] == version && over;
            if there { Ok(deployment) } else { Err(slot.to_string()) }
        });
        assert!(ends.iter().any(|end| deployment["status"] == *end), "{deployment:#}");
        deployment
    }

    pub fn slot(&self) -> Result<Value, String> {
        let overview = self.env.data(&self.repository, &["status", "--json"]);
        let slot = &overview["slots"][0];
        if slot.is_null() { Err(overview.to_string()) } else { Ok(slot.clone()) }
    }

    /// The pids of the instances that were started with this name.
    pub fn pids(&self, name: &str) -> Vec<i32> {
        let mut processes = self.env.processes();
        processes.retain(|(_, line)| line.starts_with("./svc ") && line.contains(name));
        processes.into_iter().map(|(pid, _)| pid).collect()
    }

    pub fn serve_file(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.data.join("serve.json")).unwrap()).unwrap()
    }

    /// What the API answers, as its owner is answered.
    pub fn get(&self, path: &str) -> Value {
        self.curl(path, &[])
    }

    /// The same, of a JSON body under a key.
    pub fn post(&self, path: &str, key: Option<&str>, body: &str) -> Value {
        let header = format!("Idempotency-Key: {}", key.unwrap_or_default());
        let mut args = vec!["--json", body];
        if key.is_some() {
            args.extend(["--header", &header]);
        }
        self.curl(path, &args)
    }

    fn curl(&self, path: &str, args: &[&str]) -> Value {
        let file = self.serve_file();
        let url = format!("http://{}{path}", file["server"].as_str().unwrap());
        let who = format!("Authorization: Bearer {}", file["token"].as_str().unwrap());
        let mut command = self.env.command("curl", &self.repository);
        let out = self.env.run(command.args(["-s", "--header", &who, &url]).args(args));
        out.expect_code(0).document()
    }

    /// Asks the service again and again, through the edge.
    pub fn load(&self) -> Load {
        Load::start(self.serve_file()["edge"].as_str().unwrap().parse().unwrap())
    }
}

/// The service's program, as `svc` in the test's folder.
pub fn compile(env: &Env) {
    std::fs::write(env.path("svc.rs"), SOURCE).unwrap();
    let args = ["--edition=2024", "-Cdebuginfo=0", "-Cstrip=symbols", "svc.rs", "-o", "svc"];
    env.run(env.command("rustc", &env.path("")).args(args)).expect_code(0);
}

/// Commits and tags a version whose instances run `command`.
pub fn commit(env: &Env, repository: &Path, version: &str, command: &str, strategy: &str) {
    let workflow = format!(
        "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - run: mkdir out && cp '{}' out/svc && grit artifact push svc out\n",
        env.path("svc").display()
    );
    let config = config(command, strategy);
    let files = [(".github/workflows/ci.yml", &*workflow), ("grit.yaml", &*config)];
    env.commit(repository, &files, version);
    env.git(repository, &["tag", version]);
}

fn config(command: &str, strategy: &str) -> String {
    format!(
        "services:\n  svc:\n    run:\n      command: {command}\n      replicas: 2\n      \
         drain: 1s\n      health: {{ interval: 200ms, deadline: 3s }}\n\
         environments:\n  live: {{ when: {{ tag: 'v*' }}, strategy: s, rollbackWindow: 0s }}\n\
         strategies:\n  s: {strategy}\n"
    )
}

/// One request on a connection that is kept; what came back, as `STATUS BODY`.
fn ask(address: SocketAddr, kept: &mut Option<TcpStream>) -> std::io::Result<String> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => TcpStream::connect(address)?,
    };
    stream.set_read_timeout(Some(crate::env::PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: svc.live.localhost\r\n\r\n")?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length, mut closes) = (String::new(), 0, false);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(": ") {
            Some(("content-length", text)) => length = text.parse().unwrap(),
            Some(("connection", "close")) => closes = true,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !closes {
        *kept = Some(stream);
    }
    let status = first.split(' ').nth(1).unwrap_or_default();
    Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
}

/// Requests, one after the other, until it is dropped.
pub struct Load {
    answers: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Load {
    /// Asks `svc` in `live` at this edge.
    pub fn start(address: SocketAddr) -> Self {
        let (answers, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (seen, stopped) = (answers.clone(), stop.clone());
        let asking = std::thread::spawn(move || {
            let mut connection = None;
            while !stopped.load(Ordering::Relaxed) {
                let answer = ask(address, &mut connection);
                seen.lock().unwrap().push(answer.unwrap_or_else(|error| format!("lost {error}")));
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { answers, stop, asking: Some(asking) }
    }

    /// The answers since the last time, after some more have come.
    pub fn answers(&self) -> Vec<String> {
        let before = self.answers.lock().unwrap().len();
        wait_for("answers", || {
            let now = self.answers.lock().unwrap().len();
            if now > before + 20 { Ok(()) } else { Err(now.to_string()) }
        });
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.asking.take().unwrap().join();
    }
}
