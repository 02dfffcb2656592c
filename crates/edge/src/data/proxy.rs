//! A request's way: host, route, turn, endpoint, answer.
//!
//! A request is sent again only if it is certain that no endpoint acted on it: the connection was
//! refused; or the message never left; or it was sent on a connection that had been closed
//! meanwhile, no byte of an answer came, and the method is idempotent and without a body.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::body::{ReplyBody, Upload};
use super::connection::{Conn, Phase};
use super::headers;
use super::local::LocalRoute;
use super::reply::Trouble;
use super::upstream::{Pooled, Upstream};
use super::worker::Worker;
use crate::stats::{Outcome, second_of};

/// Endpoints tried for one request.
const ATTEMPTS_MAX: usize = 6;
/// Bytes of a failed request's path that are kept as evidence.
const PATH_SHOWN_MAX: usize = 200;
/// Room for the headers of an ordinary request, in bytes.
const SPARE_CAPACITY: usize = 512;

/// Answers one request.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let started = worker.tick();
    let route = host(&request).map(|host| worker.route(host));
    let mut response = match route {
        Ok(Some(route)) => forward(&worker, &conn, route, request, started).await,
        Ok(None) => Trouble::UnknownHost.reply(),
        Err(trouble) => trouble.reply(),
    };
    if matches!(response.body(), ReplyBody::Text(_)) {
        conn.enter(Phase::Idle);
    }
    if worker.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The host that is asked for, without its port (RFC 9112, section 3.2).
fn host(request: &Request<Incoming>) -> Result<&str, Trouble> {
    if request.method() == Method::CONNECT {
        return Err(Trouble::Method);
    }
    let mut lines = request.headers().get_all(HOST).iter();
    let authority = match (request.uri().authority(), lines.next(), lines.next()) {
        (Some(authority), _, None) => authority.as_str(),
        (None, Some(line), None) => line.to_str().map_err(|_| Trouble::BadHost)?,
        (_, _, _) => return Err(Trouble::BadHost),
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(host),
        _ => Ok(authority),
    }
}

async fn forward(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    route: Rc<LocalRoute>,
    request: Request<Incoming>,
    mut started: Instant,
) -> Response<ReplyBody> {
    conn.await_upstream(route.entry.timeout_ms);
    let mut request = outbound(request, conn);
    let mut journey = Journey::begin(worker, route);
    let mut stop = journey.next();
    while let Some((group, upstream)) = stop {
        let route = Rc::clone(&journey.route);
        let attempt = Attempt::begin(worker, route, group, &upstream, &request, started);
        match exchange(worker, conn, &upstream, request).await {
            Ok((response, pooled)) => return attempt.answer(response, pooled, conn),
            Err(Failure::Unsent(unsent)) => {
                request = *unsent;
                journey.tried.push(upstream);
                stop = journey.next();
                attempt.refused(stop.is_some());
                started = worker.tick();
            }
            Err(Failure::Lost) if conn.is_upload_broken() => return Trouble::Stalled.reply(),
            Err(Failure::Lost) => return attempt.lost(),
            Err(Failure::Expired) if conn.phase() == Phase::Upload => {
                return Trouble::Stalled.reply();
            }
            Err(Failure::Expired) => return attempt.expired(),
        }
    }
    Trouble::Unreachable.reply()
}

/// The request as an endpoint gets it.
fn outbound(request: Request<Incoming>, conn: &Rc<Conn>) -> Request<Upload> {
    let (mut parts, body) = request.into_parts();
    headers::strip(&mut parts.headers);
    if let Some(authority) = parts.uri.authority() {
        // The absolute form outranks the header (RFC 9112, section 3.2.2).
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            parts.headers.insert(HOST, host);
        }
        let path = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    headers::forwarded(&mut parts.headers, &conn.client);
    parts.version = Version::HTTP_11;
    Request::from_parts(parts, Upload::new(body, Rc::clone(conn)))
}

/// Which endpoints are tried: those of the group whose turn it is, then those of stable.
struct Journey<'a> {
    worker: &'a Rc<Worker>,
    route: Rc<LocalRoute>,
    group: usize,
    tried: Vec<Rc<Upstream>>,
}

impl<'a> Journey<'a> {
    fn begin(worker: &'a Rc<Worker>, route: Rc<LocalRoute>) -> Self {
        let group = route.take_turn();
        Self { worker, route, group, tried: Vec::new() }
    }

