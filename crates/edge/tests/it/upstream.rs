//! Instances: each connection has a thread.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::client::{body, head};

pub struct Upstream {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What is done with a request.
pub enum Answer {
    Reply(u16, String),
    /// These bytes, and nothing more.
    Bytes(Vec<u8>),
    /// These bytes, then the end of the connection.
    Close(Vec<u8>),
}

/// An ordinary answer.
pub fn ok(text: &str) -> Answer {
    Answer::Reply(200, text.to_owned())
}

impl Upstream {
    /// Answers every request by `handler`.
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let serve = move |stream: TcpStream| {
            // A client that goes away ends the connection, nothing else.
            let _ = converse(stream, &counted, &handler);
        };
        let mut upstream = Self::raw(serve);
        upstream.requests = requests;
        upstream
    }

    /// Answers 200 and `name` to everything.
    pub fn named(name: &'static str) -> Self {
        Self::start(move |_| ok(name))
    }

    /// Hands every connection to `serve`.
    pub fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, ending) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (counted, ended, kept) = (connections.clone(), ending.clone(), Arc::clone(&open));
        let serve = Arc::new(serve);
        let accept = move || {
            for stream in listener.incoming() {
                if ended.load(SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                counted.fetch_add(1, SeqCst);
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || {
                    let whole = stream.try_clone().unwrap();
                    serve(stream);
                    let _ = whole.shutdown(std::net::Shutdown::Both);
                });
            }
        };
        let thread = Some(std::thread::spawn(accept));
        Self { address, connections, requests: Arc::default(), ending, open, thread }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// Dies: what is open is closed, what comes is refused.
    pub fn die(&mut self) {
        self.ending.store(true, SeqCst);
        // Wakes the accepting thread up; where that fails it is gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.die();
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn converse(
    stream: TcpStream,
    counted: &AtomicUsize,
    handler: &impl Fn(&Request) -> Answer,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (line, headers) = head(&mut stream)?;
        let body = body(&mut stream, &headers)?;
        counted.fetch_add(1, SeqCst);
        let request = Request { line, headers, body };
        match handler(&request) {
            Answer::Reply(status, text) => stream.get_mut().write_all(&reply(status, &text))?,
            Answer::Bytes(bytes) => stream.get_mut().write_all(&bytes)?,
            Answer::Close(bytes) => return stream.get_mut().write_all(&bytes),
        }
    }
}

/// The bytes of an ordinary answer.
pub fn reply(status: u16, text: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes()
}
