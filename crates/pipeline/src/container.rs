//! Containers, every expression in them evaluated: what a runner is asked for, and what it answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The containers of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containers {
    /// What its steps run in; `None`: the machine itself.
    #[serde(default)]
    pub job: Option<ContainerSpec>,
    /// What runs beside it, by the name that it is reached under.
    #[serde(default)]
    pub services: BTreeMap<String, ContainerSpec>,
    /// They may have what makes them as good as the machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
}

impl Containers {
    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.job.is_none() && self.services.is_empty()
    }
}

/// One container. Its texts may hold marks of [`crate::seal`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub image: String,
    /// Of the registry: user name and password.
    pub credentials: Option<(String, String)>,
    pub env: BTreeMap<String, String>,
    /// `CONTAINER`, `HOST:CONTAINER`, each with `/udp` or without.
    pub ports: Vec<String>,
    /// `SOURCE:TARGET[:ro]`, or a path of its own.
    pub volumes: Vec<String>,
    /// What `docker create` takes, as it is typed.
    pub options: String,
    pub entrypoint: Option<String>,
    /// Its arguments, as they are typed.
    pub command: Option<String>,
}

impl ContainerSpec {
    /// Of that image, and nothing else said.
    pub fn of(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }

    /// Every text that may hold a mark.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let credentials = self.credentials.iter_mut().flat_map(|(user, password)| [user, password]);
        [&mut self.image, &mut self.options]
            .into_iter()
            .chain(credentials)
            .chain(self.env.values_mut())
            .chain(&mut self.ports)
            .chain(&mut self.volumes)
            .chain(&mut self.entrypoint)
            .chain(&mut self.command)
    }
}

/// The containers of a prepared job, for the context `job`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedContainers {
    /// The id of the network that they share; empty: there is none.
    #[serde(default)]
    pub network: String,
    /// The id of the job's own.
    #[serde(default)]
    pub job: Option<String>,
    #[serde(default)]
    pub services: BTreeMap<String, PreparedService>,
}

/// A service that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedService {
    pub id: String,
    /// Ports of the container to those of the machine.
    pub ports: BTreeMap<String, String>,
}

/// What a step's own container is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionImage {
    /// By its name: `alpine:3`.
    Named(String),
    /// By a `Dockerfile` in a folder, an absolute path.
    Built { folder: String, dockerfile: String },
}
