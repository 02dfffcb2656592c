//! What the torture stands on: a data folder, a control process with its edge, people, and the example's repository.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::{self, Api};
use crate::{load::Target, repo::Repo, shell};

const WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ANY: &str = "127.0.0.1:0";
const RATE: u32 = 150;

pub struct World {
    folder: TempDir,
    binary: PathBuf,
    data: PathBuf,
    shop: PathBuf,
    control: Child,
    server: SocketAddr,
    pub edge: SocketAddr,
    author: Api,
    lead: Api,
}

/// What runs for a world.
pub struct Processes {
    pub all: usize,
    /// Those that no record names.
    pub orphans: Vec<u32>,
}

impl World {
    /// Makes everything, and brings v1.0.0 of the shop into production.
    pub fn make(repo: &Repo, binary: PathBuf) -> Result<Self> {
        let world = Self::serving(binary)?;
        world.make_shop(repo)?;
        world.release("1.0.0")?;
        world.approve_when_gated("v1.0.0")?;
        let first = world.until("v1.0.0 in production", ended)?;
        ensure!(first["status"] == "SUCCEEDED", "v1.0.0: {first}");
        Ok(world)
    }

    /// A control process with people, and a repository that these files are pushed to.
    pub fn with_files(binary: PathBuf, files: &[(String, String)]) -> Result<Self> {
        let world = Self::serving(binary)?;
        for (path, text) in files {
            let path = world.shop.join(path);
            fs::create_dir_all(path.parent().context("a file in a folder")?)?;
            fs::write(path, text)?;
        }
        world.begin()?;
        Ok(world)
    }

