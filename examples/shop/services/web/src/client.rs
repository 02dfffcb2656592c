//! A small HTTP/1.1 client for calls between services.
//!
//! Each call has one deadline for everything. Connections are kept for GET
//! only: a kept one may be closed by the other side at any moment, and just a
//! request that can be repeated may find that out.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::common::http::{Headers, Refusal, head_lines};

pub const CALL_MAX: Duration = Duration::from_secs(2);
const CONNECT_MAX: Duration = Duration::from_millis(500);
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const KEPT_MAX: usize = 16;
/// Well below what servers grant to an idle connection.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Where the API is: `http://HOST[:PORT]`, nothing behind it.
#[derive(Debug, PartialEq)]
pub struct ApiUrl {
    /// As written, for the host header: a router tells services apart by it.
    authority: String,
    host: String,
    port: u16,
}

impl ApiUrl {
    pub fn parse(url: &str) -> Result<Self, String> {
        let problem = |why: &str| format!("`{url}` {why}; expected http://HOST:PORT");
        let rest =
            url.strip_prefix("http://").ok_or_else(|| problem("does not start with http://"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| problem("has no valid port"))?),
            None => (authority, 80),
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        if host.is_empty() || !host.bytes().all(is_name) {
            return Err(problem("has no valid host"));
        }
        Ok(Self { authority: authority.to_owned(), host: host.to_owned(), port })
    }

    /// RFC 6761, 6.3: names under `localhost` are this machine, and need no
    /// resolver, which often does not know them.
    fn address(&self) -> io::Result<SocketAddr> {
        if self.host == "localhost" || self.host.ends_with(".localhost") {
            return Ok((Ipv4Addr::LOCALHOST, self.port).into());
        }
        let mut found = (self.host.as_str(), self.port).to_socket_addrs()?;
        found
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why a call brought no answer.
#[derive(Debug)]
pub enum CallError {
    Connect(io::Error),
    /// The connection broke or ran into the deadline.
    Broken(io::Error),
    /// Something came that is no answer this client understands.
    Malformed(&'static str),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Broken(error) if is_timeout(error) => write!(f, "no answer within {CALL_MAX:?}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Malformed(what) => write!(f, "the answer is malformed: {what}"),
        }
    }
}

/// Calls one service.
pub struct Client {
    url: ApiUrl,
    kept: Mutex<Vec<(TcpStream, Instant)>>,
}

impl Client {
    pub fn new(url: ApiUrl) -> Self {
        Self { url, kept: Mutex::default() }
    }

    /// Repeated once, on a fresh connection, when a kept one turns out closed.
    pub fn get(&self, path: &str) -> Result<Answer, CallError> {
        let deadline = Instant::now() + CALL_MAX;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.url.authority);
        if let Some(kept) = self.take_kept() {
            match self.exchange(kept, request.as_bytes(), deadline) {
                Err(CallError::Broken(error)) if !is_timeout(&error) => {}
                result => return result,
            }
        }
        self.exchange(self.connect()?, request.as_bytes(), deadline)
    }

    /// Sent once and never repeated.
    pub fn post(&self, path: &str, body: &str) -> Result<Answer, CallError> {
        let deadline = Instant::now() + CALL_MAX;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.url.authority,
            body.len(),
        );
        self.exchange(self.connect()?, request.as_bytes(), deadline)
    }

    fn connect(&self) -> Result<TcpStream, CallError> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&self.url.address()?, CONNECT_MAX)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        connect().map_err(CallError::Connect)
    }

    fn exchange(
        &self,
        mut stream: TcpStream,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let left = time_left(deadline).map_err(CallError::Broken)?;
        stream
            .set_write_timeout(Some(left))
            .and_then(|()| stream.write_all(request))
            .map_err(CallError::Broken)?;
        let (answer, reusable) = read_answer(&mut stream, deadline)?;
        if reusable {
            self.keep(stream);
        }
        Ok(answer)
    }

    fn take_kept(&self) -> Option<TcpStream> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < KEPT_FOR);
        kept.pop().map(|(stream, _)| stream)
    }

    fn keep(&self, stream: TcpStream) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push((stream, Instant::now()));
        }
    }
}

