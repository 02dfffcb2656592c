use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grit_rollout::{
    Drained, Observed, Observer, Report, Route, RouterError, SlotId, Stats, TrafficRouter,
};
use grit_types::{BoxFuture, InstanceId};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::wire::{DrainRequest, Refusal, SlotTrip, State, TripsAnswer};

/// How long an edge may take for what it answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a question for trips stays open, and how soon an edge that is away is asked again.
const TRIPS_WAIT: Duration = Duration::from_secs(20);
const TRIPS_RETRY: Duration = Duration::from_millis(100);
const ANSWER_BYTES_MAX: usize = 64 << 20;

type AnyError = Box<dyn Error + Send + Sync>;

/// The edge behind an admin socket. Every call connects anew: an edge that restarts is found again
/// by the next one. Must be called within a tokio runtime.
#[derive(Clone, Debug)]
pub struct EdgeClient {
    socket: PathBuf,
}

impl EdgeClient {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Everything the edge knows: routes, totals since its start.
    pub fn state(&self) -> BoxFuture<'_, Result<State, RouterError>> {
        Box::pin(self.call(Method::GET, "/state".to_owned(), &(), CALL_TIMEOUT))
    }

    /// Reports trips of the guard for as long as it is polled: all that hold, then each as it
    /// happens. It outlives restarts of the edge, after which what still holds is reported again.
    pub fn watch(&self, observer: Arc<dyn Observer>) -> BoxFuture<'static, ()> {
        let client = self.clone();
        Box::pin(async move {
            let (mut edge, mut last) = (0, 0);
            loop {
                match client.trips(edge, last).await {
                    Ok(answer) => {
                        (edge, last) = (answer.edge, answer.last);
                        for SlotTrip { slot, trip } in answer.trips {
                            observer.report(Report::Tripped { slot, trip });
                        }
                    }
                    Err(_) => tokio::time::sleep(TRIPS_RETRY).await,
                }
            }
        })
    }

    async fn trips(&self, edge: u64, after: u64) -> Result<TripsAnswer, RouterError> {
        let wait = TRIPS_WAIT.as_millis();
        let path = format!("/trips?edge={edge}&after={after}&wait_ms={wait}");
        self.call(Method::GET, path, &(), TRIPS_WAIT + CALL_TIMEOUT).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, RouterError> {
        let body = serde_json::to_vec(body).map_err(unreachable)?;
        let exchange = self.exchange(method, path, Bytes::from(body));
        let (status, bytes) = match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer.map_err(RouterError::Unreachable)?,
            Err(elapsed) => return Err(unreachable(elapsed)),
        };
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(unreachable);
        }
        let refusal: Refusal = serde_json::from_slice(&bytes).map_err(unreachable)?;
        Err(refusal.into())
    }

    async fn exchange(
        &self,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), AnyError> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "edge")
            .body(Full::new(body))?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
            Ok::<_, AnyError>((status, body.to_bytes()))
        };
        // The connection lives as long as the call, and not longer.
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => {
                ended?;
                exchange.await
            }
        }
    }
}

impl TrafficRouter for EdgeClient {
    fn apply(&self, route: &Route) -> BoxFuture<'_, Result<Observed, RouterError>> {
        let route = route.clone();
        Box::pin(
            async move { self.call(Method::PUT, "/routes".to_owned(), &route, CALL_TIMEOUT).await },
        )
    }

    fn observed(&self, slot: &SlotId) -> BoxFuture<'_, Result<Option<Observed>, RouterError>> {
        let path = format!("/routes?slot={}", slot.stream());
        Box::pin(self.call(Method::GET, path, &(), CALL_TIMEOUT))
    }

    fn stats(&self, slot: &SlotId, window: Duration) -> BoxFuture<'_, Result<Stats, RouterError>> {
        let path = format!("/stats?slot={}&window_ms={}", slot.stream(), window.as_millis());
        Box::pin(self.call(Method::GET, path, &(), CALL_TIMEOUT))
    }

    fn drained(
        &self,
        slot: &SlotId,
        instances: &[InstanceId],
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Drained, RouterError>> {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let (slot, instances) = (slot.clone(), instances.to_vec());
        let timeout = deadline.saturating_add(CALL_TIMEOUT);
        Box::pin(async move {
            let request = DrainRequest { slot, instances, deadline_ms };
            self.call(Method::POST, "/drained".to_owned(), &request, timeout).await
        })
    }
}

fn unreachable(error: impl Into<AnyError>) -> RouterError {
    RouterError::Unreachable(error.into())
}
