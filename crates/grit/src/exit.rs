//! How a command ends: one number for programs, one sentence and one hint for people.

use grit_types::chain;
use serde::Serialize;

/// The exit status, documented for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The thing asked about failed: a red run, a rollout that went back.
    Failed = 1,
    /// Usage, or configuration that cannot be used.
    Usage = 2,
    NotFound = 3,
    /// Somebody else was there first, or it is not the time for it.
    Conflict = 4,
    /// The environment: no repository, unreachable, disk full, a program that is missing.
    Environment = 5,
    /// Refused by a gate or by rights.
    Refused = 6,
    /// A bug in Grit.
    Bug = 70,
    Interrupted = 130,
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    #[serde(skip)]
    pub exit: Exit,
    /// Stable, for programs.
    pub code: String,
    /// What failed, on what, why.
    pub message: String,
    /// The next command to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into(), hint: None }
    }

    /// Something about the machine or the place.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Exit::Environment, "environment", message)
    }

    /// The same, with everything that caused it.
    pub fn because(message: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let failure = Self::environment(format!("{message}: {}", chain(error)));
        if grit_host::durable::is_full(error) { failure.full() } else { failure }
    }

    /// The same: a disk is full.
    #[must_use]
    pub fn full(self) -> Self {
        let hint = "make room on the disk, and do it again; nothing that was acknowledged is lost";
        Self { code: "disk_full".to_owned(), ..self.hint(hint) }
    }

    /// With the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
