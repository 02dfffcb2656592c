//! What is due by the clock.
//!
//! Once a minute the pipelines of the default branch are read. How far the minutes were looked at is
//! kept in the journal, so a line that was due while nobody was there is started once, however often
//! it was missed.

use std::sync::Arc;
use std::time::Duration;

use grit_ledger::{Journal, StorageError};
use grit_pipeline::trigger::Cron;
use grit_types::{Actor, Clock, Principal, Sequence, Timestamp, chain};
use serde_json::json;

use crate::aggregate::Command;
use crate::pipelines;
use crate::ports::{RepoId, Source, SourceError};
use crate::reactor::{Handle, Submission, SubmitError};
use crate::repo::{self, Trigger};

const MINUTE_MS: i64 = 60_000;
/// What was missed longer ago is not made up for, in minutes.
const LOOK_BACK: i64 = 7 * 1_440;

/// Starts what is due; see the module.
pub struct Scheduler {
    pub at: RepoId,
    pub journal: Arc<dyn Journal>,
    pub source: Arc<dyn Source>,
    pub clock: Arc<dyn Clock>,
    pub handle: Handle,
}

#[derive(Debug, thiserror::Error)]
enum ScheduleError {
    #[error(transparent)]
    Journal(#[from] StorageError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("reading pipelines panicked")]
    Panicked,
}

impl Scheduler {
    /// Runs for ever; what fails is tried again.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.tick().await {
                tracing::warn!(cause = chain(&error), "schedules wait");
            }
            let into = self.clock.now().millis().rem_euclid(MINUTE_MS);
            let left = u64::try_from(MINUTE_MS - into).unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(left)).await;
        }
    }

    /// Starts what became due since the last time.
    async fn tick(&self) -> Result<(), ScheduleError> {
        let minute = self.clock.now().millis().div_euclid(MINUTE_MS);
        let consumer = format!("schedule/{}/{}", self.at.tenant, self.at.repo);
        let position = u64::try_from(minute).unwrap_or_default();
        let seen = self.journal.cursor(&consumer, None).await?.0;
        let seen = i64::try_from(seen).unwrap_or(i64::MAX);
        if seen >= minute {
            return Ok(());
        }
        // The first time nothing was missed.
        let from = if seen == 0 { minute } else { (seen + 1).max(minute - LOOK_BACK) };
        for trigger in self.due(from, minute).await? {
            let command = Command::Repo(repo::Command::Trigger(Box::new(trigger)));
            let (stream, actor) = (self.at.stream(), Actor::grit("schedule"));
            self.handle.submit(Submission { stream, command, actor }).await?;
        }
        self.journal.cursor(&consumer, Some(Sequence(position))).await?;
        Ok(())
    }

    async fn due(&self, from: i64, to: i64) -> Result<Vec<Trigger>, ScheduleError> {
        let (source, at) = (self.source.clone(), self.at.clone());
        let read = move || -> Result<_, SourceError> {
            let Some((name, commit)) = source.default_branch(&at)? else { return Ok(None) };
            let found = pipelines::read(source.as_ref(), &at, &commit)?;
            Ok(Some((name, commit, found)))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let Some((name, commit, found)) = read.map_err(|_| ScheduleError::Panicked)?? else {
            return Ok(Vec::new());
        };
        let mut due = Vec::new();
        for plan in &found.plans {
            for line in plan.trigger("schedule").iter().flat_map(|trigger| &trigger.schedule) {
                let Some(minute) = last_due(line, from, to) else { continue };
                due.push(Trigger {
                    id: format!("schedule/{}/{line}/{minute}", plan.file),
                    event: "schedule".to_owned(),
                    commit: commit.clone(),
                    ref_name: Some(name.clone()),
                    actor: Principal::grit(),
                    file: Some(plan.file.clone()),
                    schedule: Some(line.clone()),
                    payload: json!({ "schedule": line }),
                    ..Trigger::none(&commit)
                });
            }
        }
        Ok(due)
    }
}

/// The last minute of these in which the line is due.
fn last_due(line: &str, from: i64, to: i64) -> Option<i64> {
    let cron: Cron = line.parse().ok()?;
    let due = |minute: &i64| cron.is_due(Timestamp::from_millis(minute * MINUTE_MS));
    (from..=to).rev().find(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_due_once() {
        assert_eq!(last_due("*/10 * * * *", 1, 45), Some(40));
        assert_eq!(last_due("*/10 * * * *", 41, 45), None);
        assert_eq!(last_due("never", 0, 100), None);
    }
}
