//! One client connection: reads requests, applies the fault switch, answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::fault::Verdict;
use super::http::{Head, Refusal, Request, Response};
use super::server::Shared;

/// How often a waiting connection looks whether the server drains.
const TICK: Duration = Duration::from_millis(200);
/// An idle connection outlives the start of draining by at least this much.
const IDLE_GRACE: Duration = Duration::from_millis(400);
/// Longer than proxies keep idle connections, so that they close first and
/// never send a request into a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// From the first byte of a request to its last.
const REQUEST_MAX: Duration = Duration::from_secs(10);
const WRITE_MAX: Duration = Duration::from_secs(10);
const LINGER_MAX: Duration = Duration::from_secs(1);

const CHUNK_BYTES: usize = 4 * 1024;
const EXIT_CRASHED: i32 = 101;

/// Serves the connection to its end. Errors of the network end it: there is
/// nobody left to tell.
pub fn serve(stream: TcpStream, shared: &Shared) {
    let mut connection = Connection { stream, buffer: Vec::new(), shared };
    let _ = connection.prepare().and_then(|()| connection.run());
}

struct Connection<'a> {
    stream: TcpStream,
    /// Read and not yet understood: the start of the next request.
    buffer: Vec<u8>,
    shared: &'a Shared,
}

/// What came instead of an answerable request.
enum Stop {
    /// The client left, or nothing is expected any more.
    Closed,
    Refused(Refusal),
    Failed(io::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Connection<'_> {
    fn prepare(&self) -> io::Result<()> {
        // Some systems hand the listener's mode on to what it accepts.
        self.stream.set_nonblocking(false)?;
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(TICK))?;
        self.stream.set_write_timeout(Some(WRITE_MAX))
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let request = match self.next_request() {
                Ok(request) => request,
                Err(Stop::Closed) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Refused(refusal)) => return self.refuse(&refusal),
            };
            let Some(response) = self.respond(&request) else {
                return self.hang();
            };
            // Whatever was read after this request is the next one, and what
            // has begun gets its answer, draining or not.
            let drains = self.shared.draining_since().is_some() && self.buffer.is_empty();
            let close = drains || !request.head.keep_alive;
            let head_only = request.head.method == "HEAD";
            self.stream.write_all(&response.encode(
                self.shared.service.version,
                close,
                head_only,
            ))?;
            if close {
                return self.linger();
            }
        }
    }

    /// `None`: the request is never to be answered.
    fn respond(&self, request: &Request) -> Option<Response> {
        let service = &self.shared.service;
        let verdict = match request.head.path.as_str() {
            "/health" => Verdict::Serve,
            _ => service.faults.next(),
        };
        match verdict {
            Verdict::Serve => Some(service.answer(request)),
            Verdict::Fail => Some(Response::error(500, "the fault switch is on")),
            Verdict::Delay(delay) => {
                thread::sleep(delay);
                Some(service.answer(request))
            }
            Verdict::Hang => None,
            Verdict::Crash => process::exit(EXIT_CRASHED),
        }
    }

    fn next_request(&mut self) -> Result<Request, Stop> {
        if self.buffer.is_empty() {
            self.wait_for_first_byte()?;
        }
        let deadline = Instant::now() + REQUEST_MAX;
        let (head, used) = loop {
            match Head::parse(&self.buffer)? {
                Some(parsed) => break parsed,
                None => self.read_more(deadline)?,
            }
        };
        self.buffer.drain(..used);
        if head.expects_continue && self.buffer.len() < head.body_bytes {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while self.buffer.len() < head.body_bytes {
            self.read_more(deadline)?;
        }
        let body = self.buffer.drain(..head.body_bytes).collect();
        Ok(Request { head, body })
    }

    fn wait_for_first_byte(&mut self) -> Result<(), Stop> {
        let idle_since = Instant::now();
        while !self.read_chunk()? {
            let drained =
                self.shared.draining_since().is_some_and(|start| start.elapsed() >= IDLE_GRACE);
            if drained || idle_since.elapsed() >= IDLE_MAX {
                return Err(Stop::Closed);
            }
        }
        Ok(())
    }

    fn read_more(&mut self, deadline: Instant) -> Result<(), Stop> {
        while !self.read_chunk()? {
            if Instant::now() >= deadline {
                return Err(
                    Refusal { status: 408, reason: "the request took too long to arrive" }.into()
                );
            }
        }
        Ok(())
    }

    /// Reads what is there into the buffer; false when nothing came in a tick.
    fn read_chunk(&mut self) -> Result<bool, Stop> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Stop::Closed),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) if is_tick(&error) => Ok(false),
            Err(error) => Err(Stop::Failed(error)),
        }
    }

    fn refuse(&mut self, refusal: &Refusal) -> io::Result<()> {
        let response = Response::error(refusal.status, refusal.reason);
        self.stream.write_all(&response.encode(self.shared.service.version, true, false))?;
        self.linger()
    }

    /// Closes so that the client gets the last answer: closing with unread
    /// bytes would reset the connection and could destroy that answer.
    fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + LINGER_MAX;
        let mut discarded = [0; CHUNK_BYTES];
        while Instant::now() < deadline {
            match self.stream.read(&mut discarded) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_tick(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Holds the connection without an answer until the client gives up.
    fn hang(&mut self) -> io::Result<()> {
        let mut discarded = [0; CHUNK_BYTES];
        loop {
            match self.stream.read(&mut discarded) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_tick(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The read timed out (its kind differs between systems) or was interrupted.
fn is_tick(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