/// Reads one answer, and says whether the connection is good for another.
fn read_answer(stream: &mut TcpStream, deadline: Instant) -> Result<(Answer, bool), CallError> {
    let mut bytes = Vec::new();
    let (status, headers, body_start) = loop {
        read_chunk(stream, &mut bytes, deadline)?;
        if let Some((lines, used)) = head_lines(&bytes).map_err(malformed)? {
            let headers = Headers::parse(&lines[1..]).map_err(malformed)?;
            break (status_of(lines[0])?, headers, used);
        }
    };
    let length =
        headers.content_length().ok().flatten().filter(|&length| length <= ANSWER_BYTES_MAX);
    let length =
        length.ok_or(CallError::Malformed("a content-length within bounds is required"))?;
    while bytes.len() < body_start + length {
        read_chunk(stream, &mut bytes, deadline)?;
    }
    let reusable = !headers.has_token("connection", "close") && bytes.len() == body_start + length;
    bytes.truncate(body_start + length);
    Ok((Answer { status, body: bytes.split_off(body_start) }, reusable))
}

fn malformed(refusal: Refusal) -> CallError {
    CallError::Malformed(refusal.reason)
}

fn status_of(line: &str) -> Result<u16, CallError> {
    let code = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let code = code.and_then(|code| code.parse().ok()).filter(|code| (200..600).contains(code));
    code.ok_or(CallError::Malformed("the status line"))
}

fn read_chunk(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(), CallError> {
    let mut chunk = [0; 16 * 1024];
    let mut read = || {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        stream.read(&mut chunk)
    };
    match read().map_err(CallError::Broken)? {
        0 => Err(CallError::Broken(io::ErrorKind::UnexpectedEof.into())),
        count => {
            bytes.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Serves one connection after the other: reads a request, writes the
    /// given answers of that connection one by one, closes it.
    fn serve(connections: Vec<Vec<&'static str>>) -> (Client, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://api.test.localhost:{}", listener.local_addr().unwrap().port());
        let server = thread::spawn(move || {
            let mut requests = Vec::new();
            for answers in connections {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in answers {
                    let mut request = [0; 4096];
                    let count = stream.read(&mut request).unwrap();
                    requests.push(String::from_utf8_lossy(&request[..count]).into_owned());
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
            requests
        });
        (Client::new(ApiUrl::parse(&url).unwrap()), server)
    }

    const ONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none";
    const TWO: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\ntwo";

    #[test]
    fn urls_are_parsed_or_refused() {
        let url = ApiUrl::parse("http://api.production.localhost:7780/").unwrap();
        assert_eq!((url.authority.as_str(), url.port), ("api.production.localhost:7780", 7780));
        assert_eq!(url.address().unwrap(), (Ipv4Addr::LOCALHOST, 7780).into());
        for bad in [
            "",
            "api:80",
            "https://api",
            "http://",
            "http://api:",
            "http://api:99999",
            "http://a/b",
            "http://a@b",
            "http://a\r\nx",
        ] {
            assert!(ApiUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_host_is_sent_as_written_and_connections_are_kept() {
        let (client, server) = serve(vec![vec![ONE, TWO]]);
        assert_eq!(client.get("/a").unwrap().body, b"one");
        assert_eq!(client.get("/b").unwrap().status, 404);
        let requests = server.join().unwrap();
        assert!(
            requests[0].starts_with("GET /a HTTP/1.1\r\nhost: api.test.localhost:"),
            "{}",
            requests[0]
        );
        assert!(requests[1].starts_with("GET /b "), "{}", requests[1]);
    }

    #[test]
    fn a_get_survives_a_kept_connection_that_was_closed() {
        let (client, server) = serve(vec![vec![ONE], vec![TWO]]);
        assert_eq!(client.get("/a").unwrap().body, b"one");
        assert_eq!(client.get("/b").unwrap().body, b"two");
        assert_eq!(server.join().unwrap().len(), 2);
    }

    #[test]
    fn a_post_takes_a_fresh_connection() {
        let (client, server) = serve(vec![vec![ONE], vec![TWO]]);
        assert_eq!(client.get("/a").unwrap().status, 200);
        assert_eq!(client.post("/b", "{}").unwrap().status, 404);
        assert!(server.join().unwrap()[1].ends_with("content-length: 2\r\n\r\n{}"));
    }

    #[test]
    fn answers_that_cannot_be_trusted_are_errors() {
        let bad = [
            "",
            "nonsense\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ];
        for answer in bad {
            let (client, server) = serve(vec![vec![answer]]);
            assert!(client.post("/a", "{}").is_err(), "{answer:?}");
            server.join().unwrap();
        }
    }

    #[test]
    fn nobody_listening_is_an_error_to_connect() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = ApiUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        assert!(matches!(Client::new(url).get("/"), Err(CallError::Connect(_))));
    }
}
