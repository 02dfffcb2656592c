use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::SnapshotError;

/// How an edge runs.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Where clients connect; port 0 takes a free one, which [`crate::Edge::address`] tells.
    pub listen: SocketAddr,
    /// Unix socket of the admin interface, mode 0600.
    pub admin_socket: PathBuf,
    /// What is routed, kept across restarts. Beside it, `NAME.lock` keeps a second edge away.
    pub snapshot: PathBuf,
    /// Worker threads, each with its own listener, runtime and pools; at least 1 is taken.
    pub threads: usize,
    /// How long to wait, already listening, for an edge that is on its way out.
    pub takeover: Duration,
    pub limits: Limits,
}

impl EdgeConfig {
    /// Defaults: two threads, no waiting for a predecessor, [`Limits::default`].
    pub fn new(listen: SocketAddr, admin_socket: PathBuf, snapshot: PathBuf) -> Self {
        let takeover = Duration::ZERO;
        Self { listen, admin_socket, snapshot, threads: 2, takeover, limits: Limits::default() }
    }
}

/// What one client may use, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Client connections of all threads together; more are answered 503 and closed.
    pub connections: usize,
    /// Bytes of a request's head; more is answered 431. At least 8,192.
    pub header_bytes: usize,
    /// Header lines of a request; more is answered 431.
    pub headers: usize,
    /// From the first byte of a request's head (or from accept) to its last.
    pub header_timeout: Duration,
    /// A connection between two requests.
    pub idle_timeout: Duration,
    /// A client that neither sends the body it announced nor reads the answer it asked for.
    pub stall_timeout: Duration,
    /// Until an endpoint accepts.
    pub connect_timeout: Duration,
    /// An unused connection to an endpoint.
    pub upstream_idle_timeout: Duration,
    /// Unused connections per endpoint and thread.
    pub upstream_idle: usize,
    /// At shutdown: how long idle connections stay open, for clients to see `Connection: close`.
    pub shutdown_linger: Duration,
    /// At shutdown: how long requests in flight may take.
    pub shutdown_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 64 * 1024,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(1),
            upstream_idle_timeout: Duration::from_secs(60),
            upstream_idle: 256,
            shutdown_linger: Duration::from_millis(250),
            shutdown_deadline: Duration::from_secs(30),
        }
    }
}

/// Why an edge does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("open the admin socket {}", path.display())]
    Admin { path: PathBuf, source: io::Error },
    /// Another edge serves from this snapshot.
    #[error("another edge holds {}", path.display())]
    Held { path: PathBuf },
    #[error("lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("read what is routed")]
    Snapshot(#[from] SnapshotError),
    #[error("start the edge's runtime")]
    Runtime(#[source] io::Error),
    #[error("a thread of the edge died")]
    Panicked,
}
