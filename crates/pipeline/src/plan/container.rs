use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use super::Texts;
use crate::expr::Template;

/// A container that a job runs in, or has beside it, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerPlan {
    /// The image alone, or an expression that gives the image or a mapping of the same keys.
    Whole(Template),
    Keys(Box<ContainerKeys>),
}

/// The keys of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerKeys {
    /// Empty: there is no container.
    pub image: Template,
    /// Of the registry: `username`, `password`.
    #[serde(with = "serde_seq")]
    pub credentials: Texts,
    #[serde(with = "serde_seq")]
    pub env: Texts,
    /// `CONTAINER`, `HOST:CONTAINER`, each with `/udp` or without.
    pub ports: Vec<Template>,
    /// `SOURCE:TARGET[:ro]`, or a path of its own.
    pub volumes: Vec<Template>,
    /// What `docker create` takes.
    pub options: Option<Template>,
    pub entrypoint: Option<Template>,
    pub command: Option<Template>,
}

/// The containers beside a job, by the names that it reaches them under.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServicesPlan {
    /// An expression gives all of them.
    Whole(Template),
    Each(#[serde(with = "serde_seq")] IndexMap<String, ContainerPlan>),
}
