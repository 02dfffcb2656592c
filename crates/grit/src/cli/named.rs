use std::collections::BTreeSet;

use grit_control::view::SlotView;

use crate::exit::{Exit, Failure};

/// Refuses the name of a service, or the id of a deployment, that is nowhere.
pub fn service(name: &str, slots: &[SlotView]) -> Result<(), Failure> {
    let id = |slot: &SlotView| slot.deployment.as_ref().map(|deployment| deployment.id.to_string());
    if slots.iter().any(|slot| id(slot).as_deref() == Some(name)) {
        return Ok(());
    }
    known("as", name, slots.iter().map(|slot| slot.service.as_str()))
}

/// Refuses the name of an environment that nothing was ever deployed to.
pub fn environment(name: &str, slots: &[SlotView]) -> Result<(), Failure> {
    known("to", name, slots.iter().map(|slot| slot.environment.as_str()))
}

fn known<'a>(how: &str, name: &str, there: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
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
    let message = format!("nothing was ever deployed {how} `{name}`{others}");
    Err(Failure::new(Exit::NotFound, "not_found", message)
        .hint("`grit status` shows what runs where"))
}
