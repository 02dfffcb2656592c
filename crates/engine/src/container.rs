use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthConfig,
    HealthStatusEnum, HostConfig, NetworkingConfig, PortBinding, PortMap,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use bytes::BytesMut;
use futures_util::StreamExt;
use grit_types::BoxFuture;

use crate::{Engine, EngineError, Output};

/// Of a log, no more than that is read at once.
const LOG_BYTES_MAX: usize = 1 << 20;

/// A container that is to be made. What is left out is the image's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Empty: the engine makes a name up.
    pub name: String,
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub labels: Vec<(String, String)>,
    pub cwd: Option<String>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    /// The network's name or id; `None`: that of containers that say nothing.
    pub network: Option<String>,
    /// Names that others of the network reach it under.
    pub aliases: Vec<String>,
    pub mounts: Vec<Mount>,
    pub ports: Vec<Port>,
    /// `NAME:ADDRESS`.
    pub hosts: Vec<String>,
    pub dns: Vec<String>,
    /// Folders in memory, each with its options.
    pub tmpfs: BTreeMap<String, String>,
    pub health: Option<HealthCheck>,
    /// In bytes.
    pub memory: Option<i64>,
    pub shm: Option<i64>,
    /// In billionths of a processor.
    pub nano_cpus: Option<i64>,
    pub privileged: bool,
    /// Whose processes it sees: `host`; `None`: its own.
    pub pid: Option<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security: Vec<String>,
    /// Its first process reaps the others.
    pub init: bool,
}

/// A folder or a volume that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// A path of the machine or the name of a volume; empty: a volume without a name.
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

/// A port of a container that the machine has, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `5432/tcp`.
    pub inside: String,
    /// Of the machine; `None`: a free one.
    pub outside: Option<u16>,
    /// The address of the machine; empty: all.
    pub address: String,
}

/// How a container's health is asked for; what is left out is the image's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// A line for the container's shell; `Some("")`: it is not asked for.
    pub command: Option<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start: Option<Duration>,
    pub retries: Option<i64>,
}

/// What a container says of its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody asks.
    Unknown,
    Starting,
    Good,
    Bad,
}

/// What became of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub is_running: bool,
    pub exit: i64,
    pub health: Health,
    /// What the engine says of why it is not up.
    pub error: String,
    /// Ports of the container, without `/tcp`, to those of the machine.
    pub ports: BTreeMap<String, String>,
    /// Its address in each of its networks.
    pub addresses: Vec<String>,
    /// The environment that its commands have.
    pub env: Vec<String>,
}

impl Engine {
    /// Makes a container, and answers its id. Its image must be there.
    pub fn create<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<String, EngineError>> {
        Box::pin(async move {
            let mut options = CreateContainerOptionsBuilder::default();
            if !wanted.name.is_empty() {
                options = options.name(&wanted.name);
            }
            let made = self.docker.create_container(Some(options.build()), body(wanted)).await;
            let what = format!("create a container of {}", wanted.image);
            Ok(made.map_err(self.failed(what))?.id)
        })
    }

    pub fn start<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let none = None::<bollard::query_parameters::StartContainerOptions>;
            let started = self.docker.start_container(id, none).await;
            started.map_err(self.failed("start the container"))
        })
    }

    /// Asks it to end, and kills it after `grace`. One that is not up, or not there, is no error.
    pub fn stop<'a>(
        &'a self,
        id: &'a str,
        grace: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
            let options = StopContainerOptionsBuilder::default().t(seconds).build();
            let stopped = self.docker.stop_container(id, Some(options)).await;
            or_absent(stopped.map_err(self.failed("stop a container")))
        })
    }

    /// Kills and removes it. One that is not there is no error.
    pub fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let removed = self.docker.remove_container(id, Some(options)).await;
            or_absent(removed.map_err(self.failed("remove a container")))
        })
    }

    /// Its exit status; waits for that.
    pub fn wait<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<i64, EngineError>> {
        Box::pin(async move {
            let none = None::<bollard::query_parameters::WaitContainerOptions>;
            let mut waits = Box::pin(self.docker.wait_container(id, none));
            match waits.next().await {
                Some(Ok(over)) => Ok(over.status_code),
                Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
                Some(Err(error)) => Err(self.failed("wait for a container")(error)),
                // The engine hung up: what became of it is asked for.
                None => match self.state(id).await? {
                    Some(state) if !state.is_running => Ok(state.exit),
                    _ => Err(EngineError::Refused {
                        what: "wait for a container".to_owned(),
                        said: "the engine hung up".to_owned(),
                    }),
                },
            }
        })
    }

    /// What became of it; `None`: there is no such container.
    pub fn state<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<State>, EngineError>> {
        Box::pin(async move {
            let none = None::<bollard::query_parameters::InspectContainerOptions>;
            let found = self.docker.inspect_container(id, none).await;
            match found.map_err(self.failed("ask for a container")) {
                Ok(found) => Ok(Some(state(found))),
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// What it says from now on; to be called before it is started.
    pub fn attach<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Output, EngineError>> {
        Box::pin(async move {
            let options = AttachContainerOptionsBuilder::default()
                .stdout(true)
                .stderr(true)
                .stream(true)
                .logs(true)
                .build();
            let attached = self.docker.attach_container(id, Some(options)).await;
            let attached = attached.map_err(self.failed("attach to a container"))?;
            Ok(Output::new(self, attached.output))
        })
    }

    /// The last lines that it said.
    pub fn last_words<'a>(
        &'a self,
        id: &'a str,
        lines: u32,
    ) -> BoxFuture<'a, Result<Vec<u8>, EngineError>> {
        Box::pin(async move {
            let tail = lines.to_string();
            let options =
                LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&tail).build();
            let mut logs = Box::pin(self.docker.logs(id, Some(options)));
            let mut said = BytesMut::new();
            while let Some(next) = logs.next().await {
                let next = next.map_err(self.failed("read the log of a container"))?;
                said.extend_from_slice(&next.into_bytes());
                if said.len() > LOG_BYTES_MAX {
                    break;
                }
            }
            Ok(said.to_vec())
        })
    }
}