    fn next(&mut self) -> Option<(usize, Rc<Upstream>)> {
        if self.tried.len() >= ATTEMPTS_MAX {
            return None;
        }
        if !self.tried.is_empty() {
            self.follow();
        }
        let now = self.worker.now();
        if let Some(upstream) = self.route.choose(self.group, &self.tried, now) {
            return Some((self.group, Rc::clone(upstream)));
        }
        let fallback = self.route.entry.fallback?;
        let upstream = self.route.choose(fallback, &self.tried, now)?;
        Some((fallback, Rc::clone(upstream)))
    }

    /// The route may have changed since the last attempt: what left it is not tried any more.
    fn follow(&mut self) {
        if let Some(route) = self.worker.route(&self.route.entry.slot.host())
            && !Rc::ptr_eq(&route, &self.route)
        {
            self.group = route.take_turn();
            self.route = route;
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// No endpoint can have seen the request.
    Unsent(Box<Request<Upload>>),
    /// It may have been acted on.
    Lost,
    /// Its time is over.
    Expired,
}

async fn exchange(
    worker: &Worker,
    conn: &Rc<Conn>,
    upstream: &Upstream,
    mut request: Request<Upload>,
) -> Result<(Response<Incoming>, Pooled), Failure> {
    let replayable = request.method().is_idempotent() && request.body().is_end_stream();
    let mut unused = reusable(upstream, replayable);
    loop {
        let (mut pooled, spare) = match unused.take() {
            Some(pooled) => (pooled, Some(replayable.then(|| Spare::of(&request)))),
            // Boxed: it is rare, and every request would have to carry its room about.
            None => match within(conn, Box::pin(worker.connect(upstream))).await {
                Some(Ok(pooled)) => (pooled, None),
                Some(Err(_)) => return Err(Failure::Unsent(Box::new(request))),
                None => return Err(Failure::Expired),
            },
        };
        let Some(sent) = within(conn, pooled.sender.try_send_request(request)).await else {
            return Err(Failure::Expired);
        };
        let mut error = match sent {
            Ok(response) => return Ok((response, pooled)),
            Err(error) => error,
        };
        request = match (error.take_message(), spare) {
            // Fresh and already closed: as good as refused.
            (Some(unsent), None) => return Err(Failure::Unsent(Box::new(unsent))),
            (Some(unsent), Some(_)) => {
                unused = reusable(upstream, replayable);
                unsent
            }
            (None, Some(Some(spare))) if !pooled.has_received() => spare.into_request(conn),
            (None, _) => return Err(Failure::Lost),
        };
    }
}

/// An unused connection. It may have been closed without our knowing: a request that can be sent
/// again is kept for that, and for any other one the connection is looked at.
fn reusable(upstream: &Upstream, replayable: bool) -> Option<Pooled> {
    loop {
        let pooled = upstream.checkout()?;
        if replayable || pooled.is_alive() {
            return Some(pooled);
        }
    }
}

/// A request without a body, to be sent again if need be. Its headers are kept as lines of text:
/// a second map of them costs more, and is hardly ever asked for.
struct Spare {
    method: Method,
    uri: Uri,
    lines: Vec<u8>,
}

impl Spare {
    fn of(request: &Request<Upload>) -> Self {
        let mut lines = Vec::with_capacity(SPARE_CAPACITY);
        for (name, value) in request.headers() {
            for part in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"] {
                lines.extend_from_slice(part);
            }
        }
        Self { method: request.method().clone(), uri: request.uri().clone(), lines }
    }

    fn into_request(self, conn: &Rc<Conn>) -> Request<Upload> {
        let mut request = Request::new(Upload::empty(Rc::clone(conn)));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        // No name holds a colon, and no value a line's end (RFC 9110, section 5).
        for line in self.lines.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                request.headers_mut().append(name, value);
            }
        }
        request
    }
}

