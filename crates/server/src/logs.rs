use grit_rollout::SlotId;
use grit_types::{BoxFuture, InstanceId, JobId, RunId};

/// Reads what jobs and instances print.
pub trait Logs: Send + Sync {
    /// Up to `limit` bytes of a step's log from `offset`; empty at its end.
    fn step(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
        offset: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, LogError>>;

    /// What a step wrote as its summary, in Markdown.
    fn summary(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
    ) -> BoxFuture<'_, Result<Vec<u8>, LogError>>;

    /// The instances of a slot that have a log, oldest first, gone ones included.
    fn instances(&self, slot: &SlotId) -> BoxFuture<'_, Result<Vec<InstanceId>, LogError>>;

    /// Up to `limit` bytes of an instance's log from `offset`; empty at its end.
    fn instance(
        &self,
        slot: &SlotId,
        id: InstanceId,
        offset: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, LogError>>;
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("there is no such log")]
    NotFound,
    #[error("the log cannot be read")]
    Read(#[source] std::io::Error),
}
