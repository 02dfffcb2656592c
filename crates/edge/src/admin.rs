//! The admin interface: HTTP/1.1 and JSON on a unix socket that only this user can open.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use grit_rollout::{Drained, Route, SlotId};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;

use crate::clock;
use crate::control::Control;
use crate::handover;
use crate::shared::Shared;
use crate::wire::{DrainRequest, Refusal, State, slot_of};

/// A request to the admin interface.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long a request for trips or for a drain may hang.
const WAIT_MAX: Duration = Duration::from_secs(30);
const DRAIN_MAX: Duration = Duration::from_secs(60 * 60);
/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) struct Admin {
    pub control: Rc<RefCell<Control>>,
    shared: Arc<Shared>,
    listen: SocketAddr,
    /// For a successor.
    listeners: Rc<[TcpListener]>,
    /// When this edge started, in milliseconds: no two on one socket have the same.
    identity: u64,
}

impl Admin {
    pub fn new(
        control: Control,
        shared: Arc<Shared>,
        listen: SocketAddr,
        listeners: Vec<TcpListener>,
    ) -> Self {
        let identity = u64::try_from(clock::wall().millis()).unwrap_or(0);
        let control = Rc::new(RefCell::new(control));
        Self { control, shared, listen, listeners: listeners.into(), identity }
    }
}

/// The socket, which takes the place of a predecessor's and goes away with its owner.
pub(crate) struct Socket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    pub fn bind(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let listener = std::os::unix::net::UnixListener::bind(&beside)?;
        listener.set_nonblocking(true)?;
        // In this order nobody can open it before its mode is right, and there is no moment in
        // which the path leads nowhere.
        std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o600))?;
        let inode = std::fs::metadata(&beside)?.ino();
        std::fs::rename(&beside, path)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Nobody is hurt by a socket that nobody listens on.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Serves until it is dropped.
pub(crate) async fn serve(admin: Admin, socket: Socket) -> io::Result<()> {
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let admin = Rc::new(admin);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        let admin = Rc::clone(&admin);
        let service = service_fn(move |request| {
            let admin = Rc::clone(&admin);
            async move { Ok::<_, Infallible>(admin.answer(request).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::task::spawn_local(connection.with_upgrades());
    }
}

type Answer = Result<Response<Full<Bytes>>, Refusal>;

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = match (&method, path.as_str()) {
            (&Method::PUT, "/routes") => self.apply(request).await,
            (&Method::GET, "/routes") => self.observed(&request),
            (&Method::GET, "/stats") => self.stats(&request),
            (&Method::POST, "/drained") => self.drained(request).await,
            (&Method::GET, "/trips") => self.trips(&request).await,
            (&Method::GET, "/state") => json(StatusCode::OK, &self.state()),
            (&Method::GET, handover::PATH) => Ok(self.hand_over(request)),
            (_, _) => Err(bad(format!("no {method} {path} here"))),
        };
        answer.unwrap_or_else(|refusal| {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            json(status, &refusal).unwrap_or_else(|_| Response::new(Full::default()))
        })
    }

    async fn apply(&self, request: Request<Incoming>) -> Answer {
        let route: Route = body(request).await?;
        let observed = self.control.borrow_mut().apply(route)?;
        json(StatusCode::OK, &observed)
    }

    fn observed(&self, request: &Request<Incoming>) -> Answer {
        let observed = self.control.borrow_mut().observed(&slot(request)?);
        json(StatusCode::OK, &observed)
    }

    fn stats(&self, request: &Request<Incoming>) -> Answer {
        let window = Duration::from_millis(number(request, "window_ms")?);
        json(StatusCode::OK, &self.control.borrow().stats(&slot(request)?, window))
    }

    async fn drained(&self, request: Request<Incoming>) -> Answer {
        let DrainRequest { slot, instances, deadline_ms } = body(request).await?;
        let began = Instant::now();
        let deadline = Duration::from_millis(deadline_ms).min(DRAIN_MAX);
        loop {
            let in_flight = self.control.borrow().in_flight(&slot, &instances);
            match in_flight {
                Some(0) => return json(StatusCode::OK, &Drained::Empty),
                Some(in_flight) if began.elapsed() >= deadline => {
                    return json(StatusCode::OK, &Drained::Cut { in_flight });
                }
                // A thread that follows the table late is busy, not idle: it is waited for.
                Some(_) | None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn trips(&self, request: &Request<Incoming>) -> Answer {
        let wait = Duration::from_millis(number(request, "wait_ms")?).min(WAIT_MAX);
        let edge = self.identity;
        let same = number(request, "edge")? == edge;
        let after = if same { number(request, "after")? } else { 0 };
        let began = Instant::now();
        loop {
            let trips = self.control.borrow().trips(edge, after);
            if trips.last > after || !same || began.elapsed() >= wait {
                return json(StatusCode::OK, &trips);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn hand_over(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let asked = hyper::upgrade::on(request);
        let listeners = Rc::clone(&self.listeners);
        tokio::task::spawn_local(async move {
            match handover::give(asked, &listeners).await {
                Ok(()) => tracing::info!("a successor has the listeners"),
                Err(error) => tracing::warn!(%error, "a successor did not get the listeners"),
            }
        });
        handover::accept()
    }

    fn state(&self) -> State {
        State {
            pid: std::process::id(),
            uptime_ms: u64::try_from(self.shared.epoch.elapsed().as_millis()).unwrap_or(u64::MAX),
            listen: self.listen,
            threads: self.shared.threads(),
            connections: self.shared.connections.load(Ordering::Relaxed),
            slots: self.control.borrow_mut().state(),
        }
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|error| bad(error.to_string()))?;
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let bytes = body.map_err(|error| bad(error.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))
}

fn slot(request: &Request<Incoming>) -> Result<SlotId, Refusal> {
    let stream = parameter(request, "slot")?;
    slot_of(stream).ok_or_else(|| bad(format!("`{stream}` is not a slot")))
}

fn number(request: &Request<Incoming>, name: &str) -> Result<u64, Refusal> {
    let text = parameter(request, name)?;
    text.parse().map_err(|_| bad(format!("`{text}` is not a number")))
}

/// Names of slots need no escapes.
fn parameter<'a>(request: &'a Request<Incoming>, name: &str) -> Result<&'a str, Refusal> {
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
    found.ok_or_else(|| bad(format!("`{name}` is missing")))
}

fn bad(problem: String) -> Refusal {
    Refusal::Request { problem }
}
