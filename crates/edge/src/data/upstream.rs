use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::body::Upload;
use crate::config::Limits;
use crate::stats::{Series, Shard};

/// Refused connections in a row until an endpoint is left alone for a while.
const FAILURES_MAX: u32 = 3;
/// For how long, at first and at most; one request then tries it again.
const BACKOFF_MS: u64 = 250;
const BACKOFF_MAX_MS: u64 = 8_000;

/// An endpoint, as one thread knows it: its unused connections, and whether it accepts new ones.
pub(crate) struct Upstream {
    pub address: SocketAddr,
    series: Arc<Series>,
    thread: usize,
    idle: RefCell<Vec<Pooled>>,
    /// Not routed any more: nothing is kept for it.
    retired: Cell<bool>,
    failures: Cell<u32>,
    /// Left alone until then; milliseconds.
    shunned_until: Cell<u64>,
}

/// A connection to an endpoint.
pub(crate) struct Pooled {
    pub sender: SendRequest<Upload>,
    socket: Socket,
    /// When it was put back; milliseconds.
    since: u64,
}

impl Upstream {
    pub fn new(address: SocketAddr, series: Arc<Series>, thread: usize) -> Self {
        Self {
            address,
            series,
            thread,
            idle: RefCell::default(),
            retired: Cell::new(false),
            failures: Cell::new(0),
            shunned_until: Cell::new(0),
        }
    }

    /// What this thread counts about it.
    pub fn shard(&self) -> &Shard {
        self.series.shard(self.thread)
    }

    /// Whether this is the endpoint that `series` and `address` describe.
    pub fn is(&self, series: &Arc<Series>, address: SocketAddr) -> bool {
        Arc::ptr_eq(&self.series, series) && self.address == address
    }

    /// Whether it is left alone at `now`.
    pub fn is_shunned(&self, now: u64) -> bool {
        self.failures.get() >= FAILURES_MAX && now < self.shunned_until.get()
    }

    /// An unused connection that is not known to be dead.
    pub fn checkout(&self) -> Option<Pooled> {
        let mut idle = self.idle.borrow_mut();
        while let Some(pooled) = idle.pop() {
            if pooled.sender.is_ready() {
                pooled.socket.0.borrow_mut().inner_mut().received = false;
                return Some(pooled);
            }
        }
        None
    }

    /// Takes back a connection that has nothing under way.
    pub fn checkin(&self, mut pooled: Pooled, now: u64, limits: &Limits) {
        let mut idle = self.idle.borrow_mut();
        if !self.retired.get() && pooled.sender.is_ready() && idle.len() < limits.upstream_idle {
            pooled.since = now;
            idle.push(pooled);
        }
    }

    /// Opens a connection, and takes note of whether that worked.
    pub async fn connect(&self, now: &Cell<u64>, timeout: Duration) -> io::Result<Pooled> {
        // One request at a time finds out whether it is back.
        self.shunned_until.set(now.get() + self.backoff());
        let opened = tokio::time::timeout(timeout, open(self.address)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match &opened {
            Ok(_) => self.failures.set(0),
            Err(_) => {
                self.failures.set(self.failures.get().saturating_add(1));
                self.shunned_until.set(now.get() + self.backoff());
            }
        }
        opened
    }

    /// Closes what has not been used for long, and what is closed at the other end.
    pub fn evict(&self, now: u64, limits: &Limits) {
        let longest = u64::try_from(limits.upstream_idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let fresh = |pooled: &Pooled| {
            pooled.sender.is_ready() && now.saturating_sub(pooled.since) < longest
        };
        self.idle.borrow_mut().retain(fresh);
    }

    /// Closes all unused connections, and those in use once they are unused.
    pub fn retire(&self) {
        self.retired.set(true);
        self.idle.borrow_mut().clear();
    }

    pub fn has_idle(&self) -> bool {
        !self.idle.borrow().is_empty()
    }

    fn backoff(&self) -> u64 {
        let doublings = self.failures.get().saturating_sub(FAILURES_MAX).min(10);
        (BACKOFF_MS << doublings).min(BACKOFF_MAX_MS)
    }
}

impl Pooled {
    /// Asks the kernel whether the other end has closed it: one system call, and the only way to
    /// know before the event loop does.
    pub fn is_alive(&self) -> bool {
        let socket = self.socket.0.borrow();
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = rustix::net::recv(&socket.inner().stream, &mut [0u8; 1], flags);
        matches!(peeked, Err(Errno::AGAIN))
    }

    /// Whether a byte has arrived since it was checked out.
    pub fn has_received(&self) -> bool {
        self.socket.0.borrow().inner().received
    }
}

async fn open(address: SocketAddr) -> io::Result<Pooled> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let watched = Watched { stream, received: false };
    let socket = Socket(Rc::new(RefCell::new(TokioIo::new(watched))));
    let opened = http1::Builder::new().writev(false).handshake(socket.clone()).await;
    let (sender, connection) = opened.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        // What breaks here is told to the request that waits for it.
        let _ = connection.await;
    });
    Ok(Pooled { sender, socket, since: 0 })
}

/// A socket that its pool can look at while the protocol holds it.
#[derive(Clone)]
struct Socket(Rc<RefCell<TokioIo<Watched>>>);

/// A stream that knows whether something came.
struct Watched {
    stream: TcpStream,
    received: bool,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        // The end of the stream is not a byte.
        self.received |= buf.filled().len() > before;
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, bufs)
    }
}
