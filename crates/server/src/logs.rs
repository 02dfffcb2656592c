use grit_types::{InstanceId, JobId, RunId};

/// Reads what jobs and instances print. Implementations block.
pub trait Logs: Send + Sync {
    /// Up to `limit` bytes of a step's log from `offset`; empty at its end.
    fn step(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
        offset: u64,
        limit: usize,
    ) -> Result<Vec<u8>, LogError>;

    /// Up to `limit` bytes of an instance's log from `offset`; empty at its end.
    fn instance(&self, id: InstanceId, offset: u64, limit: usize) -> Result<Vec<u8>, LogError>;
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("there is no such log")]
    NotFound,
    #[error("the log cannot be read")]
    Read(#[source] std::io::Error),
}