/// The output of the future, unless the watchdog ends the wait first.
async fn within<F: Future>(conn: &Conn, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if conn.is_expired() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// A request at an endpoint: in flight from its begin to its drop.
struct Attempt {
    worker: Rc<Worker>,
    route: Rc<LocalRoute>,
    group: usize,
    upstream: Rc<Upstream>,
    started: Instant,
    /// What was asked for, where failures are kept as evidence.
    line: Option<Box<(Method, Uri)>>,
}

impl Attempt {
    fn begin(
        worker: &Rc<Worker>,
        route: Rc<LocalRoute>,
        group: usize,
        upstream: &Rc<Upstream>,
        request: &Request<Upload>,
        started: Instant,
    ) -> Self {
        upstream.shard().enter();
        let evidence = route.entry.groups[group].evidence.is_some();
        let line = evidence.then(|| Box::new((request.method().clone(), request.uri().clone())));
        let (worker, upstream) = (Rc::clone(worker), Rc::clone(upstream));
        Self { worker, route, group, upstream, started, line }
    }

    fn answer(
        self,
        response: Response<Incoming>,
        pooled: Pooled,
        conn: &Rc<Conn>,
    ) -> Response<ReplyBody> {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it: `Upgrade` is not passed on.
            return self.lost();
        }
        headers::strip(&mut parts.headers);
        parts.version = Version::HTTP_11;
        match parts.status.is_server_error() {
            true => self.settle(Outcome::Error, parts.status.as_str()),
            false => self.settle(Outcome::Answered, ""),
        }
        conn.enter(Phase::Reply);
        let answering = Answering { attempt: self, pooled: Some(pooled), conn: Rc::clone(conn) };
        Response::from_parts(parts, ReplyBody::Upstream { body, answering })
    }

    fn refused(self, tried_elsewhere: bool) {
        self.settle(Outcome::Broken, "refused");
        if tried_elsewhere {
            let second = second_of(self.worker.shared.epoch.elapsed());
            self.upstream.shard().record_retry(second);
        }
    }

    fn lost(self) -> Response<ReplyBody> {
        self.settle(Outcome::Broken, "broken");
        Trouble::Broken.reply()
    }

    fn expired(self) -> Response<ReplyBody> {
        self.settle(Outcome::Timeout, "timeout");
        Trouble::Timeout.reply()
    }

    /// Counts how it ended.
    fn settle(&self, outcome: Outcome, note: &str) {
        let now = self.worker.tick();
        let elapsed = self.worker.shared.epoch.at(now);
        let latency = now.saturating_duration_since(self.started);
        self.upstream.shard().record(second_of(elapsed), outcome, latency);
        self.tell(outcome != Outcome::Answered, note, elapsed);
    }

    fn tell(&self, failed: bool, note: &str, elapsed: std::time::Duration) {
        let group = &self.route.entry.groups[self.group];
        let Some(evidence) = &group.evidence else { return };
        if failed && let Some((method, uri)) = self.line.as_deref() {
            let number = self.route.entry.requests();
            // Without the query: it may hold what only the service should know.
            let path = uri.path();
            let path = path.get(..PATH_SHOWN_MAX).unwrap_or(path);
            evidence.failed(second_of(elapsed), format!("#{number} {method} {path} {note}"));
        }
        if let Some(watch) = &group.watch {
            watch.saw(failed, &group.series, evidence, elapsed);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.upstream.shard().leave();
    }
}

/// Held by an answer while it is passed on.
pub(crate) struct Answering {
    attempt: Attempt,
    pooled: Option<Pooled>,
    conn: Rc<Conn>,
}

impl Answering {
    /// The endpoint ended the connection in the middle of the answer.
    pub fn broke(&self) {
        let elapsed = self.attempt.worker.shared.epoch.elapsed();
        self.attempt.upstream.shard().record_break(second_of(elapsed));
        self.attempt.tell(true, "cut off", elapsed);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let worker = &self.attempt.worker;
        if let Some(pooled) = self.pooled.take() {
            // Only a connection whose exchange is complete is ready and kept.
            self.attempt.upstream.checkin(pooled, worker.now(), &worker.shared.limits);
        }
        self.conn.enter(Phase::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_what_was_sent() {
        let conn = Rc::new(Conn::new(Rc::default(), HeaderValue::from_static("127.0.0.1")));
        let mut request = Request::new(Upload::empty(Rc::clone(&conn)));
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = Uri::from_static("/path?a=b:c");
        let lines: [(&'static str, &[u8]); 5] = [
            ("host", b"localhost:80"),
            ("x-twice", b"one: two"),
            ("x-twice", b"\xff\tthree"),
            ("x-empty", b""),
            ("x-last", b"4"),
        ];
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        let again = Spare::of(&request).into_request(&conn);
        assert_eq!((again.method(), again.uri()), (request.method(), request.uri()));
        assert_eq!(again.headers(), request.headers());
    }
}
