//! What `uses:` means, without fetching anybody's code.
//!
//! Actions that everybody uses are known by name, at any version; they work offline. Of others their
//! own file is looked for when their step runs.

mod keep;

use std::collections::BTreeMap;

use crate::StepAction;
use crate::expr::Condition;

/// What an action comes to here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    Run(StepAction),
    /// The same, and something after the last step of the job.
    RunThen(StepAction, Box<Later>),
    /// Nothing is done, and people are told.
    Note(String),
    /// It cannot be done, and why.
    Refused(String),
}

/// What an action does after the last step of its job.
#[derive(Clone, Debug)]
pub struct Later {
    pub condition: Condition,
    pub action: StepAction,
    /// Not done where the action gave this output.
    pub unless: Option<(String, String)>,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        let parts = |later: &Self| (later.condition.source().to_owned(), later.unless.clone());
        self.action == other.action && parts(self) == parts(other)
    }
}

impl Eq for Later {}

/// Actions that put a program on the path, and the program.
const TOOLS: &[(&str, &str)] = &[
    ("dtolnay/rust-toolchain", "cargo"),
    ("actions-rs/toolchain", "cargo"),
    ("actions-rust-lang/setup-rust-toolchain", "cargo"),
    ("moonrepo/setup-rust", "cargo"),
    ("actions/setup-node", "node"),
    ("actions/setup-python", "python3"),
    ("actions/setup-java", "java"),
    ("actions/setup-go", "go"),
    ("actions/setup-dotnet", "dotnet"),
    ("ruby/setup-ruby", "ruby"),
    ("pnpm/action-setup", "pnpm"),
    ("oven-sh/setup-bun", "bun"),
    ("denoland/setup-deno", "deno"),
    ("astral-sh/setup-uv", "uv"),
];

/// The meaning of `uses`, with its evaluated inputs.
pub fn builtin(uses: &str, with: &BTreeMap<String, String>) -> Builtin {
    let (action, reference) = uses.split_once('@').unwrap_or((uses, ""));
    let is = |name: &&str| name.eq_ignore_ascii_case(action);
    if is(&"actions/checkout") {
        return checkout(with);
    }
    if is(&"taiki-e/install-action") {
        return install(reference, with);
    }
    if let Some((_, program)) = TOOLS.iter().find(|(name, _)| is(name)) {
        return Builtin::Run(StepAction::Tool { program: (*program).to_owned() });
    }
    if let Some(keeping) = keep::keeping(action, with) {
        return keeping;
    }
    if uses.starts_with("docker://") {
        let why = format!("`{uses}`: container actions are not run by this version");
        return Builtin::Refused(why);
    }
    Builtin::Run(StepAction::Load { uses: uses.to_owned() })
}

fn checkout(with: &BTreeMap<String, String>) -> Builtin {
    let given = |name: &str| with.get(name).filter(|value| !value.is_empty());
    if let Some(repository) = given("repository") {
        return Builtin::Refused(format!(
            "checking out another repository (`{repository}`) is not done by this version"
        ));
    }
    let fetch_depth = match given("fetch-depth").map(|text| text.trim().parse()) {
        None => 1,
        Some(Ok(depth)) => depth,
        Some(Err(_)) => {
            return Builtin::Refused("`fetch-depth` must be a number from 0 on".to_owned());
        }
    };
    let (reference, path) = (given("ref").cloned(), given("path").cloned());
    Builtin::Run(StepAction::Checkout { reference, path, fetch_depth })
}

/// The tool is the action's version (`@nextest`), or an input.
fn install(reference: &str, with: &BTreeMap<String, String>) -> Builtin {
    let wanted = with.get("tool").map_or(reference, String::as_str);
    let mut tools = wanted.split([',', '\n']).map(str::trim).filter(|tool| !tool.is_empty());
    match (tools.next(), tools.next()) {
        (Some(tool), None) => {
            let name = tool.split('@').next().unwrap_or(tool);
            let program = if name == "nextest" { "cargo-nextest" } else { name };
            Builtin::Run(StepAction::Tool { program: program.to_owned() })
        }
        (Some(_), Some(_)) => Builtin::Refused(
            "several tools in one step are not looked for by this version: \
             one step for each"
                .to_owned(),
        ),
        (None, _) => Builtin::Refused("the action names no tool".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn tool(program: &str) -> Builtin {
        Builtin::Run(StepAction::Tool { program: program.to_owned() })
    }

    #[test]
    fn checkout_takes_its_inputs() {
        let action = builtin("actions/checkout@v4", &with(&[("fetch-depth", "0"), ("ref", "")]));
        let wanted = StepAction::Checkout { reference: None, path: None, fetch_depth: 0 };
        assert_eq!(action, Builtin::Run(wanted));
        let other = builtin("actions/checkout@v4", &with(&[("repository", "a/b")]));
        assert!(matches!(other, Builtin::Refused(_)));
    }

    #[test]
    fn tools_are_found_on_the_machine() {
        assert_eq!(builtin("dtolnay/rust-toolchain@1.70", &with(&[])), tool("cargo"));
        assert_eq!(builtin("taiki-e/install-action@nextest", &with(&[])), tool("cargo-nextest"));
        let hack = with(&[("tool", "cargo-hack@0.6")]);
        assert_eq!(builtin("taiki-e/install-action@v2", &hack), tool("cargo-hack"));
    }

    #[test]
    fn nothing_pretends_to_have_been_done() {
        for uses in ["docker://alpine:3", "actions/upload-artifact@v4", "actions/cache@v4"] {
            assert!(matches!(builtin(uses, &with(&[])), Builtin::Refused(_)), "{uses}");
        }
    }
}
