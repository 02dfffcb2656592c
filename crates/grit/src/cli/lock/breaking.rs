use grit_git::Locks;

use super::args::Break;
use super::{refusal, view};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub fn run(options: &Break, locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    if options.reason.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "usage", "a lock is not broken without a reason"));
    }
    let lease = locks.break_lease(options.lease, &options.reason).map_err(refusal::failure)?;
    ui.status(format!("Broke `{}`, held by {}.", lease.resource, view::holder(&lease)));
    ui.data(&view::lease(&lease), |_| String::new());
    Ok(Exit::Done)
}
