//! The routes.

mod artifact;
mod deploy;
mod extract;
mod pipeline;
mod read;
mod setting;
mod test;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use grit_control::Control;
use grit_types::{BoxFuture, Clock, Entropy};

use crate::{Artifacts, JobTokens, Logs, Problem, Tokens, Vault};

/// A request's body is never larger than this.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the routes work with.
pub struct App {
    pub control: Control,
    pub tokens: Tokens,
    pub vault: Arc<Vault>,
    pub jobs: Arc<JobTokens>,
    pub logs: Arc<dyn Logs>,
    pub artifacts: Arc<dyn Artifacts>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The repository that is meant where a request names none.
    pub repo: grit_types::Repo,
}

type Shared = axum::extract::State<Arc<App>>;

/// Serves until `shutdown` ends; requests under way are finished.
pub fn serve(
    app: Arc<App>,
    listener: tokio::net::TcpListener,
    shutdown: BoxFuture<'static, ()>,
) -> BoxFuture<'static, std::io::Result<()>> {
    let router = routes(app);
    Box::pin(async move { axum::serve(listener, router).with_graceful_shutdown(shutdown).await })
}

fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(read::ready))
        .route("/deploy", post(deploy::deploy))
        .route("/deploy/rollback", post(deploy::rollback))
        .route("/api/v1/deployments", get(read::deployments).post(deploy::deploy))
        .route("/api/v1/deployments/{id}", get(read::deployment))
        .route("/api/v1/slots", get(read::slots))
        .route("/api/v1/slots/{environment}/{service}/{verb}", post(write::steer))
        .route("/api/v1/commits", get(read::commits))
        .route("/api/v1/runs", get(read::runs))
        .route("/api/v1/runs/{id}", get(read::run))
        .route("/api/v1/runs/{id}/tests", get(test::of_run))
        .route("/api/v1/tests/parts", get(test::parts))
        .route("/api/v1/tests/steadiness", get(test::steadiness))
        .route("/api/v1/runs/{id}/artifacts", get(artifact::list))
        .route("/api/v1/runs/{id}/artifacts/{name}", get(artifact::get))
        .route("/api/v1/runs/{id}/jobs/{job}/steps/{index}/log", get(read::step_log))
        .route("/api/v1/runs/{id}/jobs/{job}/steps/{index}/summary", get(read::step_summary))
        .route("/api/v1/runs/{id}/cancel", post(pipeline::cancel))
        .route("/api/v1/runs/{id}/rerun", post(pipeline::rerun))
        .route("/api/v1/runs/{id}/jobs/{job}/review", post(pipeline::review))
        .route("/api/v1/pipelines/dispatches", post(pipeline::dispatch))
        .route("/api/v1/dispatches", post(pipeline::happened))
        .route("/api/v1/secrets", get(setting::secrets))
        .route("/api/v1/secrets/{name}", put(setting::set_secret).delete(setting::remove_secret))
        .route("/api/v1/variables", get(setting::variables))
        .route(
            "/api/v1/variables/{name}",
            put(setting::set_variable).delete(setting::remove_variable),
        )
        .route("/api/v1/slots/{environment}/{service}/logs", get(read::instance_logs))
        .route("/api/v1/slots/{environment}/{service}/logs/{id}", get(read::instance_log))
        .route("/api/v1/pushes", post(write::push))
        .route("/api/v1/pushes/check", post(write::check_push))
        .route("/api/v1/artifacts", post(write::publish))
        .route("/api/v1/tokens", get(read::tokens).post(write::create_token))
        .route("/api/v1/me", get(read::me))
        .fallback(async || Problem::not_found("there is no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "the route has no such method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}
