use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::models::{ContainerSummary, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
};
use grit_types::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::container::owned;
use crate::{Engine, EngineError};

/// The machine of an engine, as the containers of a network reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gateway {
    pub address: IpAddr,
    /// So many bits of it are those of the network.
    pub prefix: u8,
}

impl Gateway {
    /// Whether that is an address of the network.
    pub fn has(&self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        let (own, other) = (bits(self.address), bits(other.to_canonical()));
        let differing = u32::from(self.prefix).min(128);
        own.1 == other.1 && (own.0 ^ other.0).leading_zeros() >= differing
    }

    fn read(config: &IpamConfig) -> Option<Self> {
        let address = config.gateway.as_deref()?.split('/').next()?.parse().ok()?;
        let prefix = config.subnet.as_deref()?.split_once('/')?.1.parse().ok()?;
        Some(Self { address, prefix })
    }
}

impl Engine {
    /// Where the containers of a network, by its name or id, reach the machine; `None`: there is
    /// no such network, or it has no way to the machine.
    pub fn gateway<'a>(
        &'a self,
        network: &'a str,
    ) -> BoxFuture<'a, Result<Option<Gateway>, EngineError>> {
        Box::pin(async move {
            let found = self.docker.inspect_network(network, None::<InspectNetworkOptions>).await;
            match found.map_err(self.failed(format!("ask for network {network}"))) {
                Ok(found) if found.internal == Some(true) => Ok(None),
                Ok(found) => {
                    let configs = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
                    Ok(configs.iter().find_map(Gateway::read))
                }
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_knows_its_network() {
        let of = |gateway: &str, subnet: &str| {
            let (gateway, subnet) = (Some(gateway.to_owned()), Some(subnet.to_owned()));
            Gateway::read(&IpamConfig { gateway, subnet, ..Default::default() }).unwrap()
        };
        let four = of("172.18.0.1", "172.18.0.0/16");
        let has = |gateway: Gateway, text: &str| gateway.has(text.parse().unwrap());
        assert!(has(four, "172.18.0.1") && has(four, "172.18.255.9"));
        assert!(has(four, "::ffff:172.18.0.9"), "as a socket of both kinds says it");
        for other in ["172.19.0.2", "127.0.0.1", "::1", "::ac12:1"] {
            assert!(!has(four, other), "{other}");
        }
        let six = of("fd00::1/64", "fd00::/64");
        assert!(has(six, "fd00::2") && !has(six, "fd00:0:0:1::2") && !has(six, "0.0.0.2"));
        let none = IpamConfig { subnet: Some("10.0.0.0/8".to_owned()), ..Default::default() };
        assert_eq!(Gateway::read(&none), None);
    }
}
