use grit_rollout::SlotId;
use grit_rollout::config::{Config, EnvironmentConfig, ServiceConfig, Wanted};
use grit_rollout::slot::{Command as SlotCommand, Refusal as SlotRefusal, Request, Trigger};
use grit_types::{
    Actor, CommitId, DeploymentId, Digest, ObjectId, Principal, RefName, Timestamp, chain,
};

use super::Carry;
use crate::aggregate::{Command, Refusal};
use crate::pipelines;
use crate::ports::RepoId;
use crate::project::{COMMITS, row};
use crate::repo::{Commit, Promoted};
use crate::request;
use crate::view::CommitView;

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
        let known = self.commit(at, commit).await;
        let push = Push { commit, refs, time, known: &known };
        let mut promoted = Vec::new();
        for environment in led_to(&config, refs) {
            promoted.extend(self.promote_to(at, &push, &config, environment).await?);
        }
        Ok(promoted)
    }

    async fn promote_to(
        &self,
        at: &RepoId,
        push: &Push<'_>,
        config: &Config,
        environment: &EnvironmentConfig,
    ) -> Result<Vec<Promoted>, String> {
        let mut promoted: Vec<Promoted> = Vec::new();
        for service in config.order() {
            let Some(artifact) = push.known.artifacts.get(&service.image) else { continue };
            let slot = SlotId {
                tenant: at.tenant.clone(),
                repo: at.repo.clone(),
                environment: environment.name.clone(),
                service: service.name.clone(),
            };
            let journal = self.ports.journal.as_ref();
            let attempt = || request::current(journal, &slot);
            let current = self.until_done("reading a slot", attempt).await;
            let from = request::deployed(current.as_ref());
            if self.unchanged(at, push.commit, service, from.as_ref()).await {
                continue;
            }
            let wanted = self.wanted(at, push, &slot, *artifact, from).await;
            let beside: Vec<_> = promoted.iter().map(|p| p.service.clone()).collect();
            let urls = &self.ports.service_url;
            let request = request::complete(config, &slot, wanted, &beside, urls);
            if let Some(request) = request {
                promoted.extend(self.ask_slot(&slot, request).await?);
            }
        }
        Ok(promoted)
    }

    async fn wanted(
        &self,
        at: &RepoId,
        push: &Push<'_>,
        slot: &SlotId,
        artifact: Digest,
        from: Option<CommitId>,
    ) -> Wanted {
        let attempt = || {
            let (at, from, to) = (at.clone(), from.clone(), push.commit.clone());
            self.blocking(move |p| p.source.changes(&at, from.as_ref(), &to, request::CHANGES_MAX))
        };
        let changes = self.until_done("reading the changes", attempt).await;
        let journal = self.ports.journal.as_ref();
        let attempt = || request::authors(journal, at, push.commit, &changes);
        let authors = self.until_done("reading the authors", attempt).await;
        let seed = format!("{}/{}", self.id, slot.stream());
        Wanted {
            id: DeploymentId::derived(push.time, seed.as_bytes()),
            version: request::version(push.refs, push.commit),
            commit: push.commit.clone(),
            artifact,
            trigger: Trigger::Push,
            requested_by: push.known.pushers.last().cloned().unwrap_or_else(Principal::grit),
            authors,
            changes,
        }
    }

    async fn ask_slot(&self, slot: &SlotId, request: Request) -> Result<Option<Promoted>, String> {
        let command = || Command::Slot(SlotCommand::Request(Box::new(request.clone())));
        let asked = self.submit(slot.stream(), command, Actor::grit("promotion")).await;
        match asked.as_ref().map_err(AsRef::as_ref) {
            Ok(_) => Ok(Some(Promoted {
                environment: slot.environment.clone(),
                service: slot.service.clone(),
                deployment: request.id,
            })),
            Err(Refusal::Slot(SlotRefusal::Unchanged { .. })) => Ok(None),
            Err(refusal) => Err(chain(refusal)),
        }
    }

    /// The service's own files are those that run there already.
    async fn unchanged(
        &self,
        at: &RepoId,
        commit: &CommitId,
        service: &ServiceConfig,
        from: Option<&CommitId>,
    ) -> bool {
        let Some(from) = from else { return false };
        let attempt = || {
            let (at, paths) = (at.clone(), service.source.clone());
            let (from, to) = (from.clone(), commit.clone());
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
        self.commit_view(at, commit).await.map(|view| view.state).unwrap_or_default()
    }

    /// A commit that was pushed, and what came of it.
    pub(super) async fn commit_view(&self, at: &RepoId, commit: &CommitId) -> Option<CommitView> {
        let journal = self.ports.journal.as_ref();
        let read = || row(journal, COMMITS, &at.tenant, format!("{}/{commit}", at.repo));
        self.until_done("reading a commit", read).await
    }
}

/// What is promoted.
struct Push<'a> {
    commit: &'a CommitId,
    refs: &'a [RefName],
    time: Timestamp,
    known: &'a Commit,
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
