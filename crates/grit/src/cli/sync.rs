use std::collections::BTreeMap;

use grit_git::{Exchange, Exchanged, Repository};
use grit_ledger::LedgerError;
use grit_types::chain;
use serde::Serialize;

use super::args::Sync;
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// What an exchange moved, counted in entries.
#[derive(Serialize)]
struct View<'a> {
    remote: &'a str,
    received: usize,
    sent: usize,
    /// Entries that the remote lacks, because they were not to be sent.
    waiting: usize,
    rounds: usize,
    lanes: Lanes<'a>,
}

#[derive(Serialize)]
struct Lanes<'a> {
    received: &'a BTreeMap<String, usize>,
    sent: &'a BTreeMap<String, usize>,
}

pub fn run(options: &Sync, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let mut ledger = place.ledger()?;
    if let Some(remote) = &options.remote {
        ledger = ledger.with_remote(remote);
    }
    // Sending takes what the remote has as well, so `--push` and nothing are one.
    let send = options.push || !options.pull;
    let exchanged = ledger
        .exchange(&Exchange { send, audit: options.audit })
        .map_err(|error| failure(&error, options.remote.as_deref(), ledger.repository()))?;
    if exchanged.now_branches {
        ui.status(format!(
            "Note: `{}` takes no refs but branches and tags: what is recorded is in branches below \
             `grit/` there (git config grit.prefix)",
            exchanged.remote
        ));
    }
    ui.data(&View::new(&exchanged), text);
    Ok(Exit::Done)
}

/// What the ledger's refusals mean to whoever typed a command.
pub fn failure(error: &LedgerError, asked: Option<&str>, repository: &Repository) -> Failure {
    let told = |code: &str| Failure::new(Exit::Environment, code, chain(error));
    match error {
        LedgerError::NoRemote => no_remote(asked, &repository.remotes().unwrap_or_default()),
        LedgerError::Unreachable { .. } => told("unreachable")
            .hint("nothing is lost: `grit sync` sends it when the remote can be reached"),
        LedgerError::Refused { waiting, .. } => {
            let events = if *waiting == 1 { "event" } else { "events" };
            told("remote_refuses").hint(format!(
                "nothing is lost: `grit sync --push` sends what waits here ({waiting} {events}) \
                 once the remote takes it; `grit sync --pull` only takes"
            ))
        }
        LedgerError::Storage { .. } => Failure::because("the ledger cannot be synchronised", error),
    }
}

fn no_remote(asked: Option<&str>, known: &[String]) -> Failure {
    let message = match asked {
        Some(name) => format!("no remote `{}` is configured", grit_issues::shown(name, 80)),
        None => "no remote is configured".to_owned(),
    };
    let hint = match known {
        [] => "`git remote add origin URL`".to_owned(),
        known => format!("`grit sync --remote {}`", known.join("` or `grit sync --remote ")),
    };
    Failure::new(Exit::Environment, "no_remote", message).hint(hint)
}

impl<'a> View<'a> {
    fn new(exchanged: &'a Exchanged) -> Self {
        let Exchanged { remote, received, sent, waiting, rounds, now_branches: _ } = exchanged;
        Self {
            remote,
            received: received.values().sum(),
            sent: sent.values().sum(),
            waiting: *waiting,
            rounds: *rounds,
            lanes: Lanes { received, sent },
        }
    }
}

fn text(view: &View<'_>) -> String {
    let mut text = format!("{}: {} received, {} sent", view.remote, view.received, view.sent);
    if view.waiting > 0 {
        text.push_str(&format!(", {} not sent yet", view.waiting));
    }
    text.push('\n');
    text
}
