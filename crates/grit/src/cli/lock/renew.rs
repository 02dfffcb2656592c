use grit_git::Locks;

use super::args::Renew;
use super::{acquire, named, refusal};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub fn run(options: &Renew, locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    let resource = named(&options.named)?;
    let grant = locks.renew(resource, options.ttl).map_err(refusal::failure)?;
    acquire::show(&grant, ui);
    Ok(Exit::Done)
}
