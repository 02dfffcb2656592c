//! `grit.yaml`: what of a repository is deployed where, and how.
//!
//! [`parse`] reads it with everything that is wrong in it, [`schema`] describes it for editors, and
//! [`Config`] says what follows: which environments a ref goes to, in which order services go, and
//! what a deployment of one of them is to look like.
//!
//! ```
//! use grit_diag::Source;
//! let source = Source::new("grit.yaml", "services: { api: {} }\nenvironments: { staging: {} }\n");
//! let (config, findings) = grit_rollout::config::parse(&source);
//! assert!(findings.is_empty());
//! assert_eq!(config.unwrap().services[0].image, "api");
//! ```

pub mod codes;

mod check;
mod environment;
mod glob;
mod issues;
mod keys;
mod plan;
mod runners;
mod schema;
mod service;
mod strategy;
mod value;

pub use glob::{Glob, GlobError};
pub use issues::{FollowedDeployment, IssuesConfig, Per, PipelineFailed, Recurring};
pub use plan::Wanted;
pub use runners::{RunnerConfig, RunnerOn};
pub use schema::schema;

use std::collections::BTreeMap;
use std::time::Duration;

use grit_diag::decode::Fields;
use grit_diag::{Diagnostics, Source, yaml};
use grit_types::{Environment, Service};
use serde::{Deserialize, Serialize};

use crate::{Gate, RunSpec, Strategy};

/// The file's place in a repository.
pub const FILE_NAME: &str = "grit.yaml";

/// Services, environments, strategies, and items of each list in them.
pub(crate) const ITEMS_MAX: usize = 200;

/// A `grit.yaml` without errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// In the order of the file.
    pub services: Vec<ServiceConfig>,
    /// In the order of the file.
    pub environments: Vec<EnvironmentConfig>,
    /// Those of the file, without the built-in ones; see [`Config::strategy`].
    pub strategies: BTreeMap<String, Strategy>,
    #[serde(default)]
    pub issues: IssuesConfig,
    /// Which label of `runs-on` is served by what; the first that fits counts.
    #[serde(default)]
    pub runners: Vec<RunnerConfig>,
}

/// Something that is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceConfig {
    pub name: Service,
    /// Paths from the root of the repository whose change concerns it; `.` is all of it.
    pub source: Vec<String>,
    /// The name its artifacts are pushed under.
    pub image: String,
    /// Deployed before it, in every environment.
    pub needs: Vec<Service>,
    pub run: RunSpec,
}

/// Somewhere services are deployed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentConfig {
    pub name: Environment,
    /// What is pushed to it; without this, only people deploy there.
    pub when: Option<When>,
    /// The same digest must have succeeded there.
    pub after: Option<Environment>,
    /// Those that are written; see [`Config::request`] for those that follow.
    pub gates: Vec<Gate>,
    /// Commands that must succeed before any traffic.
    pub verify: Vec<String>,
    pub strategy: Strategy,
    /// How long the old revision is kept able to serve, after success.
    #[serde(with = "crate::millis")]
    pub warm: Duration,
    /// In place of every service's own.
    pub replicas: Option<u32>,
    /// What a pipeline's job waits for that deploys there by itself.
    #[serde(default)]
    pub protection: Option<ProtectionConfig>,
}

/// What keeps a job back that names the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionConfig {
    pub approval: Option<crate::Approval>,
    #[serde(with = "crate::millis")]
    pub wait: Duration,
    /// Branches and tags that may deploy there; empty: all.
    pub refs: Vec<Glob>,
}

/// Which refs are deployed: at least one of the two is there, and one that matches is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    pub branch: Option<Glob>,
    pub tag: Option<Glob>,
}

/// Reads a `grit.yaml`. `None`: the findings have an error, and nothing of it must be used.
pub fn parse(source: &Source) -> (Option<Config>, Diagnostics) {
    let (root, mut diagnostics) = yaml::parse(source);
    let config = match &root {
        // An empty file deploys nothing, which is no mistake.
        Some(root) if root.is_null() => Some(Config::default()),
        Some(root) => read(root, &mut diagnostics),
        None => None,
    };
    (config.filter(|_| !diagnostics.has_errors()), diagnostics)
}

fn read(root: &yaml::Node, diagnostics: &mut Diagnostics) -> Option<Config> {
    let mut fields = Fields::of(root, diagnostics)?;
    let (services, wiring) = service::read_all(&mut fields, diagnostics);
    let strategies = strategy::read_all(&mut fields, diagnostics);
    let (environments, order) = environment::read_all(&mut fields, &strategies, diagnostics);
    let names: Vec<&str> = order.iter().map(|order| order.name.as_str()).collect();
    let issues = issues::read_all(&mut fields, &names, diagnostics);
    let runners = runners::read_all(&mut fields, diagnostics);
    fields.finish(diagnostics);
    check::services(&services, &wiring, diagnostics);
    check::environments(&order, diagnostics);
    let strategies =
        strategies.into_iter().filter_map(|(name, strategy)| Some((name, strategy?))).collect();
    Some(Config { services, environments, strategies, issues, runners })
}
