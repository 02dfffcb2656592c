//! Following the journal: a consumer gets each event at least once, in their order, from a place
//! that the journal keeps under its name.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use grit_ledger::{Journal, Recorded, StorageError};
use grit_types::chain;
use tokio::sync::watch;

/// Events read at once.
pub(crate) const PAGE: usize = 256;
/// How long to wait before what failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Catches up at every change, for ever; what fails is tried again.
pub(crate) async fn every_change<E: Error, F: Future<Output = Result<(), E>>>(
    who: &str,
    mut changes: watch::Receiver<u64>,
    catch_up: impl Fn() -> F,
) {
    loop {
        changes.mark_unchanged();
        match catch_up().await {
            Ok(()) => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(cause = chain(&error), "{who} waits");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// Hands over what is new, and moves the consumer's place after each page.
pub(crate) async fn to_the_end<E: From<StorageError>, F: Future<Output = Result<(), E>>>(
    journal: &dyn Journal,
    consumer: &str,
    take: impl Fn(Recorded) -> F,
) -> Result<(), E> {
    let mut after = journal.cursor(consumer, None).await?;
    loop {
        let page = journal.tail(after, PAGE).await?;
        let Some(last) = page.last().map(|recorded| recorded.sequence) else { return Ok(()) };
        for recorded in page {
            take(recorded).await?;
        }
        after = journal.cursor(consumer, Some(last)).await?;
    }
}
