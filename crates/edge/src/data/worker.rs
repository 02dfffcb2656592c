use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_local};
use tokio_util::sync::CancellationToken;

use super::connection::{ClientIo, Conn, Phase};
use super::local::{LocalRoute, LocalTable};
use super::proxy;
use super::reply::TOO_MANY_CONNECTIONS;
use super::upstream::{Pooled, Upstream};
use crate::config::Limits;
use crate::shared::Shared;

/// How often connections are looked at: by how much a time limit may be exceeded.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks between two evictions of unused connections.
const LOOKS_PER_EVICTION: u64 = 20;
/// What hyper keeps on the stack; another number costs an allocation per request.
const HEADERS_ON_STACK: usize = 100;

/// One thread of the data plane.
pub(crate) struct Worker {
    pub shared: Arc<Shared>,
    thread: usize,
    table: RefCell<Rc<LocalTable>>,
    /// Milliseconds since the epoch, as of the last request or look.
    now: Rc<Cell<u64>>,
    conns: RefCell<Vec<Rc<Conn>>>,
    draining: Cell<bool>,
    /// A connection came after a time without any.
    woken: Notify,
}

/// Serves on the listeners until `stop`, then finishes what is in flight.
pub(crate) fn work(
    shared: Arc<Shared>,
    thread: usize,
    listeners: Vec<std::net::TcpListener>,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(shared, thread));
        worker.follow();
        spawn_local(follow_changes(Rc::clone(&worker)));
        spawn_local(keep_watch(Rc::clone(&worker)));
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let listener = TcpListener::from_std(listener)?;
            accepting.spawn_local(accept(Rc::clone(&worker), listener, stop.clone()));
        }
        while let Some(Ok(())) = accepting.join_next().await {}
        worker.drain().await;
        Ok(())
    })
}

impl Worker {
    fn new(shared: Arc<Shared>, thread: usize) -> Self {
        Self {
            shared,
            thread,
            table: RefCell::default(),
            now: Rc::default(),
            conns: RefCell::default(),
            draining: Cell::new(false),
            woken: Notify::new(),
        }
    }

    /// Reads the clock.
    pub fn tick(&self) -> Instant {
        let now = Instant::now();
        self.now.set(u64::try_from(self.shared.epoch.at(now).as_millis()).unwrap_or(u64::MAX));
        now
    }

