//! `grit issue`: the tracker in this repository's own ledger; no server is asked.

pub mod args;
mod attach;
mod change;
mod create;
mod depend;
mod ingest;
mod list;
pub mod report;
mod saved;
mod show;
pub mod tracker;

use grit_issues::Command;
pub use tracker::{index_failure, index_path};

use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use args::Verb;

pub fn run(verb: &Verb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        Verb::Create(options) => create::run(options, place, ui),
        Verb::Ingest(options) => ingest::run(options, place, ui),
        Verb::List(options) => list::run(options, place, ui),
        Verb::Search { query, more } => list::search(query, more, place, ui),
        Verb::Show { id } => show::run(id, place, ui),
        Verb::History { id } => show::history(id, place, ui),
        Verb::Comment(options) => change::comment(options, place, ui),
        Verb::Update(options) => change::update(options, place, ui),
        Verb::Close { id, reason } => {
            change::one(id, &[Command::Close { reason: reason.clone() }], place, ui)
        }
        Verb::Reopen { id } => change::one(id, &[Command::Reopen], place, ui),
        Verb::Label(options) => change::label(&options.verb, place, ui),
        Verb::Assignee(options) => change::assignee(&options.verb, place, ui),
        Verb::Link(options) => change::link(&options.verb, place, ui),
        Verb::Attach(options) => attach::run(options, place, ui),
        Verb::Attachment(options) => attach::files(&options.verb, place, ui),
        Verb::Dep(options) => depend::run(&options.verb, place, ui),
        Verb::Check { id, item } => {
            change::one(id, &[Command::Check { item: item.clone() }], place, ui)
        }
        Verb::Uncheck { id, item } => {
            change::one(id, &[Command::Uncheck { item: item.clone() }], place, ui)
        }
        Verb::Query(options) => saved::run(&options.verb, place, ui),
        Verb::Templates => create::templates(place, ui),
    }
}
