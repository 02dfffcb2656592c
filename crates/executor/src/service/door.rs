//! Where the services listen.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::serve::Listener;
use grit_engine::Gateway;
use grit_types::JobId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Ground, Service, routes};

/// The services of all jobs; they serve as long as the runner is open.
pub(crate) struct Services {
    own: Arc<Service>,
    doors: Mutex<HashMap<(JobId, IpAddr), Door>>,
    closing: CancellationToken,
}

/// A listener for the containers of one job.
struct Door {
    service: Arc<Service>,
    over: CancellationToken,
}

impl Services {
    /// Listens on a free port of this machine until `closing` ends.
    pub async fn start(ground: Ground, closing: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let own = Arc::new(Service::new(ground, base)?);
        serve(listener, own.clone(), closing.clone());
        Ok(Self { own, doors: Mutex::default(), closing })
    }

    /// As processes of this machine reach them.
    pub fn own(&self) -> &Arc<Service> {
        &self.own
    }

    /// As the job's containers of that network reach them, which is at an address of this machine:
    /// of an engine that is elsewhere it is none, and an error.
    pub async fn door(&self, job: JobId, gateway: Gateway) -> io::Result<Arc<Service>> {
        let mut doors = self.doors.lock().await;
        if let Some(door) = doors.get(&(job, gateway.address)) {
            return Ok(door.service.clone());
        }
        let listener = TcpListener::bind((gateway.address, 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let (service, over) = (Arc::new(self.own.at(base, job)), self.closing.child_token());
        serve(Gate { listener, gateway }, service.clone(), over.clone());
        doors.insert((job, gateway.address), Door { service: service.clone(), over });
        Ok(service)
    }

    /// The job is over: nothing of it is good any longer.
    pub async fn forget(&self, job: JobId) {
        self.doors.lock().await.retain(|(of, _), door| {
            let is_other = *of != job;
            if !is_other {
                door.over.cancel();
            }
            is_other
        });
        self.own.forget(job);
    }
}

/// It ends with the token, which the runner holds.
fn serve<L>(listener: L, service: Arc<Service>, over: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    let router = routes(service);
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            served = axum::serve(listener, router) => {
                if let Err(error) = served {
                    tracing::warn!(%error, "the services of jobs ended");
                }
            }
        }
    });
}

/// Takes what comes from one network, and hangs up on everybody else.
struct Gate {
    listener: TcpListener,
    gateway: Gateway,
}

impl Listener for Gate {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if self.gateway.has(peer.ip()) {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
