//! A Docker engine, over its API: images, containers, networks, and what runs in them.
//!
//! Main types: [`Engine`] is a connection; [`Wanted`] says what container to make, [`State`] what
//! became of it, [`Command`] what to run in one that is up. What a container says is an [`Output`].
//! [`login`] finds what a registry wants to know.
//!
//! What it deliberately does not do: it knows no job and no workflow, decides nothing about what a
//! container may do, keeps no table (the labels at the engine are the table), and starts no engine.
//!
//! ```no_run
//! # use grit_engine::{Engine, Wanted};
//! # async fn example() -> Result<(), grit_engine::EngineError> {
//! let engine = Engine::connect(std::env::var("DOCKER_HOST").ok().as_deref()).await?;
//! engine.pull("busybox:1", None, &|line| tracing::info!(line)).await?;
//! let id = engine.create(&Wanted { image: "busybox:1".into(), ..Wanted::default() }).await?;
//! engine.start(&id).await?;
//! let exit = engine.wait(&id).await?;
//! # let _ = exit;
//! engine.remove(&id).await
//! # }
//! ```
#![forbid(unsafe_code)]

mod address;
mod build;
mod command;
mod container;
mod error;
mod image;
pub mod login;
mod network;
mod output;

pub use address::{Address, AddressError};
pub use build::Recipe;
pub use command::{Command, CommandState};
pub use container::{Health, HealthCheck, Mount, Port, State, Wanted};
pub use error::EngineError;
pub use image::Image;
pub use login::Login;
pub use network::Gateway;
pub use output::Output;

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use grit_types::BoxFuture;

/// Until an answer begins.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// A connection to an engine. Copies share it.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    address: Address,
}

impl Engine {
    /// Finds the engine at `host`, as `DOCKER_HOST` has it; `None`: where engines are.
    pub fn connect(host: Option<&str>) -> BoxFuture<'static, Result<Self, EngineError>> {
        let address = Address::read(host);
        Box::pin(async move {
            let address = address?;
            let unreachable =
                |source| EngineError::Unreachable { address: address.clone(), source };
            let seconds = ANSWER_MAX.as_secs();
            let docker = match &address {
                Address::Unix(path) => {
                    Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
                }
                Address::Tcp(at) => Docker::connect_with_http(at, seconds, API_DEFAULT_VERSION),
            };
            let docker = docker.map_err(unreachable)?;
            let docker = docker.negotiate_version().await.map_err(unreachable)?;
            Ok(Self { docker, address })
        })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn failed(
        &self,
        what: impl Into<String>,
    ) -> impl FnOnce(bollard::errors::Error) -> EngineError {
        let (what, address) = (what.into(), self.address.clone());
        move |source| EngineError::of(what, address, source)
    }
}
