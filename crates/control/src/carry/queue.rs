use grit_ledger::StreamId;
use grit_pipeline::queue::{Command as QueueCommand, Effect};
use grit_pipeline::run::Command as RunCommand;
use grit_types::{Actor, EffectId};

use super::plan::run_stream;
use super::submit;
use crate::aggregate::Command;
use crate::reactor::Handle;

/// The stream of the queue that all runs of this machine are in.
pub fn queue_stream() -> StreamId {
    // A valid stream by its form.
    "queue/machine".parse().expect("a valid stream")
}

/// Asks the queue for something.
pub(super) async fn ask(handle: &Handle, effect: &EffectId, command: &QueueCommand) {
    let (stream, actor) = (queue_stream(), Actor::grit("queue"));
    // A queue refuses nothing.
    let _ = submit(handle, effect, stream, || Command::Queue(command.clone()), actor).await;
}

/// Tells a run how many slots it was given. One that is over has no use for them.
pub(super) async fn give(handle: &Handle, id: &EffectId, effect: Effect) -> Command {
    let Effect::Give { run, total } = effect;
    let command = || Command::Run(RunCommand::Slots { total });
    let told = submit(handle, id, run_stream(run), command, Actor::grit("queue")).await;
    Command::Queue(match told {
        Ok(_) => QueueCommand::Done,
        Err(_) => QueueCommand::Leave { run },
    })
}
