use serde::{Deserialize, Serialize};

use crate::name::{NameError, checked_name};

/// Who did something, and through what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The authenticated identity; never taken from a commit.
    pub principal: Principal,
    /// What acted for it: `cli`, `hook`, `job/job_01…`, `guard`.
    pub via: String,
}

impl Actor {
    /// `principal` acting through `via`.
    pub fn new(principal: Principal, via: impl Into<String>) -> Self {
        Self { principal, via: via.into() }
    }

    /// Grit itself, reacting to an event.
    pub fn grit(via: impl Into<String>) -> Self {
        Self { principal: Principal::grit(), via: via.into() }
    }
}

/// An authenticated identity: 1 to 64 of `a-z A-Z 0-9 . _ @ + -`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal(String);

impl Principal {
    /// The identity under which Grit's own reactions are recorded.
    pub fn grit() -> Self {
        Self("grit".to_owned())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Principal {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        checked_name("principal", text, 64, allowed).map(Self)
    }
}

impl TryFrom<String> for Principal {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.0
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a principal may do in a tenant; each role includes those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Deploys to environments without gates, works on issues.
    Member,
    /// Approves, promotes, aborts, rolls back.
    Admin,
    /// Everything, members and deletion included.
    Owner,
}

impl Role {
    /// All roles, weakest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// The text form, as written in `grit.yaml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "Viewer",
            Self::Member => "Member",
            Self::Admin => "Admin",
            Self::Owner => "Owner",
        }
    }

    /// The role of that name, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(text))
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
