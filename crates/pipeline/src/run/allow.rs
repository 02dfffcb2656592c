//! What the token of a job may do, and which secrets are for it.

use std::collections::BTreeMap;

use super::Request;
use super::state::{Group, Run};
use crate::expr::Value;
use crate::plan::Permissions;
use crate::seal::Sealed;

/// Events of a pull request whose files are what is proposed. `pull_request_target` is none: it
/// runs what the base has.
const PROPOSED: &[&str] = &["pull_request", "pull_request_review", "pull_request_review_comment"];

/// The name that every job's own token has among the secrets.
pub const TOKEN: &str = "GITHUB_TOKEN";

/// What stands before the name of a secret that an environment has, in a mark.
const OF_ENVIRONMENT: &str = "environment:";

/// The name of an environment's secret in [`Sealed::Secret`].
pub fn of_environment(name: &str) -> String {
    format!("{OF_ENVIRONMENT}{name}")
}

/// What a job of the group may do: what its file says, else its pipeline, else the repository; never
/// more than whoever called it, and from outside nothing is written.
pub(super) fn permissions(run: &Run, request: &Request, group: &Group) -> Permissions {
    let own = run.planned(group).and_then(|job| job.permissions.clone());
    let own = own.or_else(|| run.plan_of(group)?.permissions.clone());
    let caller = run.scopes.get(group.scope).and_then(|scope| scope.allowed.clone());
    let default = || request.setting.permissions.clone().unwrap_or_else(Permissions::by_default);
    let own = own.or_else(|| caller.clone()).unwrap_or_else(default);
    let own = match caller {
        Some(caller) => own.within(&caller),
        None => own,
    };
    if is_from_outside(request) { own.reading() } else { own }
}

/// Whether somebody who may not push proposed what runs. A pull request counts as one from outside
/// unless it says that its branch is in the repository that it is for.
pub fn is_from_outside(request: &Request) -> bool {
    if !is_proposed(request) {
        return false;
    }
    let name = |side: &str| text(&request.payload, &["pull_request", side, "repo", "full_name"]);
    match (name("head"), name("base")) {
        (Some(head), Some(base)) => head != base,
        _ => true,
    }
}

/// Whether the files that run are what a pull request proposes.
pub(super) fn is_proposed(request: &Request) -> bool {
    let of_pull = |name: &grit_types::RefName| name.as_str().starts_with("refs/pull/");
    PROPOSED.contains(&request.event.as_str())
        || (request.event != "pull_request_target"
            && request.ref_name.as_ref().is_some_and(of_pull))
}

pub(super) fn text(value: &Value, path: &[&str]) -> Option<String> {
    let mut at = value;
    for name in path {
        match at {
            Value::Object(members) => at = members.get(name)?,
            _ => return None,
        }
    }
    Some(at.to_text()).filter(|text| !text.is_empty())
}

/// What `secrets` gives to the run as a whole: marks, never values.
pub(super) fn secrets(request: &Request) -> BTreeMap<String, String> {
    let outside = is_from_outside(request);
    let names = request.secrets.iter().filter(|name| !outside || name.as_str() == TOKEN);
    names.map(|name| (name.clone(), Sealed::Secret(name.clone()).mark(&request.seal))).collect()
}

/// What the environment of a job gives beside, in place of others of the same name.
pub(super) fn environment_secrets(
    request: &Request,
    environment: Option<&str>,
) -> BTreeMap<String, String> {
    let spec = environment.and_then(|name| request.setting.environment(name));
    let Some(spec) = spec.filter(|_| !is_from_outside(request)) else { return BTreeMap::new() };
    let mark =
        |name: &String| (name.clone(), Sealed::Secret(of_environment(name)).mark(&request.seal));
    spec.secrets.iter().map(mark).collect()
}
