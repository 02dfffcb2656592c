//! What the demo stands on: a data folder, a control process, tokens, a clone of the shop.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use grit_server::NewToken;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::cli::args::Demo;
use crate::client::Client;
use crate::compose::{DataFolder, EdgeProcess, ServeFile};
use crate::exit::{Exit, Failure};

use super::report::Kept;
use super::shop::Shop;

/// From start to answering.
const START_MAX: Duration = Duration::from_secs(20);
/// The repository's name.
pub const REPO: &str = "shop";

pub struct World {
    folder: Mutex<Option<TempDir>>,
    root: PathBuf,
    pub data: DataFolder,
    pub shop: Shop,
    /// Who writes the releases.
    pub author: Client,
    pub author_token: String,
    /// Who approves them.
    pub lead: Client,
    pub file: ServeFile,
    control: tokio::sync::Mutex<Child>,
    /// The control process outlives us.
    keep: bool,
}

impl World {
    /// Makes everything, and starts the control process.
    pub async fn make(options: &Demo) -> Result<Self, Failure> {
        needs_rustc()?;
        let folder = tempfile::Builder::new().prefix("grit-demo-").tempdir();
        let folder = folder.map_err(|error| Failure::because("no temporary folder", &error))?;
        let root = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_owned());
        let data = DataFolder::open(&root.join("data"))?;
        let any = "127.0.0.1:0";
        let (control, file) = start(data.root(), any, any, options.keep).await?;
        let owner = Client::new(file.server.to_string(), file.token.clone());
        let author = token(&owner, "dana").await?;
        let lead = token(&owner, "lee").await?;
        let shop = Shop::make(root.join("shop"), &data.repository(REPO))?;
        let server = file.server.to_string();
        Ok(Self {
            folder: Mutex::new(Some(folder)),
            root,
            shop,
            author: Client::new(server.clone(), author.token.clone()),
            author_token: author.token,
            lead: Client::new(server, lead.token),
            data,
            file,
            control: tokio::sync::Mutex::new(control),
            keep: options.keep,
        })
    }

    /// Kills the control process without a word, and starts it again; how long until it answered.
    pub async fn kill_controller(&self) -> Result<Duration, Failure> {
        let mut control = self.control.lock().await;
        let failed =
            |error: std::io::Error| Failure::because("the controller cannot be killed", &error);
        control.kill().await.map_err(failed)?;
        let killed = tokio::time::Instant::now();
        *control = self.start_at_the_same_address().await?;
        Ok(killed.elapsed())
    }

    /// Starts the control process after it was stopped.
    pub async fn start_again(&self) -> Result<(), Failure> {
        *self.control.lock().await = self.start_at_the_same_address().await?;
        Ok(())
    }

    async fn start_at_the_same_address(&self) -> Result<Child, Failure> {
        let (listen, edge) = (self.file.server.to_string(), self.file.edge.to_string());
        start(self.data.root(), &listen, &edge, self.keep).await.map(|(child, _)| child)
    }

    /// A fresh clone of the hosted repository.
    pub fn fresh_clone(&self) -> Result<PathBuf, Failure> {
        let into = self.root.join("fresh");
        let clone = grit_git::Git::new("clone").flag("--quiet");
        let hosted = self.data.repository(REPO);
        let done = clone.operand(hosted).operand(&into).run();
        done.map_err(|error| crate::cli::git_failure(&error))?;
        Ok(into)
    }

    /// From now on everything stays; where it is, for whoever keeps it.
    pub fn keep(&self) -> Kept {
        if let Ok(mut folder) = self.folder.lock() {
            let _ = folder.take().map(TempDir::keep);
        }
        let control = DataFolder::serve_file(self.data.root()).map(|file| file.pid).ok();
        let below = processes_below(&self.root).into_iter().filter(|pid| Some(*pid) != control);
        let below: Vec<String> = below.map(|pid| pid.to_string()).collect();
        let control = control.map(|pid| pid.to_string()).unwrap_or_default();
        let root = self.root.display().to_string();
        Kept {
            control: format!("http://{}", self.file.server),
            edge: format!("http://{}", self.file.edge),
            // The controller first: it would start the others again.
            end: format!(
                "kill {control}; sleep 2; kill {}; sleep 2; rm -r {root}",
                below.join(" ")
            ),
            folder: root,
        }
    }

    /// Ends the control process alone.
    pub async fn stop_controller(&self) {
        let mut control = self.control.lock().await;
        let pid = control.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            // Gone already is as good.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(10), control.wait()).await.is_err() {
            let _ = control.kill().await;
        }
    }

    /// Ends every process; answers whether the edge could be ended.
    pub async fn stop(&self) -> bool {
        self.stop_controller().await;
        let edge = EdgeProcess::of(&self.data);
        let stopped = edge.stop().await.is_ok() && edge.session().is_none();
        crate::cli::end_instances(&self.data).await;
        stopped
    }

    /// Ends everything; answers with what is still there.
    pub async fn end(&self) -> Vec<String> {
        let mut left = Vec::new();
        if !self.stop().await {
            left.push("the edge".to_owned());
        }
        left.extend(processes_below(&self.root).iter().map(|pid| format!("process {pid}")));
        for address in [self.file.server, self.file.edge] {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                left.push(format!("a listener at {address}"));
            }
        }
        let folder = self.folder.lock().ok().and_then(|mut folder| folder.take());
        if folder.is_some_and(|folder| folder.close().is_err()) {
            left.push(self.root.display().to_string());
        }
        left
    }
}

