//! An open-loop load: requests go out when they are due, on connections that are kept, and none is sent twice.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// More connections than are needed as long as answers come in time.
const CONNECTIONS: u32 = 32;
/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Where nobody listens, nothing was sent, and a client may knock again.
const KNOCK_EVERY: Duration = Duration::from_millis(5);
const CHECKOUT: &str = r#"{"items":[{"product":1,"quantity":1}]}"#;

/// What is asked, and how often.
#[derive(Clone)]
pub struct Target {
    pub edge: SocketAddr,
    pub host: String,
    /// Requests per second, all connections together.
    pub rate: u32,
    /// The header that names the version; else counts are kept under the empty name.
    pub version_header: &'static str,
    /// One in four is a POST to the shop.
    pub shop: bool,
}

/// A request that got no answer, or one of 500 and above.
#[derive(Clone, Debug)]
pub struct Lost {
    pub at: Instant,
    /// When the connection that it went out on was opened.
    pub connected: Instant,
    pub why: String,
}

#[derive(Default)]
pub struct Seen {
    pub versions: BTreeMap<String, u64>,
    pub lost: Vec<Lost>,
    /// Connections that nobody took; what was to go out on them went out later.
    pub refused: u64,
    pub longest: Duration,
}

impl Seen {
    pub fn served(&self) -> u64 {
        self.versions.values().sum()
    }
}

/// A running load.
pub struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(target: &Target) -> Self {
        let (seen, stop) =
            (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let began = Instant::now();
        let worker = |index| {
            let (target, seen, stop) = (target.clone(), seen.clone(), stop.clone());
            thread::spawn(move || {
                Worker { target, seen, connection: None }.run(index, began, &stop)
            })
        };
        let workers = (0..CONNECTIONS).map(worker).collect();
        Self { seen, stop, workers }
    }

    /// Looks at what was seen so far.
    pub fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it, requests in flight included.
    pub fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            // A worker that panicked has told why.
            let _ = worker.join();
        }
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a request on a connection of its own is answered with success.
pub fn is_served(target: &Target) -> bool {
    let answer = open(target.edge).and_then(|mut stream| ask(&mut stream, target, 1));
    answer.is_ok_and(|answer| (200..300).contains(&answer.status))
}

struct Connection {
    stream: BufReader<TcpStream>,
    since: Instant,
}

impl Connection {
    /// Whether the other side has not ended it while nothing was asked, as every client looks before it sends.
    fn is_open(&self) -> bool {
        let stream = self.stream.get_ref();
        let seen = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let waits = seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        waits && stream.set_nonblocking(false).is_ok()
    }
}

struct Worker {
    target: Target,
    seen: Arc<Mutex<Seen>>,
    connection: Option<Connection>,
}

impl Worker {
    fn run(mut self, index: u32, began: Instant, stop: &AtomicBool) {
        let period = Duration::from_secs(1) * CONNECTIONS / self.target.rate;
        let mut due = began + period * index / CONNECTIONS;
        let mut number = index;
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.once(due, number, stop);
            due += period;
            number = number.wrapping_add(1);
        }
    }

    fn once(&mut self, due: Instant, number: u32, stop: &AtomicBool) {
        let Some(mut connection) = self.connect(stop) else { return };
        let since = connection.since;
        let asked = ask(&mut connection.stream, &self.target, number);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.longest = seen.longest.max(due.elapsed());
        let why = match asked {
            Ok(answer) => {
                if answer.kept {
                    self.connection = Some(connection);
                }
                if answer.status < 500 {
                    *seen.versions.entry(answer.version).or_default() += 1;
                    return;
                }
                format!("status {}", answer.status)
            }
            Err(error) => error.to_string(),
        };
        seen.lost.push(Lost { at: Instant::now(), connected: since, why });
    }

    fn connect(&mut self, stop: &AtomicBool) -> Option<Connection> {
        if let Some(kept) = self.connection.take().filter(Connection::is_open) {
            return Some(kept);
        }
        while !stop.load(Ordering::Relaxed) {
            if let Ok(stream) = open(self.target.edge) {
                return Some(Connection { stream, since: Instant::now() });
            }
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
            thread::sleep(KNOCK_EVERY);
        }
        None
    }
}

fn open(edge: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(edge)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(BufReader::new(stream))
}

struct Answer {
    status: u16,
    version: String,
    /// The connection can carry another request.
    kept: bool,
}

fn ask(stream: &mut BufReader<TcpStream>, target: &Target, number: u32) -> io::Result<Answer> {
    let host = &target.host;
    let request = if target.shop && number.is_multiple_of(4) {
        let length = CHECKOUT.len();
        format!(
            "POST /checkout HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{CHECKOUT}"
        )
    } else {
        format!("GET /catalogue HTTP/1.1\r\nHost: {host}\r\n\r\n")
    };
    stream.get_mut().write_all(request.as_bytes())?;
    read(stream, target.version_header)
}

fn read(stream: &mut impl BufRead, version_header: &str) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(broken("closed without an answer"));
    }
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| broken("no status line"))?;
    let mut answer = Answer { status, version: String::new(), kept: true };
    let mut length = None;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(broken("closed within the headers"));
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<u64>().ok();
        } else if name.eq_ignore_ascii_case(version_header) {
            value.clone_into(&mut answer.version);
        } else if name.eq_ignore_ascii_case("connection") {
            answer.kept = !value.eq_ignore_ascii_case("close");
        }
    }
    let length = length.ok_or_else(|| broken("no length"))?;
    let body = io::copy(&mut stream.take(length), &mut io::sink())?;
    if body < length { Err(broken("closed within the body")) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> io::Result<Answer> {
        read(&mut text.as_bytes(), "x-shop-version")
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let whole =
            answer("HTTP/1.1 200 OK\r\nX-Shop-Version: 1.0.0\r\nContent-Length: 2\r\n\r\nhi");
        let whole = whole.unwrap();
        assert_eq!((whole.status, whole.version.as_str(), whole.kept), (200, "1.0.0", true));
        let closing = answer("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let closing = closing.unwrap();
        assert_eq!((closing.status, closing.kept), (503, false));
    }

    #[test]
    fn an_answer_cut_short_is_none() {
        for text in
            ["", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"]
        {
            assert!(answer(text).is_err(), "{text}");
        }
    }
}
