//! `grit lock`: one file per verb.

mod acquire;
pub mod args;
mod breaking;
mod check;
pub mod deadline;
mod gc;
mod guard;
mod push;
mod refusal;
mod release;
mod renew;
mod run;
mod status;
mod view;

use std::sync::Arc;

use grit_git::{Locks, Scope, Who};
use grit_locks::Resource;

use super::place::{Place, git_is_there};
use crate::compose::{OsEntropy, SystemClock};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use args::{LockVerb, Named};

pub async fn run(verb: &LockVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    git_is_there()?;
    let locks = Arc::new(open(place)?);
    if locks.scope().map_err(refusal::failure)? == Scope::Local {
        ui.status(
            "No remote is configured: locks hold among the processes of this repository only.",
        );
    }
    match verb {
        LockVerb::Acquire(options) => acquire::run(options, &locks, ui).await,
        LockVerb::Renew(options) => renew::run(options, &locks, ui),
        LockVerb::Release(options) => release::run(options, &locks, ui),
        LockVerb::Status(options) => status::run(options, &locks, ui),
        LockVerb::Check(options) => check::run(options, &locks, ui),
        LockVerb::Run(options) => run::run(options, &locks, ui).await,
        LockVerb::Push(options) => push::run(options, &locks, ui),
        LockVerb::Break(options) => breaking::run(options, &locks, ui),
        LockVerb::Gc => gc::run(&locks, ui),
    }
}

fn open(place: &Place) -> Result<Locks, Failure> {
    let who = Who { actor: place.actor().principal, host: host(), run_url: crate::ci::run_url() };
    Locks::open(place.repository()?, Arc::new(SystemClock), Arc::new(OsEntropy), who)
        .map_err(refusal::failure)
}

fn named(named: &Named) -> Result<&Resource, Failure> {
    named.resource().ok_or_else(|| Failure::new(Exit::Usage, "usage", "no resource is named"))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(255).collect()
}
