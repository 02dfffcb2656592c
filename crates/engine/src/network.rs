use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerSummary, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
use grit_types::BoxFuture;

use crate::container::owned;
use crate::{Engine, EngineError};

impl Engine {
    /// Makes a network of containers on this engine; answers its id.
    pub fn create_network<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<String, EngineError>> {
        Box::pin(async move {
            let request = NetworkCreateRequest {
                name: name.to_owned(),
                driver: Some("bridge".to_owned()),
                labels: Some(owned(labels)),
                ..Default::default()
            };
            let made = self.docker.create_network(request).await;
            Ok(made.map_err(self.failed(format!("create network {name}")))?.id)
        })
    }

    /// Removes everything that has the label `NAME=VALUE`: containers at once, with what they keep
    /// in volumes without a name, then networks.
    pub fn remove_labelled<'a>(&'a self, label: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            for container in self.containers(label).await? {
                self.remove(&container.id.unwrap_or_default()).await?;
            }
            for network in self.networks(label).await? {
                let id = network.id.unwrap_or_default();
                let removed = self.docker.remove_network(&id).await;
                match removed.map_err(self.failed(format!("remove network {id}"))) {
                    Err(error) if !error.is_absent() => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// What the label `name` says on every container, up or not, and every network that has the
    /// label `label`: `NAME=VALUE`.
    pub fn labelled<'a>(
        &'a self,
        label: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<BTreeSet<String>, EngineError>> {
        Box::pin(async move {
            let containers = self.containers(label).await?.into_iter().map(|one| one.labels);
            let networks = self.networks(label).await?.into_iter().map(|one| one.labels);
            let labels = containers.chain(networks).flatten();
            Ok(labels.filter_map(|mut labels| labels.remove(name)).collect())
        })
    }

    async fn containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let wanted = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(wanted)).await;
        found.map_err(self.failed("list containers"))
    }

    async fn networks(&self, label: &str) -> Result<Vec<Network>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let wanted = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = self.docker.list_networks(Some(wanted)).await;
        found.map_err(self.failed("list networks"))
    }
}
