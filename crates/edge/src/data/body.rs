use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::connection::{Conn, Phase};
use super::proxy::Answering;

/// A request's body on its way to an endpoint: streamed, and watched for who keeps it waiting.
pub(crate) struct Upload {
    body: Option<Incoming>,
    conn: Rc<Conn>,
}

impl Upload {
    pub fn new(body: Incoming, conn: Rc<Conn>) -> Self {
        Self { body: (!body.is_end_stream()).then_some(body), conn }
    }

    pub fn empty(conn: Rc<Conn>) -> Self {
        Self { body: None, conn }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Err(_))) => self.conn.break_upload(),
            Poll::Pending => self.conn.shift(Phase::Upstream, Phase::Upload),
            Poll::Ready(_) if self.conn.phase() == Phase::Upload => {
                self.conn.enter(Phase::Upstream);
            }
            // Progress: the time to answer counts from the last of the body.
            Poll::Ready(_) => self.conn.shift(Phase::Upstream, Phase::Upstream),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What a client is answered: an endpoint's answer, passed on as it comes, or a text.
pub(crate) enum ReplyBody {
    Upstream { body: Incoming, answering: Answering },
    Text(Option<Bytes>),
}

impl ReplyBody {
    pub fn text(text: Bytes) -> Self {
        Self::Text(Some(text))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Upstream { body, answering } => {
                let frame = Pin::new(body).poll_frame(cx);
                if let Poll::Ready(Some(Err(_))) = &frame {
                    answering.broke();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Upstream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(None) => SizeHint::with_exact(0),
            Self::Text(Some(text)) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream { body, .. } => body.size_hint(),
        }
    }
}
