//! Listens, gives each connection a thread up to a limit, and drains.
//!
//! Draining loses no request: the listener takes in what already knocked and
//! closes; each connection answers what it has begun to read; an idle one
//! stays open for a grace, because a request may be on its way to it.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::connection;
use super::http::Response;
use super::service::{self, Service};

pub const CONNECTIONS_MAX: usize = 512;
/// After this much draining the process ends, whatever is still open.
pub const DRAIN_MAX: Duration = Duration::from_millis(4_500);

const STACK_BYTES: usize = 256 * 1024;
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

/// A listening server.
pub struct Server {
    address: SocketAddr,
    acceptor: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Server {
    /// Binds 127.0.0.1 and serves from now on. Port 0 takes a free one.
    pub fn start(port: u16, service: Service) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            service,
            drain_start: OnceLock::new(),
            open: Mutex::new(0),
            closed: Condvar::new(),
        });
        let acceptor = thread::Builder::new().name("accept".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        })?;
        Ok(Self { address, acceptor, shared })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets every connection finish, and returns how many
    /// were still open after [`DRAIN_MAX`].
    pub fn drain(self) -> usize {
        let start = *self.shared.drain_start.get_or_init(Instant::now);
        // The acceptor sits in accept(2); a connection of our own wakes it. If
        // this fails, then because the queue is full: that wakes it as well.
        let wake = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        let accepted = self.acceptor.join();
        debug_assert!(accepted.is_ok(), "the accept loop has no reason to panic");
        drop(wake);
        self.shared.wait_until_closed(start + DRAIN_MAX)
    }
}

/// What the acceptor, the connections and [`Server::drain`] have in common.
pub struct Shared {
    pub service: Service,
    drain_start: OnceLock<Instant>,
    open: Mutex<usize>,
    closed: Condvar,
}

impl Shared {
    /// Since when this server drains; `None` while it serves.
    pub fn draining_since(&self) -> Option<Instant> {
        self.drain_start.get().copied()
    }

    fn wait_until_closed(&self, deadline: Instant) -> usize {
        let mut open = self.open();
        while *open > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                break;
            };
            open = self.closed.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *open
    }

    fn open(&self) -> MutexGuard<'_, usize> {
        // A count stays true when its last holder panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let drains = shared.draining_since().is_some();
        if drains && listener.set_nonblocking(true).is_err() {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => admit(stream, shared),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                ) => {}
            // Nobody is left in the queue: close it.
            Err(_) if drains => return,
            // Out of descriptors, most likely; connections that end free some.
            Err(_) => thread::sleep(ACCEPT_RETRY),
        }
    }
}

fn admit(stream: TcpStream, shared: &Arc<Shared>) {
    let Some(slot) = Slot::take(shared) else {
        return turn_away(stream, shared);
    };
    let task = move || connection::serve(stream, &slot.0);
    if let Err(error) = thread::Builder::new().stack_size(STACK_BYTES).spawn(task) {
        service::log(format_args!("{}: no thread for a connection: {error}", shared.service.name));
    }
}

fn turn_away(mut stream: TcpStream, shared: &Shared) {
    let busy =
        Response::error(503, "too many connections").encode(shared.service.version, true, false);
    // Few bytes into an empty buffer: this does not block, and a client that
    // is gone already needs no answer.
    let _ = stream.write_all(&busy);
}

/// One of [`CONNECTIONS_MAX`] places; given back when dropped, also by a
/// thread that panics.
struct Slot(Arc<Shared>);

impl Slot {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let mut open = shared.open();
        if *open == CONNECTIONS_MAX {
            return None;
        }
        *open += 1;
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.open() -= 1;
        self.0.closed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::fault::Switch;
    use crate::common::http::Request;
    use std::io::Read;

    fn start(config: &str) -> Server {
        let handle = |request: &Request| match request.head.path.as_str() {
            "/slow" => {
                thread::sleep(Duration::from_millis(300));
                Response::error(200, "slow")
            }
            _ => Response::error(200, &String::from_utf8_lossy(&request.body)),
        };
        let faults = Switch::parse(config).unwrap();
        Server::start(
            0,
            Service { name: "test", version: "9.9.9", faults, handle: Box::new(handle) },
        )
        .unwrap()
    }

