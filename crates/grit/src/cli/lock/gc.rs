use grit_git::Locks;
use serde_json::Value;

use super::{refusal, view};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// The refs of locks stay for ever: each keeps its number.
pub fn run(locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    let ended = locks.collect().map_err(refusal::failure)?;
    let data: Vec<Value> = ended.iter().map(view::lease).collect();
    ui.status(format!("{} expired leases ended.", ended.len()));
    ui.data(&data, |_| ended.iter().map(|lease| format!("{}\n", lease.resource)).collect());
    Ok(Exit::Done)
}
