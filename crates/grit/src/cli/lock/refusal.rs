//! What a lock's refusals mean to whoever typed a command.

use grit_git::LockError;
use grit_locks::{Lease, Resource, Standing};
use grit_types::chain;

use super::view;
use crate::cli::place::git_failure;
use crate::exit::{Exit, Failure};

pub fn failure(error: LockError) -> Failure {
    let told = chain(&error);
    let alone = error.to_string();
    match error {
        LockError::Held { wanted, lease, standing, here } => held(&wanted, &lease, standing, here),
        LockError::Contended { wanted } => Failure::new(Exit::Conflict, "lock_contended", alone)
            .hint(format!("`grit lock acquire {wanted} --wait 1m` goes on trying")),
        LockError::NotHeld { resource } => Failure::new(Exit::NotFound, "lock_not_held", alone)
            .hint(format!("`grit lock acquire {resource}` takes it")),
        LockError::NoLease { .. } => Failure::new(Exit::NotFound, "lease_not_found", alone)
            .hint("`grit lock status --json` shows the leases and their ids"),
        LockError::Lost { resource, tip } => lost(&resource, &tip),
        LockError::RanOut { resource, lease } => {
            let message = format!("{alone}: its time was over at {}", lease.expires_at);
            Failure::new(Exit::Conflict, "lock_lost", message)
                .hint(format!("`grit lock release {resource}` frees it, then acquire it again"))
                .details(view::lease(&lease))
        }
        LockError::Unreachable { .. } => Failure::new(Exit::Environment, "unreachable", told)
            .hint("a lock is granted by its remote or not at all; try again when it answers"),
        LockError::Rejected { .. } => {
            Failure::new(Exit::Environment, "remote_refused", view::safe(&told))
        }
        LockError::PushRejected { .. } => {
            Failure::new(Exit::Failed, "push_rejected", view::safe(&told))
                .hint("nothing was pushed, and the lock is still held")
        }
        LockError::Refspec { .. } => Failure::new(Exit::Usage, "refspec", view::safe(&told))
            .hint("name each ref, as in `HEAD:refs/heads/main`; no patterns, none of Grit's own"),
        LockError::NoRemote => Failure::new(Exit::Environment, "no_remote", told)
            .hint("`git remote add origin URL` names one"),
        LockError::WhichRemote { .. } => Failure::new(Exit::Environment, "no_remote", told)
            .hint("`git config grit.remote NAME` says which"),
        LockError::Damaged { .. } => Failure::new(Exit::Environment, "lock_damaged", told)
            .hint("nothing is granted that it may exclude; look at it with `git log REF`"),
        LockError::Setting { .. } => Failure::new(Exit::Usage, "setting", view::safe(&told)),
        LockError::Exhausted { .. } => Failure::new(Exit::Conflict, "lock_exhausted", told),
        LockError::Stopped => Failure::new(Exit::Interrupted, "interrupted", told),
        LockError::Git(error) => git_failure(&error),
    }
}

fn held(wanted: &Resource, lease: &Lease, standing: Standing, here: bool) -> Failure {
    let resource = &lease.resource;
    let place = if here { ", from this clone," } else { "" };
    let reason = match view::safe(&lease.reason) {
        reason if reason.is_empty() => reason,
        reason => format!(": {reason}"),
    };
    let by =
        format!("held by {}{place} {}{reason}", view::holder(lease), view::times(lease, standing));
    let message = if wanted == resource {
        format!("lock `{wanted}` is {by}")
    } else {
        format!("lock `{wanted}` is excluded by `{resource}`, {by}")
    };
    let hint = if here {
        format!("`grit lock release {resource}` gives it back")
    } else {
        format!(
            "`grit lock acquire {wanted} --wait 5m` waits; `grit lock break --lease {} --reason …` ends it",
            lease.id
        )
    };
    let mut details = view::lease(lease);
    details["standing"] = view::standing(standing).into();
    details["here"] = here.into();
    Failure::new(Exit::Conflict, "lock_held", message).hint(hint).details(details)
}

fn lost(resource: &Resource, tip: &Lease) -> Failure {
    let by = tip.ended_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let now = match tip.state {
        grit_locks::State::Held => {
            format!("it is held by {} under {}", view::holder(tip), tip.fence)
        }
        state => format!("it was {}{by} at {}", state.as_str(), tip.at),
    };
    Failure::new(Exit::Conflict, "lock_lost", format!("the lease on `{resource}` is lost: {now}"))
        .hint(format!("`grit lock status {resource}` shows who has it"))
        .details(view::lease(tip))
}
