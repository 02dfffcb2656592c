use grit_types::{CommitId, DeploymentId, Digest, Environment, Principal, RefName, Service};

use super::{Config, EnvironmentConfig, ServiceConfig, When, strategy::built_in};
use crate::slot::{Change, Request, Trigger};
use crate::{Gate, SlotId, Strategy};

/// What a `grit.yaml` does not say about a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub id: DeploymentId,
    /// As people say it: a tag, or a short commit id.
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub trigger: Trigger,
    pub requested_by: Principal,
    /// Everybody who pushed what is deployed and was not yet.
    pub authors: Vec<Principal>,
    /// The commits that are deployed and were not yet, oldest first.
    pub changes: Vec<Change>,
}

impl Config {
    /// The service of that name.
    pub fn service(&self, name: &Service) -> Option<&ServiceConfig> {
        self.services.iter().find(|service| service.name == *name)
    }

    /// The environment of that name.
    pub fn environment(&self, name: &Environment) -> Option<&EnvironmentConfig> {
        self.environments.iter().find(|environment| environment.name == *name)
    }

    /// A strategy by its name: `rolling`, `canary`, or one that is declared.
    pub fn strategy(&self, name: &str) -> Option<Strategy> {
        built_in(name).or_else(|| self.strategies.get(name).cloned())
    }

    /// The environments that a push to `name` is deployed to, in the order of the file.
    pub fn environments_for(&self, name: &RefName) -> Vec<&EnvironmentConfig> {
        let matches = |environment: &&EnvironmentConfig| {
            environment.when.as_ref().is_some_and(|when| when.matches(name))
        };
        self.environments.iter().filter(matches).collect()
    }

    /// The services so that each comes after those it needs, else in the order of the file.
    pub fn order(&self) -> Vec<&ServiceConfig> {
        let mut waiting: Vec<&ServiceConfig> = self.services.iter().collect();
        let mut order: Vec<&ServiceConfig> = Vec::new();
        while !waiting.is_empty() {
            let placed = |name: &Service| order.iter().any(|service| service.name == *name);
            let ready = |service: &&ServiceConfig| service.needs.iter().all(placed);
            // A parsed file has no cycle; one made in code is taken as it stands.
            let next = waiting.iter().position(ready).unwrap_or(0);
            order.push(waiting.remove(next));
        }
        order
    }

    /// The deployment of a service to an environment, with every gate that it has to pass: the
    /// environment before, what is written, and the services that it needs.
    ///
    /// `None` where the file knows no such service or environment.
    pub fn request(&self, slot: SlotId, wanted: Wanted) -> Option<Request> {
        let service = self.service(&slot.service)?;
        let environment = self.environment(&slot.environment)?;
        let mut run = service.run.clone();
        run.replicas = environment.replicas.unwrap_or(run.replicas);
        let Wanted { id, version, commit, artifact, trigger, requested_by, authors, changes } =
            wanted;
        Some(Request {
            id,
            slot,
            version,
            commit,
            artifact,
            run,
            strategy: environment.strategy.clone(),
            gates: gates(service, environment),
            verify: environment.verify.clone(),
            trigger,
            requested_by,
            authors,
            changes,
            warm: environment.warm,
        })
    }
}

fn gates(service: &ServiceConfig, environment: &EnvironmentConfig) -> Vec<Gate> {
    let after = environment.after.clone().map(Gate::After);
    let needs = Some(service.needs.clone()).filter(|needs| !needs.is_empty()).map(Gate::Needs);
    after.into_iter().chain(environment.gates.iter().cloned()).chain(needs).collect()
}

impl ServiceConfig {
    /// Whether a change of the file at `path`, from the root of the repository, concerns it.
    pub fn concerns(&self, path: &str) -> bool {
        self.source.iter().any(|source| {
            let below = path.strip_prefix(source.as_str());
            source == "." || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl When {
    /// Whether a push to `name` is meant.
    pub fn matches(&self, name: &RefName) -> bool {
        let branch = self.branch.as_ref().zip(name.branch());
        let tag = self.tag.as_ref().zip(name.tag());
        [branch, tag].into_iter().flatten().any(|(glob, short)| glob.matches(short))
    }
}
