use grit_git::Locks;

use super::args::Named;
use super::{named, refusal, view};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub fn run(options: &Named, locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    let lease = locks.release(named(options)?).map_err(refusal::failure)?;
    ui.status(format!("Released `{}`.", lease.resource));
    ui.data(&view::lease(&lease), |_| String::new());
    Ok(Exit::Done)
}
