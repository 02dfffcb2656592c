use std::collections::BTreeMap;

use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use super::{Place, Texts};

/// A workflow that a job stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// `./.github/workflows/file.yml`, `owner/repo/.github/workflows/file.yml@ref`.
    pub uses: String,
    /// Of the value of `uses`.
    pub place: Place,
    #[serde(with = "serde_seq")]
    pub with: Texts,
    /// All secrets of the caller, under their names.
    pub inherit: bool,
    #[serde(with = "serde_seq")]
    pub secrets: Texts,
}

/// What the token of a job may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// `read-all`, `write-all`; else what is not named is none.
    pub all: Option<Access>,
    pub scopes: BTreeMap<String, Access>,
    /// Of the key's value.
    pub place: Place,
}

/// From nothing to everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    #[default]
    None,
    Read,
    Write,
}

impl Access {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The access of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Read, Self::Write].into_iter().find(|access| access.as_str() == name)
    }
}

/// Every scope that there is.
pub const PERMISSION_SCOPES: &[&str] = &[
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "models",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
];

/// Scopes that know no writing.
const READ_ONLY: &[&str] = &["models"];

impl Permissions {
    /// What the scope may do.
    pub fn of(&self, scope: &str) -> Access {
        let all = match self.all {
            // An identity is never read.
            Some(Access::Read) if scope == "id-token" => Access::None,
            Some(Access::Write) if READ_ONLY.contains(&scope) => Access::Read,
            other => other.unwrap_or_default(),
        };
        self.scopes.get(scope).copied().unwrap_or(all)
    }

    /// What jobs may do where nothing says it: everything but to say who they are.
    pub fn by_default() -> Self {
        Self {
            all: Some(Access::Write),
            scopes: [("id-token".to_owned(), Access::None)].into(),
            place: Place::default(),
        }
    }

    /// As far as `allowed` goes, and nothing beyond; every scope by its name.
    #[must_use]
    pub fn within(&self, allowed: &Self) -> Self {
        let least = |scope: &&str| (self.of(scope).min(allowed.of(scope)), (*scope).to_owned());
        let scopes = PERMISSION_SCOPES.iter().map(least);
        let scopes = scopes.filter(|(access, _)| *access > Access::None);
        let scopes = scopes.map(|(access, scope)| (scope, access)).collect();
        Self { all: None, scopes, place: self.place }
    }

    /// The same, for reading only.
    #[must_use]
    pub fn reading(&self) -> Self {
        self.within(&Self { all: Some(Access::Read), ..Self::default() })
    }

    /// The scopes of which `self` wants more than `allowed` has: with what is wanted and allowed.
    pub fn beyond(&self, allowed: &Self) -> Vec<(&'static str, Access, Access)> {
        let pair = |scope: &&'static str| (*scope, self.of(scope), allowed.of(scope));
        PERMISSION_SCOPES.iter().map(pair).filter(|(_, wanted, has)| wanted > has).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_allowed_is_named() {
        let some = |scope: &str, access| Permissions {
            scopes: [(scope.to_owned(), access)].into(),
            ..Permissions::default()
        };
        let all = |access| Permissions { all: Some(access), ..Permissions::default() };
        let wanted = some("contents", Access::Write);
        assert_eq!(
            wanted.beyond(&some("contents", Access::Read)),
            [("contents", Access::Write, Access::Read)]
        );
        assert_eq!(wanted.beyond(&all(Access::Write)), []);
        assert_eq!(all(Access::Read).beyond(&all(Access::Read)), []);
        assert!(all(Access::Write).beyond(&all(Access::Read)).len() > 10);
    }

    #[test]
    fn nobody_gets_more_than_both_allow() {
        let own = Permissions {
            scopes: [("contents".to_owned(), Access::Write), ("issues".to_owned(), Access::Read)]
                .into(),
            ..Permissions::default()
        };
        let allowed = Permissions {
            scopes: [("contents".to_owned(), Access::Read), ("packages".to_owned(), Access::Write)]
                .into(),
            ..Permissions::default()
        };
        let both = own.within(&allowed);
        assert_eq!(both.of("contents"), Access::Read);
        assert_eq!((both.of("issues"), both.of("packages")), (Access::None, Access::None));
        let default = Permissions::by_default();
        assert_eq!(default.of("id-token"), Access::None);
        assert_eq!(default.of("packages"), Access::Write);
        assert_eq!(default.reading().of("packages"), Access::Read);
        assert_eq!(default.reading().of("id-token"), Access::None);
    }
}
