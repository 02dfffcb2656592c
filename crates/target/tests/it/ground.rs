//! What a target stands on, on this machine: for the tests, and for the owner that they kill.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use grit_blob::{Layout, Reference};
use grit_host::Shim;
use grit_rollout::{Health, Instance, InstanceSet, Limits, Observer, Report, RunSpec, SlotId};
use grit_target::process::{Config, RestartPolicy};
use grit_types::{Clock, Digest, EffectId, Entropy, EventId, Revision, Tenant, Timestamp};

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }
}

pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
    }
}

/// Where the fixture is found as an artifact: a folder with a `server` that becomes it.
pub fn artifacts(data: &Path, fixture: &Path) -> (Layout, Digest) {
    let layout = Layout::open_or_create(&data.join("blobs")).unwrap();
    let reference: Reference = "test/server:v1.0.0".parse().unwrap();
    if let Some(digest) = layout.resolve(&reference).unwrap() {
        return (layout, digest);
    }
    let folder = data.join("built");
    fs::create_dir(&folder).unwrap();
    let server = folder.join("server");
    fs::write(&server, format!("#!/bin/sh\nexec '{}' \"$@\"\n", fixture.display())).unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let digest = layout.push_artifact(&reference, &folder, &Default::default()).unwrap();
    (layout, digest)
}

/// Keeps every report.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<(SlotId, Vec<Instance>)>>);

impl Recorder {
    pub fn reports(&self) -> Vec<(SlotId, Vec<Instance>)> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Recorder {
    fn report(&self, report: Report) {
        if let Report::Instances { slot, instances } = report {
            self.0.lock().unwrap().push((slot, instances));
        }
    }
}

pub fn config(data: &Path, fixture: &Path, observer: Arc<Recorder>) -> Config {
    Config {
        root: data.join("instances"),
        logs: data.join("logs/instances"),
        artifacts: artifacts(data, fixture).0,
        shim: Shim::at(fixture),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        observer,
        extra_env: Arc::new(|slot| {
            [("API_URL".to_owned(), format!("http://api.{}.localhost", slot.environment))].into()
        }),
        restart: RestartPolicy {
            first_delay: Duration::from_millis(10),
            max_delay: Duration::from_millis(100),
            deaths_max: 3,
            ..RestartPolicy::default()
        },
    }
}

pub fn slot() -> SlotId {
    SlotId {
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
        service: "api".parse().unwrap(),
    }
}

/// Two instances of the fixture's server.
pub fn set(artifact: Digest) -> InstanceSet {
    InstanceSet {
        slot: slot(),
        revision: Revision(1),
        artifact,
        version: "v1.0.0".to_owned(),
        run: RunSpec {
            command: vec!["./server".into(), "serve".into()],
            replicas: 2,
            env: [("GREETING".to_owned(), "hello".to_owned())].into(),
            health: Health {
                path: "/health".into(),
                interval: Duration::from_millis(50),
                timeout: Duration::from_secs(10),
                healthy_threshold: 1,
                unhealthy_threshold: 2,
                deadline: Duration::from_secs(30),
            },
            request_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(20),
            limits: Limits::default(),
        },
        replicas: 2,
    }
}

pub fn effect(n: u16) -> EffectId {
    EffectId { event: EventId::of(b"event"), index: n }
}
