use std::collections::BTreeSet;

use grit_control::view::SlotView;

use crate::exit::{Exit, Failure};

/// Refuses the name of a service, or the id of a deployment, that is nowhere.
pub fn service(name: &str, slots: &[SlotView]) -> Result<(), Failure> {
    let id = |slot: &SlotView| slot.deployment.as_ref().map(|deployment| deployment.id.to_string());
    if slots.iter().any(|slot| id(slot).as_deref() == Some(name)) {
        return Ok(());
    }
    let there = slots.iter().map(|slot| slot.service.as_str());
    known("nothing was ever deployed as", name, there).map_err(look)
}

/// Refuses the name of an environment that nothing was ever deployed to.
pub fn environment(name: &str, slots: &[SlotView]) -> Result<(), Failure> {
    let there = slots.iter().map(|slot| slot.environment.as_str());
    known("nothing was ever deployed to", name, there).map_err(look)
}

fn look(failure: Failure) -> Failure {
    failure.hint("`grit status` shows what runs where")
}

/// Refuses a name that is not among those there are; `what` goes before it.
pub fn known<'a>(
    what: &str,
    name: &str,
    there: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let there: BTreeSet<&str> = there.collect();
    if there.contains(name) {
        return Ok(());
    }
    let all: Vec<&str> = there.into_iter().collect();
    let others = match (grit_diag::suggest(name, all.iter().copied()), &all[..]) {
        (_, []) => String::new(),
        (Some(meant), _) => format!("; did you mean `{meant}`?"),
        (None, [one]) => format!("; there is only {one}"),
        (None, several) => format!("; there are {}", several.join(", ")),
    };
    let message = format!("{what} `{name}`{others}");
    Err(Failure::new(Exit::NotFound, "not_found", message))
}
