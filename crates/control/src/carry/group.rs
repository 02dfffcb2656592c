use grit_ledger::StreamId;
use grit_pipeline::concurrency::{Command as GroupCommand, Effect, Word};
use grit_pipeline::run::Command as RunCommand;
use grit_types::{Actor, Digest, EffectId, Repo, Tenant};

use super::plan::run_stream;
use super::submit;
use crate::aggregate::Command;
use crate::reactor::Handle;

/// Digits of a group's digest in the name of its stream.
const DIGITS: usize = 40;

/// The stream of a concurrency group; its name counts in any case.
pub fn group_stream(tenant: &Tenant, repo: &Repo, group: &str) -> StreamId {
    let digest = Digest::of(group.to_lowercase().as_bytes()).hex();
    let name = format!("group/{tenant}/{repo}/{}", &digest[..DIGITS]);
    // Names and digits are what a stream's parts may hold.
    name.parse().expect("names are valid in a stream")
}

/// Asks a group for something.
pub(super) async fn ask(
    handle: &Handle,
    effect: &EffectId,
    stream: StreamId,
    command: &GroupCommand,
) {
    let asked = submit(
        handle,
        effect,
        stream,
        || Command::Group(command.clone()),
        Actor::grit("concurrency"),
    );
    // A group refuses nothing.
    let _ = asked.await;
}

/// Tells a run what its group says. A turn that nobody takes goes to the next.
pub(super) async fn tell(handle: &Handle, id: &EffectId, effect: Effect) -> Command {
    let Effect::Tell { holder, word } = effect;
    let command = || Command::Run(RunCommand::Group { job: holder.job, call: holder.call, word });
    let actor = Actor::grit("concurrency");
    let told = submit(handle, id, run_stream(holder.run), command, actor).await;
    Command::Group(match (told, word) {
        (Err(_), Word::Granted) => GroupCommand::Release { holder },
        _ => GroupCommand::Done,
    })
}
