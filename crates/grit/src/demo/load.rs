//! An open-loop load on the edge: requests go out when they are due, answered or not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests per second, all connections together.
const RATE: u32 = 200;
/// Keep-alive connections, each with one request a second: one that waits for an answer that long
/// holds up no other.
const CONNECTIONS: u32 = 200;
/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// One request and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// `GET /catalogue`.
    pub line: &'static str,
    /// `x-shop-version`; empty where nothing of a service answered.
    pub version: String,
    /// None: no answer.
    pub status: Option<u16>,
    /// Since the load began, when the request was due.
    #[serde(skip)]
    pub due: Duration,
    /// From then to the answer.
    #[serde(skip)]
    pub took: Duration,
}

impl Sample {
    /// Whether a client would call it an error of ours.
    pub fn failed(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

/// What was answered so far; its clones share it.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<Sample>>>);

/// What a version did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub failed: u64,
    /// Requests per second, of late.
    pub rate: f64,
    /// Of late, too.
    pub p99: Option<Duration>,
}

impl Record {
    /// All of it, in the order of being due.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.lock().clone();
        samples.sort_by_key(|sample| sample.due);
        samples
    }

    /// By version; late is what was due in the last `window`.
    pub fn tally(&self, window: Duration) -> BTreeMap<String, Tally> {
        let samples = self.lock();
        let newest = samples.iter().map(|sample| sample.due).max().unwrap_or_default();
        let since = newest.saturating_sub(window);
        let mut tallies = BTreeMap::<String, (Tally, Vec<Duration>)>::new();
        for sample in samples.iter() {
            let (tally, late) = tallies.entry(sample.version.clone()).or_default();
            tally.failed += u64::from(sample.failed());
            if sample.due > since {
                late.push(sample.took);
            }
        }
        let seconds = newest.saturating_sub(since).as_secs_f64().max(0.001);
        let finished = tallies.into_iter().map(|(version, (tally, mut late))| {
            late.sort_unstable();
            let p99 = late.get((late.len() * 99).div_ceil(100).saturating_sub(1)).copied();
            let rate = late.len() as f64 / seconds;
            (version, Tally { rate, p99, ..tally })
        });
        finished.collect()
    }

    /// How many of the requests of that time the version answered, and how many there were.
    pub fn share(&self, version: &str, since: Duration, until: Duration) -> (usize, usize) {
        let samples = self.lock();
        let then = samples.iter().filter(|sample| sample.due > since && sample.due <= until);
        let own = then.clone().filter(|sample| sample.version == version).count();
        (own, then.count())
    }

    /// When the newest request was due.
    pub fn newest(&self) -> Duration {
        self.lock().iter().map(|sample| sample.due).max().unwrap_or_default()
    }

    fn add(&self, sample: Sample) {
        self.lock().push(sample);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running load.
pub struct Load {
    record: Record,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    pub began: Instant,
}

impl Load {
    /// Starts it, and writes it down; `seed` decides which requests are made.
    pub fn start(edge: SocketAddr, host: &str, seed: u64, record: Record) -> Self {
        let (stop, stopped) = watch::channel(false);
        let began = Instant::now();
        let mut workers = JoinSet::new();
        for index in 0..CONNECTIONS {
            let worker = Worker {
                edge,
                host: host.to_owned(),
                record: record.clone(),
                random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(index + 1),
                session: index,
                began,
                connection: None,
            };
            workers.spawn(worker.run(index, stopped.clone()));
        }
        Self { record, stop, workers, began }
    }

    /// Ends it, requests in flight included.
    pub async fn stop(mut self) -> Vec<Sample> {
        // A load that ended by itself has no listener.
        let _ = self.stop.send(true);
        while self.workers.join_next().await.is_some() {}
        self.record.samples()
    }
}

struct Worker {
    edge: SocketAddr,
    host: String,
    record: Record,
    random: u64,
    session: u32,
    began: Instant,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Worker {
    async fn run(mut self, index: u32, mut stopped: watch::Receiver<bool>) {
        let period = Duration::from_secs(1) * CONNECTIONS / RATE;
        let mut due = period * index / CONNECTIONS;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.began + due) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            let sample = self.once(due).await;
            self.record.add(sample);
            due += period;
        }
    }

    async fn once(&mut self, due: Duration) -> Sample {
        let (line, request) = self.request();
        let asked = tokio::time::timeout(ANSWER_MAX, self.ask(request)).await;
        let answer = asked.ok().flatten();
        if answer.is_none() {
            self.connection = None;
        }
        let took = self.began.elapsed().saturating_sub(due);
        let (status, version) = answer.map_or((None, String::new()), |(s, v)| (Some(s), v));
        Sample { line, version, status, due, took }
    }

    /// One in four is a POST; none is ever sent twice.
    fn request(&mut self) -> (&'static str, Request<Full<Bytes>>) {
        // xorshift64: the same seed asks the same.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let (line, method, path, body) = match self.random % 8 {
            0 | 1 => ("POST /checkout", Method::POST, "/checkout", CHECKOUT),
            2 => ("GET /catalogue/1", Method::GET, "/catalogue/1", ""),
            _ => ("GET /catalogue", Method::GET, "/catalogue", ""),
        };
        let mut request = Request::new(Full::new(Bytes::from_static(body.as_bytes())));
        *request.method_mut() = method;
        *request.uri_mut() = hyper::Uri::from_static(path);
        let headers = request.headers_mut();
        if let Ok(host) = self.host.parse() {
            headers.insert(HOST, host);
        }
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        headers.insert("x-session", hyper::header::HeaderValue::from(self.session));
        (line, request)
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Option<(u16, String)> {
        let mut sender = match self.connection.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => connect(self.edge).await?,
        };
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let version = response.headers().get("x-shop-version");
        let version = version.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        response.into_body().collect().await.ok()?;
        // A connection that is not ready again is not used again.
        if sender.ready().await.is_ok() {
            self.connection = Some(sender);
        }
        Some((status, version))
    }
}

const CHECKOUT: &str = r#"{"items":[{"product":1,"quantity":1}]}"#;

async fn connect(edge: SocketAddr) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(edge).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    // Ends when the sender is dropped or the edge closes.
    tokio::spawn(connection);
    Some(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(version: &str, status: Option<u16>, due: u64, took: u64) -> Sample {
        let [due, took] = [due, took].map(Duration::from_millis);
        Sample { line: "GET /catalogue", version: version.to_owned(), status, due, took }
    }

    #[test]
    fn failures_are_counted_from_the_beginning_and_rates_of_late() {
        let record = Record::default();
        record.add(sample("1.0.0", Some(500), 100, 1));
        (0..200).for_each(|index| record.add(sample("1.1.0", Some(200), 2_010 + index * 10, 2)));
        record.add(sample("1.1.0", None, 3_000, 90));
        let tally = record.tally(Duration::from_secs(2));
        assert_eq!(tally["1.0.0"], Tally { failed: 1, rate: 0.0, p99: None });
        let new = &tally["1.1.0"];
        assert_eq!((new.failed, new.rate), (1, 100.5));
        assert_eq!(new.p99, Some(Duration::from_millis(2)));
        let until = Duration::from_millis(3_000);
        assert_eq!(record.share("1.0.0", Duration::ZERO, until), (1, 102));
        assert_eq!(record.newest(), Duration::from_millis(4_000));
    }
}
