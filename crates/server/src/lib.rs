//! The control process's face: HTTP in, JSON out.
//!
//! So far the API under `/api/v1`, the two routes of the deployment service (`POST /deploy`,
//! `POST /deploy/rollback`), and the probes. Every route names the action it is, and one table
//! says which role an action takes: what has no entry there does not start.
//!
//! It decides nothing: it reads a request, asks [`grit_control::Control`], and says what came of
//! it. Pages, git over HTTP and webhooks come later, in rooms of their own beside `http`.
#![forbid(unsafe_code)]

mod artifacts;
mod auth;
mod http;
mod logs;
mod problem;
mod vault;

pub use artifacts::{Artifacts, ArtifactsError};
pub use auth::{Action, Grant, JobTokens, NewToken, TokenError, TokenRecord, Tokens};
pub use http::{App, serve};
pub use logs::{LogError, Logs};
pub use problem::Problem;
pub use vault::{Vault, VaultError};