    fn serving(binary: PathBuf) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("grit-torture-").tempdir()?;
        let root = folder.path().canonicalize()?;
        let (data, shop) = (root.join("data"), root.join("shop"));
        fs::create_dir(&data)?;
        let mut control = start(&binary, &data, ANY, ANY)?;
        let file = serve_file(&data).inspect_err(|_| drop(control.kill()))?;
        let address = |key: &str| -> Result<SocketAddr> {
            Ok(file[key].as_str().with_context(|| format!("serve.json has no {key}"))?.parse()?)
        };
        let (server, edge) = (address("server")?, address("edge")?);
        let owner = Api { server, token: file["token"].as_str().unwrap_or_default().to_owned() };
        let (author, lead) = (person(&owner, "dana")?, person(&owner, "lee")?);
        Ok(Self { folder, binary, data, shop, control, server, edge, author, lead })
    }

    pub fn addresses(&self) -> String {
        format!("control http://{}, edge http://{}", self.server, self.edge)
    }

    /// What a load on production's api asks.
    pub fn target(&self) -> Target {
        Target {
            edge: self.edge,
            host: "api.production.localhost".to_owned(),
            rate: RATE,
            version_header: "x-shop-version",
            shop: true,
        }
    }

    fn make_shop(&self, repo: &Repo) -> Result<()> {
        let copied = Command::new("cp")
            .arg("-R")
            .arg(repo.path("examples/shop"))
            .arg(&self.shop)
            .status()?;
        ensure!(copied.success(), "the example cannot be copied");
        let config = self.shop.join("grit.yaml");
        fs::write(&config, hurried(&fs::read_to_string(&config)?))?;
        self.begin()
    }

    /// The folder becomes a repository that is pushed to the server's.
    fn begin(&self) -> Result<()> {
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        let hosted = self.data.join("repos/shop.git");
        self.git(&["remote", "add", "origin", &hosted.to_string_lossy()])
    }

    /// Commits, tags and pushes a version of the api.
    pub fn release(&self, version: &str) -> Result<()> {
        fs::write(self.shop.join("services/api/VERSION"), format!("{version}\n"))?;
        self.git(&["add", "--all"])?;
        let message = format!("--message=api: version {version}");
        self.git(&["commit", "--quiet", "--allow-empty", &message])?;
        let tag = format!("v{version}");
        self.git(&["tag", &tag])?;
        self.git(&[
            "push",
            "--quiet",
            "origin",
            "HEAD:refs/heads/main",
            &format!("refs/tags/{tag}"),
        ])
    }

    /// Commits and pushes; answers the commit.
    pub fn push(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", &format!("--message={message}")])?;
        self.git(&["push", "--quiet", "origin", "HEAD:refs/heads/main"])?;
        let id =
            Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&self.shop).output()?;
        Ok(String::from_utf8(id.stdout)?.trim().to_owned())
    }

    /// The newest runs, as the server shows them.
    pub fn runs(&self, limit: usize) -> Result<Vec<Value>> {
        let found = self.lead.get(&format!("/api/v1/runs?limit={limit}"))?;
        found.as_array().cloned().context("runs are a list")
    }

    /// Where the logs of steps lie: `RUN/JOB/INDEX.log`.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    fn git(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Dana", "-c", "user.email=dana@localhost"]);
        command.args(["-c", "commit.gpgsign=false"]).args(words).current_dir(&self.shop);
        let told = command.env("GRIT_TOKEN", &self.author.token).output().context("start git")?;
        ensure!(told.status.success(), "{command:?}: {}", String::from_utf8_lossy(&told.stderr));
        Ok(())
    }

    /// Asks for a version that is built already, as whoever wrote it.
    pub fn deploy(&self, version: &str) -> Result<()> {
        let wanted = json!({"service": "api", "environment": "production", "version": version});
        self.author.post("/deploy", &wanted).map(drop)
    }

    /// Waits until production's newest deployment of the api is this version and waits for a person.
    pub fn approve_when_gated(&self, version: &str) -> Result<()> {
        self.until(&format!("{version} at its approval"), |newest| {
            let open = newest["gates"].as_array().into_iter().flatten();
            let mut open = open.filter(|gate| gate["passed"].is_null()).peekable();
            let gated = newest["version"] == version && newest["status"] == "GATED";
            gated && open.peek().is_some() && open.all(|gate| gate["needsPerson"] == true)
        })?;
        self.lead.post("/api/v1/slots/production/api/approve", &json!({})).map(drop)
    }

    /// Production's newest deployment of the api.
    pub fn newest(&self) -> Result<Value> {
        let path = "/api/v1/deployments?service=api&environment=production&limit=1";
        let mut found = self.lead.get(path)?;
        Ok(found.get_mut(0).map(Value::take).unwrap_or_default())
    }

    /// Asks until the newest deployment is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let newest = self.newest();
            match newest {
                Ok(found) if wanted(&found) => return Ok(found),
                now if Instant::now() > deadline => bail!("waited in vain for {what}: {now:?}"),
                _ => thread::sleep(LOOK_EVERY * 10),
            }
        }
    }

    /// Kills the control process without a word and starts it again; how long until it answered.
    pub fn kill_controller(&mut self) -> Result<Duration> {
        self.control.kill()?;
        let killed = Instant::now();
        self.control.wait()?;
        let (server, edge) = (self.server.to_string(), self.edge.to_string());
        self.control = start(&self.binary, &self.data, &server, &edge)?;
        while !api::is_well(self.server) {
            self.check_alive()?;
            ensure!(killed.elapsed() < WAIT_MAX, "it does not answer again; {}", self.log());
            thread::sleep(LOOK_EVERY);
        }
        Ok(killed.elapsed())
    }

    /// The edge's process, as it is recorded.
    pub fn edge_process(&self) -> Option<u32> {
        leader(&self.data.join("edge/process.json"))
    }

    fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.control.try_wait()? {
            bail!("the control process ended ({status}); {}", self.log());
        }
        Ok(())
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.data.join("control.log")).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        format!("it said last: {}", last.join(" / "))
    }

    /// The processes that carry a marker of ours and work below our folder.
    pub fn processes(&self) -> Processes {
        let mut recorded = Vec::new();
        records(&self.data, &mut recorded);
        let all = marked(self.folder.path());
        let unknown = |pid: &u32| !session(*pid).is_some_and(|session| recorded.contains(&session));
        Processes { all: all.len(), orphans: all.into_iter().filter(unknown).collect() }
    }

    /// Ends everything; how many processes are there still.
    pub fn end(&mut self) -> usize {
        if matches!(self.control.try_wait(), Ok(None)) {
            shell::quiet("kill", &["-TERM", &self.control.id().to_string()]);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.control.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        // Fails where it has ended, which is the usual case.
        let _ = self.control.kill();
        let _ = self.control.wait();
        for signal in ["-TERM", "-KILL"] {
            for pid in marked(self.folder.path()) {
                shell::quiet("kill", &[signal, &pid.to_string()]);
            }
            let deadline = Instant::now() + Duration::from_secs(8);
            while !marked(self.folder.path()).is_empty() && Instant::now() < deadline {
                thread::sleep(LOOK_EVERY * 10);
            }
        }
        marked(self.folder.path()).len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a deployment is over.
pub fn ended(deployment: &Value) -> bool {
    let status = deployment["status"].as_str().unwrap_or_default();
    ["SUCCEEDED", "ROLLED_BACK", "FAILED", "DEGRADED", "CANCELLED", "SUPERSEDED"].contains(&status)
}

/// Jobs at the same time, on any machine.
const SLOTS: &str = "20";

fn start(binary: &Path, data: &Path, server: &str, edge: &str) -> Result<Child> {
    let log = File::options().create(true).append(true).open(data.join("control.log"))?;
    let mut command = Command::new(binary);
    command.arg("serve").arg("--data").arg(data).args(["--repo", "shop"]);
    command.args(["--listen", server, "--edge-listen", edge, "--slots", SLOTS]);
    command.env_remove("GRIT_TOKEN").env_remove("GRIT_SERVER").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().context("start the control process")
}

/// What a control process writes when it serves.
fn serve_file(data: &Path) -> Result<Value> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Ok(text) = fs::read_to_string(data.join("serve.json")) {
            return serde_json::from_str(&text).context("read serve.json");
        }
        ensure!(Instant::now() < deadline, "the control process does not start");
        thread::sleep(LOOK_EVERY);
    }
}

