//! What `uses:` means, without fetching anybody's code.
//!
//! Actions that everybody uses are known by name, at any version; they work offline. Of others their
//! own file is looked for when their step runs.

pub mod file;
mod keep;
pub mod tags;
pub mod version;

use std::collections::BTreeMap;

use crate::expr::Condition;
use crate::{ActionImage, CheckoutPart, StepAction, Submodules, shell};

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

/// Actions that the runner does itself, in small letters.
const KNOWN: &[&str] = &[
    "8398a7/action-slack",
    "actions-rs/toolchain",
    "actions-rust-lang/setup-rust-toolchain",
    "actions/create-release",
    "actions/github-script",
    "actions/setup-dotnet",
    "actions/setup-go",
    "actions/setup-java",
    "actions/setup-node",
    "actions/setup-python",
    "aquasecurity/trivy-action",
    "astral-sh/setup-uv",
    "azure/setup-helm",
    "azure/setup-kubectl",
    "bufbuild/buf-setup-action",
    "codecov/codecov-action",
    "denoland/setup-deno",
    "docker/build-push-action",
    "docker/login-action",
    "docker/metadata-action",
    "docker/setup-buildx-action",
    "docker/setup-qemu-action",
    "dorny/test-reporter",
    "dtolnay/rust-toolchain",
    "enricomi/publish-unit-test-result-action",
    "github/codeql-action/upload-sarif",
    "hashicorp/setup-terraform",
    "mikepenz/action-junit-report",
    "moonrepo/setup-rust",
    "oven-sh/setup-bun",
    "pnpm/action-setup",
    "ruby/setup-ruby",
    "sigstore/cosign-installer",
    "slackapi/slack-github-action",
    "softprops/action-gh-release",
    "taiki-e/install-action",
];

/// Of these something is undone after the last step.
const UNDONE: &[&str] = &["docker/login-action", "docker/setup-buildx-action"];

/// The meaning of `uses`, with its evaluated inputs.
pub fn builtin(uses: &str, with: &BTreeMap<String, String>) -> Builtin {
    let (action, reference) = uses.split_once('@').unwrap_or((uses, ""));
    let is = |name: &&str| name.eq_ignore_ascii_case(action);
    if is(&"actions/checkout") {
        return checkout(with);
    }
    if KNOWN.iter().any(is) {
        return known(action.to_ascii_lowercase(), reference, with);
    }
    if let Some(keeping) = keep::keeping(action, with) {
        return keeping;
    }
    if let Some(image) = uses.strip_prefix("docker://") {
        return container(image, with);
    }
    Builtin::Run(StepAction::Load { uses: uses.to_owned() })
}

/// Whether it is an action of others, which is looked for elsewhere than in the workspace.
pub fn is_elsewhere(uses: &str) -> bool {
    let is_loaded =
        || matches!(builtin(uses, &BTreeMap::new()), Builtin::Run(StepAction::Load { .. }));
    !uses.starts_with("./") && is_loaded()
}

/// An image by its name, with the step's `entrypoint` and `args`.
fn container(image: &str, with: &BTreeMap<String, String>) -> Builtin {
    let given = |name: &str| with.get(name).filter(|text| !text.is_empty());
    let args = given("args").map_or(Ok(Vec::new()), |line| shell::arguments(line));
    match args {
        Ok(args) => Builtin::Run(StepAction::Container {
            image: ActionImage::Named(image.to_owned()),
            entrypoint: given("entrypoint").cloned(),
            args,
        }),
        Err(error) => Builtin::Refused(error.to_string()),
    }
}

