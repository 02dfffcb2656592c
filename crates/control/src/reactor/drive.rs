use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grit_ledger::{Journal, PendingEffect, StreamId};
use grit_types::{Actor, BoxFuture, Clock, Tenant, Version};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::core::{Action, Core, Input, Receipt, SubmitError, Ticket};
use crate::aggregate::Command;

/// How long to wait before a store that failed is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Submissions that may wait before those who submit do.
const INBOX: usize = 1_024;

/// Carries out effects through adapters.
pub trait Carrier: Send + Sync {
    /// Carries `effect` out and says what came of it, as a command for its stream.
    ///
    /// It may be called again for the same effect after a crash. What fails in passing it tries
    /// again itself, for as long as it takes.
    fn carry(&self, effect: PendingEffect) -> BoxFuture<'static, Command>;
}

/// Something to be asked of a stream.
#[derive(Debug)]
pub struct Submission {
    pub stream: StreamId,
    pub command: Command,
    pub actor: Actor,
}

/// Asks the reactor. Cheap to clone; the reactor ends when told, not when handles are gone.
#[derive(Clone)]
pub struct Handle {
    inbox: mpsc::Sender<Message>,
    changes: watch::Receiver<u64>,
}

enum Message {
    Submit(Submission, oneshot::Sender<Result<Receipt, SubmitError>>),
    /// Nobody waits for the answer.
    Tell(Submission),
}

impl Handle {
    /// Submits, and answers when it is decided and durable.
    pub async fn submit(&self, submission: Submission) -> Result<Receipt, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Submit(submission, reply);
        self.inbox.send(message).await.map_err(|_| SubmitError::Closed)?;
        answer.await.unwrap_or(Err(SubmitError::Closed))
    }

    /// Submits without waiting, for reports that the next one repairs. `false`: it was dropped.
    pub fn tell(&self, submission: Submission) -> bool {
        self.inbox.try_send(Message::Tell(submission)).is_ok()
    }

    /// Moves whenever something was appended.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

/// A running reactor.
pub struct Reactor {
    task: tokio::task::JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Reactor {
    /// Ends it: what is being appended is finished, effects under way are dropped and stay owed.
    pub async fn stop(self) {
        // The receiver is gone only where the task has ended already.
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the reactor ended with a panic");
        }
    }
}

/// Starts the reactor; `carrier` is made with the handle, because effects submit as well.
pub fn start(
    tenant: Tenant,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    carrier: impl FnOnce(Handle) -> Arc<dyn Carrier>,
) -> (Handle, Reactor) {
    let (sender, inbox) = mpsc::channel(INBOX);
    let (moved, changes) = watch::channel(0);
    let handle = Handle { inbox: sender, changes };
    let (stop, stopped) = oneshot::channel();
    let drive = Drive {
        core: Core::new(tenant),
        journal,
        clock,
        carrier: carrier(handle.clone()),
        work: JoinSet::new(),
        answers: BTreeMap::new(),
        tickets: 0,
        moved,
    };
    let task = tokio::spawn(drive.run(inbox, stopped));
    (handle, Reactor { task, stop })
}

struct Drive {
    core: Core,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    carrier: Arc<dyn Carrier>,
    work: JoinSet<Input>,
    answers: BTreeMap<Ticket, oneshot::Sender<Result<Receipt, SubmitError>>>,
    tickets: u64,
    moved: watch::Sender<u64>,
}

impl Drive {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>, mut stop: oneshot::Receiver<()>) {
        let first = self.core.begin();
        self.perform(first);
        loop {
            let input = tokio::select! {
                _ = &mut stop => return,
                Some(message) = inbox.recv() => self.submitted(message),
                Some(done) = self.work.join_next() => match done {
                    Ok(input) => input,
                    // An effect that panicked stays owed: the next start hands it out again.
                    Err(error) => {
                        tracing::error!(%error, "an effect ended with a panic");
                        continue;
                    }
                },
                else => return,
            };
            let actions = self.core.step(self.clock.now(), input);
            self.perform(actions);
        }
    }

    fn submitted(&mut self, message: Message) -> Input {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let Submission { stream, command, actor } = match message {
            Message::Submit(submission, reply) => {
                self.answers.insert(ticket, reply);
                submission
            }
            Message::Tell(submission) => submission,
        };
        Input::Submit { ticket, stream, command, actor }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Load { stream } => self.load(stream),
                Action::Append(append) => self.append(*append),
                Action::Recover => {
                    let journal = self.journal.clone();
                    self.work
                        .spawn(async move { Input::Pending { effects: journal.pending().await } });
                }
                Action::Carry(effect) => self.carry(effect),
                Action::Answer { ticket, result } => {
                    if let Some(reply) = self.answers.remove(&ticket) {
                        // Whoever asked may have gone.
                        let _ = reply.send(result);
                    }
                }
                Action::Retry { stream } => {
                    self.work.spawn(async move {
                        tokio::time::sleep(RETRY_AFTER).await;
                        Input::Retry { stream }
                    });
                }
            }
        }
    }

    fn load(&mut self, stream: StreamId) {
        let journal = self.journal.clone();
        self.work.spawn(async move {
            let events = journal.read(&stream, Version::ZERO).await;
            Input::Loaded { stream, events }
        });
    }

    fn append(&mut self, append: grit_ledger::Append) {
        let (journal, moved) = (self.journal.clone(), self.moved.clone());
        self.work.spawn(async move {
            let stream = append.stream.clone();
            let result = journal.append(append).await;
            if let Err(grit_ledger::AppendError::Storage(error)) = &result {
                tracing::warn!(%stream, %error, "the journal refused an append");
            }
            moved.send_modify(|count| *count += 1);
            Input::Appended { stream, result }
        });
    }

    fn carry(&mut self, effect: PendingEffect) {
        let (id, stream) = (effect.id.clone(), effect.stream.clone());
        let carried = self.carrier.carry(effect);
        self.work.spawn(async move {
            let command = carried.await;
            Input::Outcome { effect: id, stream, command }
        });
    }
}
