use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grit_edge::EdgeClient;
use grit_host::{Marker, Output, Session, Shim, Spec, launch, record};

use super::DataFolder;
use crate::exit::Failure;

/// From start to serving.
const START_MAX: Duration = Duration::from_secs(10);
/// Before an edge that did not start is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// From SIGTERM to SIGKILL.
const STOP_MAX: Duration = Duration::from_secs(35);

/// The edge of a data folder: a process of its own, which outlives the controller.
#[derive(Clone)]
pub struct EdgeProcess {
    record: PathBuf,
    socket: PathBuf,
}

impl EdgeProcess {
    /// The edge of this data folder, running or not.
    pub fn of(data: &DataFolder) -> Self {
        let folder = data.path("edge");
        Self { record: folder.join("process.json"), socket: folder.join("admin.sock") }
    }

    /// What talks to it.
    pub fn client(&self) -> EdgeClient {
        EdgeClient::new(self.socket.clone())
    }

    /// Its process, where it runs.
    pub fn session(&self) -> Option<Session> {
        let session = record::read(&self.record).ok().flatten()?;
        session.is_alive().unwrap_or(false).then_some(session)
    }

    /// Starts it unless it runs; answers with the address that it serves.
    pub async fn ensure(&self, data: &Path, listen: SocketAddr) -> Result<SocketAddr, Failure> {
        let launched = match self.session() {
            Some(_) => None,
            None => Some(self.start(data, listen).await?),
        };
        let client = self.client();
        let deadline = tokio::time::Instant::now() + START_MAX;
        loop {
            if let Ok(state) = client.state().await {
                return Ok(state.listen);
            }
            let died = launched.as_ref().is_some_and(|launched| launched.try_exit().is_some());
            if died || tokio::time::Instant::now() > deadline {
                return Err(self.not_started(data, listen));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it again whenever it dies; ends when it is dropped.
    pub async fn keep(&self, data: &Path, listen: SocketAddr) {
        loop {
            if let Some(session) = self.session() {
                // A session that cannot be watched is looked at again at once.
                let _ = session.wait_gone().await;
                tracing::warn!("the edge died; it is started again");
            }
            if let Err(failure) = self.ensure(data, listen).await {
                tracing::error!(message = failure.message, "the edge does not start");
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    }

    async fn start(&self, data: &Path, listen: SocketAddr) -> Result<grit_host::Launched, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::because("the edge cannot be started", error)
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        grit_host::durable::create_dir_all(&data.join("edge")).map_err(|error| failed(&error))?;
        let marker = Marker::new("GRIT_EDGE", data.to_string_lossy()).map_err(|e| failed(&e))?;
        let log = data.join("edge").join("log");
        let spec = Spec::new(program, marker)
            .args(["edge".into(), "--data".into(), data.as_os_str().to_owned()])
            .args(["--listen".to_owned(), listen.to_string()])
            .cwd(data)
            .output(Output::File(log))
            .synced();
        launch(spec, &self.record, &Shim::this_binary()).await.map_err(|error| failed(&error))
    }

    fn not_started(&self, data: &Path, listen: SocketAddr) -> Failure {
        let log = data.join("edge").join("log");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let told = text.lines().rev().find_map(|line| line.strip_prefix("Error: "));
        let message = match told {
            Some(told) => told.to_owned(),
            None => format!("the edge does not serve {listen}; {} says more", log.display()),
        };
        Failure::environment(message).hint("give another address with `--edge-listen 127.0.0.1:0`")
    }

    /// Ends it: requests in flight are finished.
    pub async fn stop(&self) -> Result<(), Failure> {
        let Some(session) = self.session() else { return Ok(()) };
        let ended = session.terminate(STOP_MAX).await;
        ended.map(drop).map_err(|error| Failure::because("the edge cannot be stopped", &error))
    }
}