fn checkout(with: &BTreeMap<String, String>) -> Builtin {
    let given = |name: &str| with.get(name).filter(|value| !value.is_empty());
    let fetch_depth = match given("fetch-depth").map(|text| text.trim().parse()) {
        None => 1,
        Some(Ok(depth)) => depth,
        Some(Err(_)) => {
            return Builtin::Refused("`fetch-depth` must be a number from 0 on".to_owned());
        }
    };
    let (reference, path) = (given("ref").cloned(), given("path").cloned());
    let lines = |name: &str| -> Vec<String> {
        let lines = given(name).map(String::as_str).unwrap_or_default().lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let submodules = match given("submodules").map(|text| text.to_ascii_lowercase()).as_deref() {
        Some("recursive") => Submodules::Recursive,
        Some("true") => Submodules::Own,
        _ => Submodules::None,
    };
    let part = CheckoutPart {
        repository: given("repository").cloned(),
        sparse: lines("sparse-checkout"),
        cone: given("sparse-checkout-cone-mode").is_none_or(|text| text != "false"),
        submodules,
    };
    Builtin::Run(StepAction::Checkout { reference, path, fetch_depth, part })
}

fn known(name: String, reference: &str, with: &BTreeMap<String, String>) -> Builtin {
    let is_undone = UNDONE.contains(&name.as_str());
    let is_kept = keeps(&name, with);
    let action = |post| StepAction::Known {
        name: name.clone(),
        reference: reference.to_owned(),
        with: with.clone(),
        post,
    };
    if !is_undone && !is_kept {
        return Builtin::Run(action(false));
    }
    let condition = if is_undone { Condition::always() } else { Condition::success() };
    let later = Later { condition, action: action(true), unless: None };
    Builtin::RunThen(action(false), Box::new(later))
}

/// Whether what a package manager fetches is kept after the last step.
fn keeps(name: &str, with: &BTreeMap<String, String>) -> bool {
    let given = with.iter().find(|(given, _)| given.eq_ignore_ascii_case("cache"));
    let cache = given.map(|(_, value)| value.trim()).unwrap_or_default();
    match name {
        "actions/setup-go" => !cache.eq_ignore_ascii_case("false"),
        "actions/setup-dotnet" => cache.eq_ignore_ascii_case("true"),
        "actions/setup-node" | "actions/setup-python" | "actions/setup-java" => !cache.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn checkout_takes_its_inputs() {
        let action = builtin("actions/checkout@v4", &with(&[("fetch-depth", "0"), ("ref", "")]));
        let part = CheckoutPart { cone: true, ..CheckoutPart::default() };
        let wanted = StepAction::Checkout { reference: None, path: None, fetch_depth: 0, part };
        assert_eq!(action, Builtin::Run(wanted));
        let inputs = with(&[
            ("repository", "a/b"),
            ("sparse-checkout", "src\n docs"),
            ("submodules", "true"),
        ]);
        let Builtin::Run(StepAction::Checkout { part, .. }) =
            builtin("actions/checkout@v4", &inputs)
        else {
            panic!("no checkout");
        };
        assert_eq!(part.repository.as_deref(), Some("a/b"));
        assert_eq!(
            (part.sparse.as_slice(), part.submodules),
            (&["src".into(), "docs".into()][..], Submodules::Own)
        );
    }

    #[test]
    fn known_actions_keep_their_inputs() {
        let given = with(&[("node-version", "20.x")]);
        let known = |name: &str, reference: &str, with| StepAction::Known {
            name: name.to_owned(),
            reference: reference.to_owned(),
            with,
            post: false,
        };
        assert_eq!(
            builtin("Actions/Setup-Node@v4", &given),
            Builtin::Run(known("actions/setup-node", "v4", given.clone()))
        );
        assert_eq!(
            builtin("dtolnay/rust-toolchain@1.70", &with(&[])),
            Builtin::Run(known("dtolnay/rust-toolchain", "1.70", with(&[])))
        );
        let login = builtin("docker/login-action@v3", &with(&[]));
        assert!(
            matches!(login, Builtin::RunThen(_, later) if later.condition.source() == "always()")
        );
        let keeps = |uses: &str, inputs: &[(&str, &str)]| match builtin(uses, &with(inputs)) {
            Builtin::RunThen(_, later) => later.condition.source().is_empty(),
            _ => false,
        };
        assert!(keeps("actions/setup-node@v4", &[("cache", "npm")]));
        assert!(!keeps("actions/setup-node@v4", &[]));
        assert!(keeps("actions/setup-go@v5", &[]));
        assert!(!keeps("actions/setup-go@v5", &[("cache", "false")]));
        assert!(keeps("actions/setup-dotnet@v4", &[("cache", "true")]));
        assert!(!keeps("ruby/setup-ruby@v1", &[("bundler-cache", "true")]));
        assert!(KNOWN.iter().all(|name| name.to_ascii_lowercase() == *name));
        assert!(UNDONE.iter().all(|name| KNOWN.contains(name)));
    }

    #[test]
    fn nothing_pretends_to_have_been_done() {
        for uses in ["actions/upload-artifact@v4", "actions/cache@v4"] {
            assert!(matches!(builtin(uses, &with(&[])), Builtin::Refused(_)), "{uses}");
        }
    }
}
