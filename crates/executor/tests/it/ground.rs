//! What a runner stands on, on this machine: for the tests, and for the owner that they kill.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use grit_executor::{ActionRepo, Actions, Checkouts, EngineConfig, HostConfig};
use grit_host::Shim;
use grit_pipeline::keep::{JobScope, Trust};
use grit_pipeline::{CheckoutPart, JobSpec, StepAction, StepSpec};
use grit_types::{Clock, CommitId, EffectId, Entropy, EventId, JobId, RunId, Tenant, Timestamp};

pub const TOKEN: &str = "grit-t0ken-0123456789";

/// What expressions get for `secrets.PASSWORD`.
pub const PASSWORD: &str = "open sesame, twice";

/// Of the marks in steps.
pub const WORD: &str = "w0rd";

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }
}

struct Random;

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) {
        use std::io::Read;
        fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
    }
}

/// A commit of three files, one of which is named after the reference.
struct Files;

impl Checkouts for Files {
    fn checkout(
        &self,
        job: &JobSpec,
        reference: Option<&str>,
        depth: u32,
        _part: &CheckoutPart,
        into: &Path,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        if reference == Some("absent") {
            return Err("no such reference".into());
        }
        fs::create_dir(into)?;
        fs::create_dir(into.join(".git"))?;
        fs::create_dir(into.join("src"))?;
        fs::write(into.join(".git/HEAD"), job.commit.to_string())?;
        fs::write(into.join("src/main.rs"), "fn main() {}\n")?;
        fs::write(into.join(reference.unwrap_or("main")), depth.to_string())?;
        Ok(())
    }
}

struct NoActions;

impl Actions for NoActions {
    fn fetch(
        &self,
        _job: &JobSpec,
        wanted: &ActionRepo,
        _into: &Path,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        Err(format!("there is no {wanted}").into())
    }
}

pub fn config(data: &Path, fixture: &Path) -> HostConfig {
    HostConfig {
        work: data.join("work"),
        logs: data.join("logs"),
        caches: data.join("caches"),
        artifacts: data.join("artifacts"),
        keys: None,
        entropy: Arc::new(Random),
        shim: Shim::at(fixture),
        source: Arc::new(Files),
        actions: Arc::new(NoActions),
        secrets: Arc::new(|_| [("GRIT_TOKEN".to_owned(), TOKEN.to_owned())].into()),
        named: Arc::new(|_| [("PASSWORD".to_owned(), PASSWORD.to_owned())].into()),
        clock: Arc::new(SystemClock),
        engine: EngineConfig::default(),
        passing: false,
    }
}

/// A job of a push to that ref.
pub fn inside(own: &str) -> JobScope {
    let reads = vec!["refs/heads/main".to_owned()];
    JobScope { trust: Trust::Inside, own: own.to_owned(), reads }
}

pub fn job() -> JobSpec {
    let now = Timestamp::from_millis(1_700_000_000_000);
    JobSpec {
        job: JobId::derived(now, b"job"),
        run: RunId::derived(now, b"run"),
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        commit: CommitId::try_from("1".repeat(40)).unwrap(),
        ref_name: Some("refs/heads/main".parse().unwrap()),
        permissions: Default::default(),
        environment: None,
        from_outside: false,
        seal: WORD.to_owned(),
        event: r#"{"forced":false}"#.to_owned(),
        scope: inside("refs/heads/main"),
        containers: Default::default(),
    }
}

/// A step of a shell.
pub fn step(index: u32, script: &str) -> StepSpec {
    let command = ["sh", "-e", "{0}"].map(str::to_owned).to_vec();
    let JobSpec { job, run, .. } = job();
    StepSpec {
        job,
        run,
        index,
        title: "Run a script".to_owned(),
        action: StepAction::Script { script: script.to_owned(), command },
        env: Default::default(),
        path: Vec::new(),
        working_directory: None,
        timeout: Duration::from_secs(600),
        condition: None,
        late: Default::default(),
    }
}

/// The effect of the step with this index; `u16::MAX` for what is no step.
pub fn effect(n: u32) -> EffectId {
    EffectId { event: EventId::of(b"event"), index: n.try_into().unwrap() }
}
