use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use grit_host::durable;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// With less room than this no server is started.
const ROOM_BYTES: usize = 256 << 10;

/// Where a server keeps everything.
#[derive(Clone, Debug)]
pub struct DataFolder {
    root: PathBuf,
}

/// How to reach the server of a data folder: `serve.json`, which only its owner reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeFile {
    pub v: u32,
    pub server: SocketAddr,
    pub edge: SocketAddr,
    pub pid: u32,
    pub started_at: i64,
    /// An owner's token.
    pub token: String,
    pub repo: String,
}

impl DataFolder {
    /// The folder at `root`, made where it is missing.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        let refused = |error: std::io::Error| {
            let message = format!("the data folder {} cannot be used", root.display());
            let failure = Failure::because(&message, &error);
            let elsewhere = "give another one with `--data FOLDER`";
            if durable::is_full(&error) { failure } else { failure.hint(elsewhere) }
        };
        durable::create_dir_all(root).map_err(refused)?;
        let probe = root.join(".probe");
        durable::write(&probe, &[0; ROOM_BYTES]).map_err(refused)?;
        std::fs::remove_file(&probe).map_err(refused)?;
        let root = root.canonicalize().map_err(refused)?;
        Ok(Self { root })
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The repository that is hosted there.
    pub fn repository(&self, repo: &str) -> PathBuf {
        self.root.join("repos").join(format!("{repo}.git"))
    }

    /// Says how the server is reached.
    pub fn write_serve_file(&self, file: &ServeFile) -> Result<(), Failure> {
        let path = self.path("serve.json");
        let bytes = serde_json::to_vec_pretty(file).unwrap_or_default();
        let failed =
            |error: std::io::Error| Failure::because("serve.json cannot be written", &error);
        durable::write(&path, &bytes).map_err(failed)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).map_err(failed)
    }

    /// How the server is reached, where one ever ran.
    pub fn serve_file(root: &Path) -> Result<ServeFile, Failure> {
        let path = root.join("serve.json");
        let bytes = std::fs::read(&path).map_err(|_| {
            Failure::environment(format!("no control process runs on {}", root.display()))
                .hint("`grit up` starts one")
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(
                Exit::Environment,
                "damaged",
                format!("{} is damaged: {error}", path.display()),
            )
            .hint("start the control process again: `grit up`")
        })
    }
}