/// The processes that work below a folder, or carry a marker that names it.
fn processes_below(folder: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let works_there = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    let mut found: Vec<u32> = pids.filter(works_there).collect();
    let marked = grit_host::find_marked("GRIT_EDGE", "").unwrap_or_default();
    let named = marked.into_iter().filter(|m| Path::new(&m.value).starts_with(folder));
    found.extend(named.map(|marked| marked.process.pid));
    found.sort_unstable();
    found.dedup();
    found
}

fn needs_rustc() -> Result<(), Failure> {
    let found = std::process::Command::new("rustc")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::new(
            Exit::Environment,
            "no_rustc",
            "the shop is compiled from source, and there is no rustc",
        )
        .hint("`apt-get install rustc`, or install Rust with rustup")),
    }
}

async fn start(
    data: &Path,
    listen: &str,
    edge: &str,
    keep: bool,
) -> Result<(Child, ServeFile), Failure> {
    let failed =
        |error: std::io::Error| Failure::because("the controller cannot be started", &error);
    let program = std::env::current_exe().map_err(failed)?;
    let log = std::fs::File::options().create(true).append(true).open(data.join("control.log"));
    let serve_file = data.join("serve.json");
    // What an earlier one wrote must not be taken for the new one's.
    let _ = std::fs::remove_file(&serve_file);
    let mut child = Command::new(program)
        .arg("serve")
        .args(["--listen", listen, "--edge-listen", edge, "--repo", REPO])
        .arg("--data")
        .arg(data)
        .env_remove("GRIT_TOKEN")
        .env_remove("GRIT_SERVER")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.map_err(failed)?)
        .process_group(0)
        .kill_on_drop(!keep)
        .spawn()
        .map_err(failed)?;
    let deadline = tokio::time::Instant::now() + START_MAX;
    loop {
        if let Ok(file) = DataFolder::serve_file(data) {
            return Ok((child, file));
        }
        let died = child.try_wait().ok().flatten().is_some();
        if died || tokio::time::Instant::now() > deadline {
            let log = std::fs::read_to_string(data.join("control.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            return Err(Failure::environment(format!(
                "the controller does not start: {}",
                last.join(" / ")
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn token(owner: &Client, principal: &str) -> Result<NewToken, Failure> {
    owner.post("/api/v1/tokens", &json!({ "principal": principal, "role": "Admin" })).await
}
