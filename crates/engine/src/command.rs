use bollard::exec::{CreateExecOptions, StartExecResults};
use grit_types::BoxFuture;

use crate::{Engine, EngineError, Output};

/// A command in a container that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub words: Vec<String>,
    /// `NAME=VALUE`, beside what the container has.
    pub env: Vec<String>,
    /// Absolute; `None`: the container's own.
    pub cwd: Option<String>,
    /// `None`: the container's own.
    pub user: Option<String>,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandState {
    pub is_running: bool,
    /// Known when it is over.
    pub exit: Option<i64>,
}

impl Engine {
    /// Runs a command in a container; answers its id, and what it says. It ends by itself: an
    /// engine has no way to end it.
    pub fn exec<'a>(
        &'a self,
        container: &'a str,
        command: &'a Command,
    ) -> BoxFuture<'a, Result<(String, Output), EngineError>> {
        Box::pin(async move {
            let options = CreateExecOptions {
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                cmd: Some(command.words.clone()),
                env: Some(command.env.clone()),
                working_dir: command.cwd.clone(),
                user: command.user.clone(),
                ..Default::default()
            };
            let program = command.words.first().map(String::as_str).unwrap_or_default();
            let what = || format!("run `{program}` in the container");
            let made = self.docker.create_exec(container, options).await;
            let id = made.map_err(self.failed(what()))?.id;
            let started = self.docker.start_exec(&id, None).await;
            match started.map_err(self.failed(what()))? {
                StartExecResults::Attached { output, .. } => Ok((id, Output::new(self, output))),
                StartExecResults::Detached => Err(EngineError::Refused {
                    what: what(),
                    said: "it is not attached".to_owned(),
                }),
            }
        })
    }

    /// What became of the command of that id.
    pub fn command_state<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<CommandState, EngineError>> {
        Box::pin(async move {
            let state = self.docker.inspect_exec(id).await;
            let state = state.map_err(self.failed("ask for a command"))?;
            let is_running = state.running.unwrap_or(false);
            Ok(CommandState { is_running, exit: state.exit_code.filter(|_| !is_running) })
        })
    }
}
