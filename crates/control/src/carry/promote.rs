use grit_ledger::RowQuery;
use grit_rollout::config::{Config, EnvironmentConfig, ServiceConfig};
use grit_rollout::slot::{Command as SlotCommand, Refusal as SlotRefusal, Request, Trigger};
use grit_rollout::SlotId;
use grit_types::{
    Actor, CommitId, DeploymentId, ObjectId, Principal, RefName, Timestamp,
};

use super::{Carry, chain};
use crate::aggregate::{Command, Refusal};
use crate::pipelines;
use crate::ports::RepoId;
use crate::project::COMMITS;
use crate::repo::{Commit, Promoted};
use crate::request::{self, Wanted};
use crate::view::{CommitView, SlotView};

impl Carry {
    /// Requests the deployment of every service that changed, in every environment that one of
    /// the refs leads to.
    pub(super) async fn promote(
        &self,
        at: &RepoId,
        commit: &CommitId,
        refs: &[RefName],
        time: Timestamp,
    ) -> Result<Vec<Promoted>, String> {
        let attempt = || {
            let (at, commit) = (at.clone(), commit.clone());
            self.blocking(move |p| pipelines::configuration(p.source.as_ref(), &at, &commit))
        };
        let Some(config) = self.until_done("reading grit.yaml", attempt).await else {
            return Ok(vec![]);
        };
        let config = config?;
        let mut promoted = Vec::new();
        for environment in led_to(&config, refs) {
            promoted.extend(self.promote_to(at, commit, refs, time, &config, environment).await?);
        }
        Ok(promoted)
    }

    async fn promote_to(
        &self,
        at: &RepoId,
        commit: &CommitId,
        refs: &[RefName],
        time: Timestamp,
        config: &Config,
        environment: &EnvironmentConfig,
    ) -> Result<Vec<Promoted>, String> {
        let known = self.commit(at, commit).await;
        let mut promoted: Vec<Promoted> = Vec::new();
        for service in config.order() {
            let Some(artifact) = known.artifacts.get(&service.image).copied() else { continue };
            let slot = SlotId {
                tenant: at.tenant.clone(),
                repo: at.repo.clone(),
                environment: environment.name.clone(),
                service: service.name.clone(),
            };
            let seed = format!("{}/{slot}", self.id);
            let wanted = Wanted {
                id: DeploymentId::derived(time, seed.as_bytes()),
                slot,
                version: request::version(refs, commit),
                commit: commit.clone(),
                artifact,
                trigger: Trigger::Push,
                requested_by: known.pushers.last().cloned().unwrap_or_else(Principal::grit),
                needs: promoted.iter().map(|p| p.service.clone()).collect(),
            };
            let made = self.request_deployment(at, &wanted, service, environment).await?;
            promoted.extend(made);
        }
        Ok(promoted)
    }

    async fn request_deployment(
        &self,
        at: &RepoId,
        wanted: &Wanted,
        service: &ServiceConfig,
        environment: &EnvironmentConfig,
    ) -> Result<Option<Promoted>, String> {
        let journal = self.ports.journal.as_ref();
        let attempt = || request::current(journal, &wanted.slot);
        let current = self.until_done("reading a slot", attempt).await;
        if self.unchanged(at, wanted, service, current.as_ref()).await {
            return Ok(None);
        }
        let request = self.complete(at, wanted, service, environment, current.as_ref()).await;
        let command = || Command::Slot(SlotCommand::Request(Box::new(request.clone())));
        let stream = wanted.slot.stream();
        let asked = self.submit(stream, command, Actor::grit("promotion")).await;
        match asked.as_ref().map_err(AsRef::as_ref) {
            Ok(_) => Ok(Some(Promoted {
                environment: wanted.slot.environment.clone(),
                service: wanted.slot.service.clone(),
                deployment: wanted.id,
            })),
            Err(Refusal::Slot(SlotRefusal::Unchanged { .. })) => Ok(None),
            Err(refusal) => Err(chain(refusal)),
        }
    }

    async fn complete(
        &self,
        at: &RepoId,
        wanted: &Wanted,
        service: &ServiceConfig,
        environment: &EnvironmentConfig,
        current: Option<&SlotView>,
    ) -> Request {
        let attempt = || {
            let (at, wanted) = (at.clone(), wanted.clone());
            let (service, environment) = (service.clone(), environment.clone());
            let from = request::deployed(current);
            let journal = self.ports.journal.clone();
            async move {
                let changes = self
                    .blocking({
                        let (at, commit) = (at.clone(), wanted.commit.clone());
                        move |p| p.source.changes(&at, from.as_ref(), &commit, request::CHANGES_MAX)
                    })
                    .await
                    .map_err(|error| request::failed("read the changes", error))?;
                let authors =
                    request::authors(journal.as_ref(), &at, &wanted.commit, &changes).await?;
                Ok::<_, grit_ledger::StorageError>(request::complete(
                    &wanted,
                    &service,
                    &environment,
                    changes,
                    authors,
                ))
            }
        };
        self.until_done("completing a request", attempt).await
    }

    /// The service's own files are those that run there already.
    async fn unchanged(
        &self,
        at: &RepoId,
        wanted: &Wanted,
        service: &ServiceConfig,
        current: Option<&SlotView>,
    ) -> bool {
        let Some(from) = request::deployed(current) else { return false };
        let attempt = || {
            let (at, paths) = (at.clone(), service.source.clone());
            let (from, to) = (from.clone(), wanted.commit.clone());
            self.blocking(move |ports| {
                let mut same = true;
                for path in paths.iter().chain([&pipelines::CONFIG.to_owned()]) {
                    let object = |commit: &CommitId| -> Result<Option<ObjectId>, _> {
                        ports.source.object(&at, commit, path)
                    };
                    same &= object(&from)? == object(&to)?;
                }
                Ok::<_, crate::ports::SourceError>(same)
            })
        };
        self.until_done("comparing sources", attempt).await
    }

    async fn commit(&self, at: &RepoId, commit: &CommitId) -> Commit {
        let query = RowQuery {
            table: COMMITS.to_owned(),
            tenant: Some(at.tenant.clone()),
            key: Some(format!("{}/{commit}", at.repo)),
            ..RowQuery::default()
        };
        let rows = self.until_done("reading a commit", || self.ports.journal.rows(&query)).await;
        let view =
            rows.into_iter().find_map(|row| serde_json::from_value::<CommitView>(row.body).ok());
        view.map(|view| view.state).unwrap_or_default()
    }
}

/// The environments that the refs lead to, each after the one it comes after.
fn led_to<'a>(config: &'a Config, refs: &[RefName]) -> Vec<&'a EnvironmentConfig> {
    let mut environments: Vec<&EnvironmentConfig> = Vec::new();
    for name in refs {
        for environment in config.environments_for(name) {
            if !environments.iter().any(|known| known.name == environment.name) {
                environments.push(environment);
            }
        }
    }
    environments
}
