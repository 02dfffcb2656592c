use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Limits;

/// What a client connection is waiting for, and hence whose fault a long wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// For the next request.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For an endpoint, to take the request or to answer it.
    Upstream,
    /// For the client, to send the body it announced.
    Upload,
    /// The answer is under way.
    Reply,
    /// For the client, to read the answer.
    Stalled,
}

/// A client connection as its watchdog sees it.
///
/// One coarse look at all connections every few milliseconds takes the place of a timer per
/// request.
pub(crate) struct Conn {
    phase: Cell<Phase>,
    /// When the phase began, or when there last was progress in it; milliseconds.
    since: Cell<u64>,
    /// How long [`Phase::Upstream`] may take.
    request_timeout: Cell<u64>,
    expired: Cell<bool>,
    /// The client went away while it sent a body.
    broken_upload: Cell<bool>,
    /// The client's address, as it is told to endpoints.
    pub client: HeaderValue,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    now: Rc<Cell<u64>>,
}

impl Conn {
    /// `now` is the coarse clock of the thread, in milliseconds.
    pub fn new(now: Rc<Cell<u64>>, client: HeaderValue) -> Self {
        Self {
            phase: Cell::new(Phase::Head),
            since: Cell::new(now.get()),
            request_timeout: Cell::new(u64::MAX),
            expired: Cell::new(false),
            broken_upload: Cell::new(false),
            client,
            closed: Cell::new(false),
            waker: RefCell::new(None),
            now,
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.now.get());
        self.expired.set(false);
    }

    /// A request begins to wait for an endpoint, for so many milliseconds at most.
    pub fn await_upstream(&self, timeout: u64) {
        self.request_timeout.set(timeout);
        self.enter(Phase::Upstream);
    }

    /// Enters `to` if it is in `from`.
    pub fn shift(&self, from: Phase, to: Phase) {
        if self.phase.get() == from {
            self.enter(to);
        }
    }

    /// Whether the phase has taken too long.
    pub fn is_expired(&self) -> bool {
        self.expired.get()
    }

    pub fn break_upload(&self) {
        self.broken_upload.set(true);
    }

    pub fn is_upload_broken(&self) -> bool {
        self.broken_upload.get()
    }

    /// Wakes the task of the connection where the phase has taken too long.
    pub fn check(&self, limits: &Limits) {
        let limit = match self.phase.get() {
            Phase::Idle => millis(limits.idle_timeout),
            Phase::Head => millis(limits.header_timeout),
            Phase::Upstream => self.request_timeout.get(),
            Phase::Upload | Phase::Stalled => millis(limits.stall_timeout),
            Phase::Reply => return,
        };
        if self.now.get().saturating_sub(self.since.get()) >= limit {
            self.expire();
        }
    }

    /// Ends the phase it is in.
    pub fn expire(&self) {
        self.expired.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Remembers whom to wake.
    pub fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    pub fn close(&self) {
        self.closed.set(true);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The client's socket; tells the watchdog when the client begins a request or stops reading.
pub(crate) struct ClientIo {
    stream: TokioIo<TcpStream>,
    conn: Rc<Conn>,
}

impl ClientIo {
    pub fn new(stream: TcpStream, conn: Rc<Conn>) -> Self {
        Self { stream: TokioIo::new(stream), conn }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.conn.shift(Phase::Reply, Phase::Stalled),
            Poll::Ready(_) => self.conn.shift(Phase::Stalled, Phase::Reply),
        }
        written
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.conn.shift(Phase::Idle, Phase::Head);
        Poll::Ready(read)
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }
}
