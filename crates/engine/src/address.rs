use std::fmt;
use std::path::PathBuf;

/// Where engines are that nobody has moved.
const SOCKET: &str = "/var/run/docker.sock";

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// `tcp://HOST:PORT`, as it is written; in the clear.
    Tcp(String),
}

/// A `DOCKER_HOST` that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "DOCKER_HOST is `{0}`: unix:///PATH and tcp://HOST:PORT are understood, and no TLS and no ssh"
)]
pub struct AddressError(pub String);

impl Address {
    /// Reads what `DOCKER_HOST` says; nothing is where engines are.
    ///
    /// # Errors
    /// It is neither a socket nor an address.
    pub fn read(host: Option<&str>) -> Result<Self, AddressError> {
        let Some(host) = host.map(str::trim).filter(|host| !host.is_empty()) else {
            return Ok(Self::Unix(SOCKET.into()));
        };
        if let Some(path) = host.strip_prefix("unix://")
            && path.starts_with('/')
        {
            return Ok(Self::Unix(path.into()));
        }
        match host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
            Some(at) if at.contains(':') && !at.contains('/') => Ok(Self::Tcp(host.to_owned())),
            _ => Err(AddressError(host.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(at) => f.write_str(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_addresses_are_understood() {
        let read = |host| Address::read(Some(host)).map(|address| address.to_string());
        assert_eq!(Address::read(None).unwrap().to_string(), format!("unix://{SOCKET}"));
        assert_eq!(read("  ").unwrap(), format!("unix://{SOCKET}"));
        for host in ["unix:///run/user/1/docker.sock", "tcp://127.0.0.1:2375"] {
            assert_eq!(read(host).unwrap(), host);
        }
        for host in ["ssh://me@there", "unix://docker.sock", "tcp://there", "docker"] {
            assert!(read(host).unwrap_err().to_string().contains(host));
        }
    }
}