    fn connect(server: &Server) -> TcpStream {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Reads one response and leaves the connection as it is.
    fn response(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"}\n") {
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }

    fn rest(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    const GET: &[u8] = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";

    #[test]
    fn a_connection_serves_many_requests_in_pieces_and_pipelined() {
        let server = start("");
        let mut stream = connect(&server);
        for piece in [
            &b"POST /a HTTP/1.1\r\nho"[..],
            b"st: a\r\ncontent-length: 4\r\n\r\non",
            b"e!",
            GET,
            GET,
        ] {
            stream.write_all(piece).unwrap();
        }
        assert!(response(&mut stream).contains("one!"));
        assert!(response(&mut stream).contains("200 OK"));
        assert!(response(&mut stream).contains("x-shop-version: 9.9.9"));
        drop(stream);
        assert_eq!(server.drain(), 0);
    }

    #[test]
    fn a_body_is_asked_for_when_the_client_waits() {
        let server = start("");
        let mut stream = connect(&server);
        stream
            .write_all(
                b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n",
            )
            .unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"ok").unwrap();
        assert!(response(&mut stream).contains("ok"));
    }

    #[test]
    fn a_refused_request_is_answered_and_the_connection_closed() {
        let server = start("");
        let mut stream = connect(&server);
        stream.write_all(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n").unwrap();
        stream.write_all(&[b'x'; 70_000]).unwrap();
        let answer = rest(&mut stream);
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"),
            "{answer}"
        );
    }

    #[test]
    fn faults_spare_health() {
        let server = start("fault = errors\nfault.ratio = 1");
        let mut stream = connect(&server);
        stream.write_all(GET).unwrap();
        assert!(response(&mut stream).starts_with("HTTP/1.1 500 "));
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let health = response(&mut stream);
        assert!(
            health.ends_with("{\"status\":\"ok\",\"service\":\"test\",\"version\":\"9.9.9\"}\n"),
            "{health}"
        );
    }

    #[test]
    fn draining_finishes_what_has_begun_and_serves_what_races_in() {
        let server = start("");
        let (mut slow, mut begun, mut idle) =
            (connect(&server), connect(&server), connect(&server));
        for stream in [&mut slow, &mut begun, &mut idle] {
            stream.write_all(GET).unwrap();
            response(stream);
        }
        slow.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        begun.write_all(b"GET /half HTTP").unwrap();
        let shared = Arc::clone(&server.shared);
        let address = server.address();
        let drain = thread::spawn(move || server.drain());
        while shared.draining_since().is_none() {
            thread::yield_now();
        }
        idle.write_all(GET).unwrap();
        begun.write_all(b"/1.1\r\nhost: a\r\n\r\n").unwrap();
        for mut stream in [slow, begun, idle] {
            let answer = rest(&mut stream);
            assert!(
                answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"),
                "{answer}"
            );
        }
        assert_eq!(drain.join().unwrap(), 0);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn draining_closes_idle_connections() {
        let server = start("");
        let mut idle = connect(&server);
        idle.write_all(GET).unwrap();
        response(&mut idle);
        assert_eq!(server.drain(), 0);
        assert_eq!(rest(&mut idle), "");
    }

    #[test]
    fn a_hung_request_ends_with_its_client() {
        let server = start("fault = hang");
        let mut hung = connect(&server);
        hung.write_all(GET).unwrap();
        let mut second = connect(&server);
        second.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        assert!(response(&mut second).starts_with("HTTP/1.1 200 "));
        drop((hung, second));
        assert_eq!(server.drain(), 0);
    }

    #[test]
    fn one_connection_too_many_is_turned_away() {
        let server = start("");
        let admitted = |_| {
            let mut stream = connect(&server);
            stream.write_all(GET).unwrap();
            assert!(response(&mut stream).starts_with("HTTP/1.1 200 "));
            stream
        };
        let open: Vec<_> = (0..CONNECTIONS_MAX).map(admitted).collect();
        assert!(rest(&mut connect(&server)).starts_with("HTTP/1.1 503 "));
        drop(open);
        assert_eq!(server.drain(), 0);
    }
}
