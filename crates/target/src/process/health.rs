use std::time::Duration;

use bytes::Bytes;
use grit_rollout::Health;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One question to an instance.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// `HOST:PORT`.
    pub(super) address: String,
    pub(super) path: String,
    pub(super) timeout: Duration,
}

impl Probe {
    /// `GET` on a connection of its own: 200 to 299 passes, else why not.
    pub(super) async fn check(&self) -> Result<(), String> {
        let failed = |why: String| format!("GET {}: {why}", self.path);
        match tokio::time::timeout(self.timeout, self.status()).await {
            Ok(Ok(200..=299)) => Ok(()),
            Ok(Ok(status)) => Err(failed(format!("answered {status}"))),
            Ok(Err(why)) => Err(failed(why)),
            Err(_) => Err(failed(format!("no answer within {:?}", self.timeout))),
        }
    }

    async fn status(&self) -> Result<u16, String> {
        let request = Request::get(self.path.as_str())
            .header(HOST, &self.address)
            .header(USER_AGENT, "grit-health/1")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new());
        let request = request.map_err(|error| format!("not a path: {error}"))?;
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let exchange = sender.send_request(request);
        tokio::pin!(exchange, connection);
        let answer = tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // What ends the connection has decided the exchange.
            _ = &mut connection => exchange.await,
        };
        answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
    }
}

/// Passes and failures in a row, against the thresholds.
#[derive(Debug)]
pub(super) struct Gauge {
    healthy: u32,
    unhealthy: u32,
    passes: u32,
    failures: u32,
    ready: bool,
}

impl Gauge {
    pub(super) fn new(health: &Health, ready: bool) -> Self {
        Self {
            healthy: health.healthy_threshold.max(1),
            unhealthy: health.unhealthy_threshold.max(1),
            passes: 0,
            failures: 0,
            ready,
        }
    }

    /// Takes one result; `Some` when it changes whether the instance counts as ready.
    pub(super) fn take(&mut self, passed: bool) -> Option<bool> {
        if passed {
            (self.passes, self.failures) = (self.passes.saturating_add(1), 0);
        } else {
            (self.passes, self.failures) = (0, self.failures.saturating_add(1));
        }
        let now = match self.ready {
            false => self.passes >= self.healthy,
            true => self.failures < self.unhealthy,
        };
        let changed = now != self.ready;
        self.ready = now;
        changed.then_some(now)
    }

    pub(super) fn has_passed(&self) -> bool {
        self.passes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(ready: bool) -> Gauge {
        let second = Duration::from_secs(1);
        let health = Health {
            path: "/health".into(),
            interval: second,
            timeout: second,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            deadline: second,
        };
        Gauge::new(&health, ready)
    }

    #[test]
    fn thresholds_count_in_a_row() {
        let mut gauge = gauge(false);
        let results = [true, false, true, true, true, false, false, true, false, false, false];
        let changes: Vec<Option<bool>> = results.iter().map(|&passed| gauge.take(passed)).collect();
        let mut expected = vec![None; 11];
        expected[3] = Some(true);
        expected[10] = Some(false);
        assert_eq!(changes, expected);
    }

    #[test]
    fn what_was_ready_stays_so_until_it_fails() {
        let mut gauge = gauge(true);
        assert_eq!(gauge.take(true), None);
        assert_eq!((gauge.take(false), gauge.take(false)), (None, None));
        assert_eq!(gauge.take(false), Some(false));
    }
}
