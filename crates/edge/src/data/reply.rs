//! Answers of the edge itself.

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::body::ReplyBody;

/// Why the edge answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No host, several, or one that is not a name.
    BadHost,
    /// A method that this proxy does not carry.
    Method,
    /// A host that is no slot's.
    UnknownHost,
    /// The client did not send the body it announced.
    Stalled,
    /// The connection broke before an answer, and the request may have been acted on.
    Broken,
    /// No endpoint accepts connections.
    Unreachable,
    /// No answer in time.
    Timeout,
}

impl Trouble {
    /// The answer, as problem details (RFC 9457).
    pub fn reply(self) -> Response<ReplyBody> {
        let (status, title) = self.words();
        let code = status.as_u16();
        let text = format!("{{\"status\":{code},\"title\":\"{title}\"}}\n");
        let mut response = Response::new(ReplyBody::text(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unreachable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // What follows on such a connection cannot be told apart from the request's body.
            Self::BadHost | Self::Method | Self::Stalled => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::UnknownHost | Self::Broken | Self::Timeout => (),
        }
        response
    }

    fn words(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadHost => (StatusCode::BAD_REQUEST, "exactly one valid Host is needed"),
            Self::Method => (StatusCode::NOT_IMPLEMENTED, "this method is not carried"),
            Self::UnknownHost => (StatusCode::NOT_FOUND, "no service has this host"),
            Self::Stalled => (StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive"),
            Self::Broken => (StatusCode::BAD_GATEWAY, "the service ended the connection"),
            Self::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, "no instance is reachable"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "the service did not answer in time"),
        }
    }
}

/// Written as it stands to a connection above the limit, which is then closed.
pub(crate) const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";
