use std::pin::Pin;

use bollard::container::LogOutput;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use grit_types::BoxFuture;

use crate::{Engine, EngineError};

type Inner = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// What something in a container says, standard output and error in one.
pub struct Output {
    inner: Inner,
    engine: Engine,
}

impl Output {
    pub(crate) fn new(
        engine: &Engine,
        inner: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + 'static,
    ) -> Self {
        Self { inner: Box::pin(inner), engine: engine.clone() }
    }

    /// The next of it; `None`: nobody says anything any more. A call that is dropped loses nothing.
    pub fn more(&mut self) -> BoxFuture<'_, Option<Result<Bytes, EngineError>>> {
        Box::pin(async move { Some(self.more_of_either().await?.map(|(bytes, _)| bytes)) })
    }

    /// The same, and whether it is of the error output.
    pub fn more_of_either(&mut self) -> BoxFuture<'_, Option<Result<(Bytes, bool), EngineError>>> {
        Box::pin(async move {
            let next = self.inner.next().await?;
            let failed = self.engine.failed("read the output of a container");
            let told = |said: LogOutput| {
                let is_error = matches!(said, LogOutput::StdErr { .. });
                (said.into_bytes(), is_error)
            };
            Some(next.map(told).map_err(failed))
        })
    }
}