fn or_absent(done: Result<(), EngineError>) -> Result<(), EngineError> {
    match done {
        Err(error) if error.is_absent() => Ok(()),
        done => done,
    }
}

pub(crate) fn owned(labels: &[(String, String)]) -> HashMap<String, String> {
    labels.iter().cloned().collect()
}

fn some<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

fn body(wanted: &Wanted) -> ContainerCreateBody {
    let endpoint = EndpointSettings { aliases: some(&wanted.aliases), ..Default::default() };
    let networking = wanted.network.clone().map(|network| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network, endpoint)])),
    });
    let volumes = wanted.mounts.iter().filter(|mount| mount.source.is_empty());
    let volumes: Vec<String> = volumes.map(|mount| mount.target.clone()).collect();
    let exposed: Vec<String> = wanted.ports.iter().map(|port| port.inside.clone()).collect();
    ContainerCreateBody {
        image: Some(wanted.image.clone()),
        entrypoint: wanted.entrypoint.clone(),
        cmd: wanted.command.clone(),
        env: Some(wanted.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(owned(&wanted.labels)),
        working_dir: wanted.cwd.clone(),
        user: wanted.user.clone(),
        hostname: wanted.hostname.clone(),
        exposed_ports: some(&exposed),
        volumes: some(&volumes),
        healthcheck: wanted.health.as_ref().map(health_config),
        host_config: Some(host_config(wanted)),
        networking_config: networking,
        ..Default::default()
    }
}

fn host_config(wanted: &Wanted) -> HostConfig {
    let bind = |mount: &Mount| {
        let Mount { source, target, read_only } = mount;
        format!("{source}:{target}{}", if *read_only { ":ro" } else { "" })
    };
    let named = wanted.mounts.iter().filter(|mount| !mount.source.is_empty());
    let mut ports = PortMap::new();
    for port in &wanted.ports {
        let binding = PortBinding {
            host_ip: Some(port.address.clone()),
            host_port: Some(port.outside.map(|port| port.to_string()).unwrap_or_default()),
        };
        ports.entry(port.inside.clone()).or_default().get_or_insert_default().push(binding);
    }
    HostConfig {
        network_mode: wanted.network.clone(),
        binds: Some(named.map(bind).collect()),
        port_bindings: Some(ports),
        extra_hosts: some(&wanted.hosts),
        dns: some(&wanted.dns),
        tmpfs: Some(wanted.tmpfs.clone().into_iter().collect()),
        memory: wanted.memory,
        shm_size: wanted.shm,
        nano_cpus: wanted.nano_cpus,
        privileged: Some(wanted.privileged),
        pid_mode: wanted.pid.clone(),
        cap_add: some(&wanted.cap_add),
        cap_drop: some(&wanted.cap_drop),
        security_opt: some(&wanted.security),
        init: wanted.init.then_some(true),
        ..Default::default()
    }
}

fn health_config(check: &HealthCheck) -> HealthConfig {
    let nanos = |duration: Option<Duration>| {
        duration.map(|duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    let test = check.command.as_ref().map(|line| match line.as_str() {
        "" => vec!["NONE".to_owned()],
        line => vec!["CMD-SHELL".to_owned(), line.to_owned()],
    });
    HealthConfig {
        test,
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start),
        retries: check.retries,
        ..Default::default()
    }
}

fn state(found: ContainerInspectResponse) -> State {
    let now = found.state.unwrap_or_default();
    let health = now.health.and_then(|health| health.status);
    let settings = found.network_settings.unwrap_or_default();
    let ports = settings.ports.unwrap_or_default().into_iter();
    let ports = ports.filter_map(|(inside, bindings)| {
        let outside = bindings?.into_iter().find_map(|binding| binding.host_port)?;
        Some((inside.trim_end_matches("/tcp").to_owned(), outside))
    });
    let networks = settings.networks.unwrap_or_default().into_values();
    State {
        is_running: now.running.unwrap_or(false),
        exit: now.exit_code.unwrap_or(0),
        health: match health {
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Good,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Bad,
            _ => Health::Unknown,
        },
        error: now.error.unwrap_or_default(),
        ports: ports.collect(),
        addresses: networks
            .filter_map(|network| network.ip_address)
            .filter(|address| !address.is_empty())
            .collect(),
        env: found.config.and_then(|config| config.env).unwrap_or_default(),
    }
}
