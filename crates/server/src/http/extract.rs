use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use grit_types::{Actor, DeploymentId, Timestamp};
use serde::de::DeserializeOwned;

use super::App;
use crate::auth::grant;
use crate::{Action, Grant, Problem};

/// Who asks: every route takes one, and says what it is about to do.
pub(super) struct Caller(Grant);

impl Caller {
    /// The caller, if it may.
    pub(super) fn may(&self, action: Action) -> Result<&Grant, Problem> {
        if self.0.allows(action) {
            return Ok(&self.0);
        }
        let least = match action.role() {
            Some(role) => format!("this takes the role {role}"),
            None => "only a job's own token may do this".to_owned(),
        };
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", least))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        let found = token.and_then(|token| grant(&app.tokens, &app.jobs, token.trim()));
        found.map(Self).ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "a valid token is needed")
                .hint("set GRIT_TOKEN, or ask an owner for `grit token create`")
        })
    }
}

/// `Idempotency-Key`: what asks twice with one key gets one deployment. Quotes, as
/// draft-ietf-httpapi-idempotency-key-header writes them, belong to no key.
pub(super) struct Key(Option<String>);

/// A key is never longer than this.
const KEY_BYTES_MAX: usize = 255;

impl Key {
    /// The id that follows from the key and from who asks; none without a key. It begins with no
    /// time, because the same must follow at any time.
    pub(super) fn deployment(&self, actor: &Actor) -> Option<DeploymentId> {
        let seed = format!("idempotency-key/{}/{}", actor.principal, self.0.as_ref()?);
        Some(DeploymentId::derived(Timestamp::from_millis(0), seed.as_bytes()))
    }
}

impl FromRequestParts<Arc<App>> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().unwrap_or_default().trim_matches('"');
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let wanted = format!("Idempotency-Key takes 1 to {KEY_BYTES_MAX} characters of ASCII");
            return Err(Problem::bad_request(wanted));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// A JSON body; what is wrong with it is a problem document.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let bytes = axum::body::Bytes::from_request(request, app)
            .await
            .map_err(|error| Problem::bad_request(error.to_string()))?;
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
        serde_json::from_slice(bytes).map(Self).map_err(|error| {
            Problem::bad_request(format!("the body is not what this route takes: {error}"))
        })
    }
}

/// A part of the path or the query, parsed.
pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Problem::bad_request(error.to_string()))
}
