use grit_git::Locks;

use super::args::Push;
use super::{refusal, view};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub fn run(options: &Push, locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    let grant = locks.push(&options.resource, &options.refspecs).map_err(refusal::failure)?;
    let (resource, fence) = (&grant.lease.resource, grant.lease.fence);
    ui.status(format!("Pushed under `{resource}`, token {fence}."));
    ui.data(&view::grant(&grant), |_| String::new());
    Ok(Exit::Done)
}
