//! How a command ends: one number for programs, one sentence and one hint for people.

use grit_types::chain;
use serde::Serialize;

/// The exit status, documented for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The thing asked about failed: a red run, a rollout that went back.
    Failed,
    /// Usage, or configuration that cannot be used.
    Usage,
    NotFound,
    /// Somebody else was there first, or it is not the time for it.
    Conflict,
    /// The environment: no repository, unreachable, disk full, a program that is missing.
    Environment,
    /// Refused by a gate or by rights.
    Refused,
    /// A bug in Grit.
    Bug,
    Interrupted,
    /// What was run for somebody ended with this.
    Child(u8),
}

impl Exit {
    /// The number.
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Environment => 5,
            Self::Refused => 6,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Child(status) => status,
        }
    }
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
    /// What a program may want to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into(), hint: None, details: None }
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

    /// With what a program may want to know.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// With the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
