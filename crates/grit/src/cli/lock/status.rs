use grit_git::{LockView, Locks};
use grit_locks::Standing;
use serde_json::Value;

use super::args::Status;
use super::{refusal, view};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

pub fn run(options: &Status, locks: &Locks, ui: &Ui) -> Result<Exit, Failure> {
    let resource = options.word.as_ref().or(options.option.as_ref());
    let views = locks.status(resource).map_err(refusal::failure)?;
    let data: Vec<Value> = views.iter().map(view::lock).collect();
    let mut taken: Vec<&LockView> =
        views.iter().filter(|view| view.standing != Standing::Free).collect();
    taken.sort_by(|one, other| one.lease.resource.cmp(&other.lease.resource));
    if taken.is_empty() {
        match resource {
            Some(resource) => ui.status(format!("Nobody has `{resource}`.")),
            None => ui.status("No lock is held."),
        }
    }
    ui.data(&data, |_| match (ui.is_terminal(), taken.is_empty()) {
        (false, _) => taken.iter().map(|view| format!("{}\n", view.lease.resource)).collect(),
        (true, true) => String::new(),
        (true, false) => {
            let rows: Vec<Vec<String>> = taken.iter().map(|view| row(view)).collect();
            table(&["RESOURCE", "TOKEN", "HOLDER", "STANDING", "UNTIL", "LEASE", "REASON"], &rows)
        }
    });
    Ok(Exit::Done)
}

fn row(view: &LockView) -> Vec<String> {
    let lease = &view.lease;
    vec![
        lease.resource.to_string(),
        lease.fence.to_string(),
        view::holder(lease),
        view::standing(view.standing).to_owned(),
        lease.expires_at.rfc3339(),
        lease.id.to_string(),
        view::safe(&lease.reason),
    ]
}
