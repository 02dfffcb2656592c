use std::io;

use bollard::errors::Error;

use crate::address::{Address, AddressError};

/// Why an engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody answers there.
    #[error(
        "no Docker engine answers at {address}: start one (`apt-get install docker.io`), or name \
         one in DOCKER_HOST"
    )]
    Unreachable { address: Address, source: Error },
    /// There is no such image, container or network.
    #[error("{what}: {said}")]
    Absent { what: String, said: String },
    /// The engine says no.
    #[error("{what}: {said}")]
    Refused { what: String, said: String },
    #[error("{what}")]
    Failed { what: String, source: Error },
    #[error("{what}")]
    Io { what: String, source: io::Error },
}

impl EngineError {
    pub(crate) fn of(what: String, address: Address, source: Error) -> Self {
        match source {
            Error::DockerResponseServerError { status_code: 404, message } => {
                Self::Absent { what, said: message }
            }
            Error::DockerResponseServerError { message, .. } => {
                Self::Refused { what, said: message }
            }
            Error::DockerStreamError { error } => Self::Refused { what, said: error },
            source if is_unreachable(&source) => Self::Unreachable { address, source },
            source => Self::Failed { what, source },
        }
    }

    /// Whether there is no such thing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
}

fn is_unreachable(error: &Error) -> bool {
    match error {
        Error::HyperLegacyError { err } => err.is_connect(),
        Error::SocketNotFoundError(_) => true,
        _ => false,
    }
}
