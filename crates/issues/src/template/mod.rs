//! Texts to begin an issue with: those that are built in, and those of a repository's
//! `.grit/templates/*.md`.
//!
//! `{{name}}` in title, body and labels stands for a value that is given when the template is
//! filled. `${{ … }}` is left alone: that is another tool's.

pub mod builtin;
pub mod codes;
mod fill;
mod parse;

use std::collections::BTreeSet;

use grit_types::Principal;

pub use fill::Filled;
pub use parse::parse;

use crate::value::Priority;

/// What an issue begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// What people type after `--template`.
    pub name: String,
    /// What it is for, in a line; may be empty.
    pub about: String,
    /// May be empty: then whoever creates the issue gives one.
    pub title: String,
    pub labels: Vec<String>,
    pub assignees: BTreeSet<Principal>,
    pub milestone: Option<String>,
    pub priority: Option<Priority>,
    pub body: String,
}

/// No template is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no template `{name}`; {}", hint(.nearest.as_deref(), .known))]
pub struct UnknownTemplate {
    pub name: String,
    pub nearest: Option<String>,
    pub known: Vec<String>,
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    }
}

/// The template called `name`, in any case: a repository's own before one that is built in.
pub fn find(name: &str, own: &[Template]) -> Result<Template, UnknownTemplate> {
    let all: Vec<Template> = own.iter().cloned().chain(builtin::all()).collect();
    if let Some(found) = all.iter().find(|template| template.name.eq_ignore_ascii_case(name)) {
        return Ok(found.clone());
    }
    let mut known: Vec<String> = all.into_iter().map(|template| template.name).collect();
    known.sort();
    known.dedup();
    let nearest = grit_diag::suggest(name, known.iter().map(String::as_str)).map(str::to_owned);
    Err(UnknownTemplate { name: name.to_owned(), nearest, known })
}
