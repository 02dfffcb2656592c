//! Failures as RFC 9457 says them.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use grit_control::aggregate::Refusal;
use grit_control::reactor::SubmitError;
use grit_control::{ControlError, slot};
use grit_pipeline::run;
use grit_types::chain;
use serde::{Deserialize, Serialize};

/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub status: u16,
    /// Stable, for programs: `not_found`, `own_approval`.
    pub code: String,
    /// For people: what failed, on what, why.
    pub detail: String,
    /// The next thing to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl Problem {
    /// A failure.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), code: code.to_owned(), detail: detail.into(), hint: None }
    }

    /// With the next thing to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// No such thing, or none that you may see: the two answer alike.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The server cannot, for now; a full disk is told as what it is.
    pub fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        let detail = chain(error);
        if grit_host::durable::is_full(error) {
            return full(&detail);
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The request itself is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Plain data: it always serialises.
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let detail = chain(&error);
        match &error {
            ControlError::Submit(error) => submit(error, detail),
            ControlError::NotFound(_) => Self::not_found(detail),
            ControlError::Refused(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail)
            }
            ControlError::UnknownVersion { version, .. } => Self::not_found(detail)
                .hint(format!("a version is a tag, a branch or a commit that was pushed: `git push grit {version}`")),
            ControlError::UnknownPipeline { .. } => Self::not_found(detail)
                .hint("a pipeline is named by its file, as it is in that branch or tag"),
            ControlError::Unknown { .. } => Self::not_found(detail)
                .hint("`grit.yaml` is read at the version that is deployed: is it the right one?"),
            ControlError::UnknownSlot { .. } => {
                Self::not_found(detail).hint("`grit status` shows what runs where")
            }
            ControlError::NotBuilt { .. } => Self::new(StatusCode::NOT_FOUND, "not_built", detail)
                .hint("`grit status` shows what was pushed and built"),
            ControlError::NoConfig(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no_config", detail)
                    .hint("`grit init` writes a grit.yaml")
            }
            ControlError::BadConfig { rendered, .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_config",
                format!("{detail}\n{rendered}"),
            ),
            ControlError::Storage(error) if error.full => full(&detail),
            ControlError::Storage(_) | ControlError::Source(_) | ControlError::Panicked => {
                Self::unavailable(&error)
            }
        }
    }
}

/// People are told what it means; where it was noticed is for whoever runs the server.
fn full(cause: &str) -> Problem {
    tracing::warn!(cause, "the disk is full");
    let detail = "the disk of the data folder is full, and nothing was changed";
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", detail)
        .hint("make room there, and do it again; nothing that was acknowledged is lost")
}

fn submit(error: &SubmitError, detail: String) -> Problem {
    match error {
        SubmitError::Refused(refusal) => refused(refusal, detail),
        SubmitError::Storage(error) if error.full => full(&detail),
        SubmitError::Storage(_) | SubmitError::Closed => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
        SubmitError::Unreadable(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
                .hint("the data folder was written by a newer Grit, or is damaged")
        }
    }
}

fn refused(refusal: &Refusal, detail: String) -> Problem {
    let forbidden = |code| Problem::new(StatusCode::FORBIDDEN, code, detail.clone());
    let conflict = |code| Problem::new(StatusCode::CONFLICT, code, detail.clone());
    match refusal {
        Refusal::Slot(slot::Refusal::OwnApproval { .. }) => forbidden("own_approval")
            .hint("somebody who is no author of the change must approve it"),
        Refusal::Slot(slot::Refusal::Role { .. }) => forbidden("role"),
        Refusal::Slot(slot::Refusal::NoRevision { .. }) => {
            Problem::not_found(detail).hint("`grit history SERVICE` shows the revisions")
        }
        Refusal::Slot(slot::Refusal::Unchanged { .. }) => conflict("unchanged"),
        Refusal::Slot(
            slot::Refusal::NoRollout
            | slot::Refusal::NotNow { .. }
            | slot::Refusal::NoApproval { .. }
            | slot::Refusal::NothingToApprove
            | slot::Refusal::NothingBefore
            | slot::Refusal::NothingToRetry { .. },
        ) => conflict("not_now").hint("`grit status` shows what is in progress"),
        Refusal::Repo(_) => Problem::not_found(detail),
        Refusal::Run(run::Refusal::Role { .. }) => forbidden("role"),
        Refusal::Run(run::Refusal::OwnRun) => {
            forbidden("own_approval").hint("somebody else must approve it")
        }
        Refusal::Run(run::Refusal::NotPlanned) => Problem::not_found(detail),
        Refusal::Run(_) => conflict("not_now"),
        Refusal::Group(refusal) => match *refusal {},
        Refusal::Queue(refusal) => match *refusal {},
        Refusal::Misplaced { .. } => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "misplaced", detail)
        }
    }
}