    /// The clock as it was last read, in milliseconds.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// The route that the next request to this host takes.
    pub fn route(&self, host: &str) -> Option<Rc<LocalRoute>> {
        if self.table.borrow().version != self.shared.version() {
            self.follow();
        }
        let table = self.table.borrow();
        if let Some(route) = table.route(host) {
            return Some(Rc::clone(route));
        }
        let plain = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        table.route(&plain).map(Rc::clone)
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub async fn connect(&self, upstream: &Upstream) -> io::Result<Pooled> {
        upstream.connect(&self.now, self.shared.limits.connect_timeout).await
    }

    /// Takes over what is routed now.
    fn follow(&self) {
        let table = self.shared.table();
        let followed = self.table.borrow().follow(&table, self.thread);
        *self.table.borrow_mut() = Rc::new(followed);
        self.shared.saw(self.thread, table.version);
    }

    fn is_quiet(&self) -> bool {
        let table = Rc::clone(&self.table.borrow());
        self.conns.borrow().is_empty() && !table.upstreams().any(|upstream| upstream.has_idle())
    }

    /// Lets the watchdog see every connection.
    fn look(&self, limits: &Limits) {
        self.tick();
        let mut conns = self.conns.borrow_mut();
        conns.retain(|conn| !conn.is_closed());
        conns.iter().for_each(|conn| conn.check(limits));
    }

    fn evict(&self, limits: &Limits) {
        let table = Rc::clone(&self.table.borrow());
        table.upstreams().for_each(|upstream| upstream.evict(self.now(), limits));
    }

    /// Answers what is in flight, tells clients not to come back, closes what is idle.
    async fn drain(&self) {
        self.draining.set(true);
        let limits = &self.shared.limits;
        let began = Instant::now();
        while began.elapsed() < limits.shutdown_deadline {
            self.look(limits);
            let conns = self.conns.borrow().clone();
            if conns.is_empty() {
                return;
            }
            if began.elapsed() >= limits.shutdown_linger {
                let idle = conns.iter().filter(|conn| conn.phase() == Phase::Idle);
                idle.for_each(|conn| conn.expire());
            }
            tokio::time::sleep(LOOK_EVERY.min(limits.shutdown_linger / 4)).await;
        }
    }
}

/// Follows the table on a thread that no request wakes up.
async fn follow_changes(worker: Rc<Worker>) {
    let mut changes = worker.shared.changes();
    while changes.changed().await.is_ok() {
        worker.follow();
    }
}

async fn keep_watch(worker: Rc<Worker>) {
    let shared = Arc::clone(&worker.shared);
    for look in 1u64.. {
        if worker.is_quiet() {
            worker.woken.notified().await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        worker.look(&shared.limits);
        if look % LOOKS_PER_EVICTION == 0 {
            worker.evict(&shared.limits);
        }
    }
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, stop: CancellationToken) {
    let http = Rc::new(protocol(&worker.shared.limits));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, client)) => admit(&worker, &http, stream, client),
            // Out of descriptors, most likely: connections that end will free some.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
    // Whoever is in the queue of a listener that is closed is reset.
    while let Ok(Ok((stream, client))) =
        tokio::time::timeout(Duration::ZERO, listener.accept()).await
    {
        admit(&worker, &http, stream, client);
    }
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Small answers leave in one plain write, which costs less than one of several parts.
    http.header_read_timeout(None).writev(false).max_buf_size(limits.header_bytes.max(8 * 1024));
    if limits.headers != HEADERS_ON_STACK {
        http.max_headers(limits.headers);
    }
    http
}

fn admit(worker: &Rc<Worker>, http: &Rc<http1::Builder>, stream: TcpStream, client: SocketAddr) {
    let open = worker.shared.connections.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(Arc::clone(&worker.shared));
    if open >= worker.shared.limits.connections {
        // Best effort: a fresh socket has room for one line.
        let _ = stream.try_write(TOO_MANY_CONNECTIONS);
        return;
    }
    let _ = stream.set_nodelay(true);
    worker.tick();
    let address = HeaderValue::try_from(client.ip().to_canonical().to_string());
    let address = address.unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    let conn = Rc::new(Conn::new(Rc::clone(&worker.now), address));
    worker.conns.borrow_mut().push(Rc::clone(&conn));
    worker.woken.notify_one();
    let (worker, http) = (Rc::clone(worker), Rc::clone(http));
    spawn_local(async move {
        converse(&worker, &http, stream, &conn).await;
        conn.close();
        drop(counted);
    });
}

/// An open connection among all.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection to its end.
async fn converse(worker: &Rc<Worker>, http: &http1::Builder, stream: TcpStream, conn: &Rc<Conn>) {
    let service = service_fn(|request: Request<Incoming>| {
        proxy::serve(Rc::clone(worker), Rc::clone(conn), request)
    });
    let io = ClientIo::new(stream, Rc::clone(conn));
    let mut connection = pin!(http.serve_connection(io, service));
    let mut leaving = false;
    poll_fn(|cx| {
        conn.listen(cx);
        match conn.phase() {
            Phase::Head | Phase::Stalled if conn.is_expired() => return Poll::Ready(()),
            Phase::Idle if conn.is_expired() && !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            // An expired wait for an endpoint is the request's to answer.
            Phase::Idle | Phase::Head | Phase::Upstream | Phase::Upload => (),
            Phase::Reply | Phase::Stalled => (),
        }
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}
