use grit_git::Locks;

use super::args::Check;
use super::{named, refusal, view};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Exit 0: the token still counts; 4: it does not any more; 3: the lock was never held.
pub fn run(options: &Check, locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    let resource = named(&options.named)?;
    let found = locks.check(resource, options.token).map_err(refusal::failure)?;
    ui.data(&view::lock(&found), |_| String::new());
    Ok(Exit::Done)
}