fn person(owner: &Api, name: &str) -> Result<Api> {
    let made = owner.post("/api/v1/tokens", &json!({"principal": name, "role": "Admin"}))?;
    let token = made["token"].as_str().context("a new token is shown once")?;
    Ok(Api { server: owner.server, token: token.to_owned() })
}

/// Seconds for minutes.
fn hurried(text: &str) -> String {
    text.replace("strategy: rolling", "strategy: quick")
        .replace("strategies:\n", "strategies:\n  quick: { rolling: { soak: 200ms } }\n")
        .replace("duration: 10m", "duration: 1s")
        .replace("        interval: 10s\n", "        interval: 1s\n        minRequests: 3\n")
        .replace("minRequests: 20 }\n", "minRequests: 20 }\n      soak: 500ms\n")
        .replace("interval: 500ms", "interval: 200ms")
}

fn leader(record: &Path) -> Option<u32> {
    let record: Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    u32::try_from(record["leader"]["pid"].as_u64()?).ok()
}

fn records(folder: &Path, found: &mut Vec<u32>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            records(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.extend(leader(&path));
        }
    }
}

/// Processes started by a `grit` for `folder`: units, instances, steps and the edge.
fn marked(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let pids =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| is_marked(*pid, folder)).collect()
}

fn is_marked(pid: u32, folder: &Path) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let keys = [&b"GRIT_INSTANCE="[..], b"GRIT_UNIT=", b"GRIT_EDGE="];
    let marked = environment.split(|b| *b == 0).any(|one| keys.iter().any(|k| one.starts_with(k)));
    let place = fs::read_link(format!("/proc/{pid}/cwd"));
    marked && place.is_ok_and(|place| place.starts_with(folder))
}

/// The process's session: the sixth field of its stat line (proc(5)).
fn session(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split_whitespace().nth(3)?.parse().ok()
}
