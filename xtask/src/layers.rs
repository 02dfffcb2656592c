//! Which room stands on which floor. The one place where this is written for machines; ARCHITECTURE.md
//! says it for people.

/// Where a crate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// A shipped crate; it may depend on lower layers only, never on its siblings.
    Layer(u8),
    /// Help for tests: a dev-dependency of others, itself on layer 0 only.
    TestKit,
    /// Outside the house: depends on nothing of it but the test kit, and nothing depends on it.
    Tool,
}

/// Every crate of the workspace.
pub const FLOORS: &[(&str, Floor)] = &[
    ("grit-types", Floor::Layer(0)),
    ("grit-diag", Floor::Layer(0)),
    ("grit-ledger", Floor::Layer(1)),
    ("grit-pipeline", Floor::Layer(2)),
    ("grit-rollout", Floor::Layer(2)),
    ("grit-issues", Floor::Layer(2)),
    ("grit-locks", Floor::Layer(2)),
    ("grit-insight", Floor::Layer(2)),
    ("grit-secret", Floor::Layer(2)),
    ("grit-dialect", Floor::Layer(3)),
    ("grit-control", Floor::Layer(4)),
    ("grit-git", Floor::Layer(5)),
    ("grit-journal", Floor::Layer(5)),
    ("grit-index", Floor::Layer(5)),
    ("grit-host", Floor::Layer(5)),
    ("grit-engine", Floor::Layer(5)),
    ("grit-blob", Floor::Layer(5)),
    ("grit-executor", Floor::Layer(6)),
    ("grit-target", Floor::Layer(6)),
    ("grit-edge", Floor::Layer(6)),
    ("grit-server", Floor::Layer(6)),
    ("grit", Floor::Layer(7)),
    ("grit-testkit", Floor::TestKit),
    ("xtask", Floor::Tool),
];

/// Layers up to this one decide and do nothing else: no clock, file, process, socket or environment.
pub const PURE_MAX: u8 = 3;

/// Where the crate `name` stands; `None` when nobody has said so yet.
pub fn floor(name: &str) -> Option<Floor> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|&(_, floor)| floor)
}

/// The crates of the pure layers.
pub fn pure_crates() -> impl Iterator<Item = &'static str> {
    FLOORS.iter().filter(|(_, floor)| is_pure(*floor)).map(|&(name, _)| name)
}

pub fn is_pure(floor: Floor) -> bool {
    matches!(floor, Floor::Layer(layer) if layer <= PURE_MAX)
}

/// May a crate on `from` list one on `to` under `[dependencies]`?
pub fn may_depend(from: Floor, to: Floor) -> bool {
    match (from, to) {
        (Floor::Layer(from), Floor::Layer(to)) => to < from,
        (Floor::TestKit, Floor::Layer(to)) => to == 0,
        (Floor::Tool, to) => to == Floor::TestKit,
        (_, Floor::TestKit | Floor::Tool) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_fall_and_siblings_are_strangers() {
        assert!(may_depend(Floor::Layer(4), Floor::Layer(3)));
        assert!(!may_depend(Floor::Layer(3), Floor::Layer(3)));
        assert!(!may_depend(Floor::Layer(0), Floor::Layer(2)));
        assert!(may_depend(Floor::TestKit, Floor::Layer(0)));
        assert!(!may_depend(Floor::TestKit, Floor::Layer(1)));
        assert!(!may_depend(Floor::Layer(7), Floor::TestKit));
        assert!(may_depend(Floor::Tool, Floor::TestKit));
        assert!(!may_depend(Floor::Tool, Floor::Layer(0)));
    }

    #[test]
    fn no_crate_stands_on_two_floors() {
        for (at, (name, _)) in FLOORS.iter().enumerate() {
            assert!(
                FLOORS[at + 1..].iter().all(|(other, _)| other != name),
                "{name} is listed twice"
            );
        }
    }
}
