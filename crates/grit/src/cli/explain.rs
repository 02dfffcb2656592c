use clap::Parser;
use grit_diag::Code;
use grit_diag::code::explain_in;
use serde_json::json;

use super::args::{Args, Explain, Parse};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Says what a code in a message means.
pub fn run(options: &Explain, ui: &Ui) -> Result<Exit, Failure> {
    let wanted = options.code.to_ascii_uppercase();
    let code = code(&wanted).ok_or_else(|| {
        Failure::new(Exit::NotFound, "not_found", format!("there is no code `{wanted}`"))
            .hint("codes stand in brackets in messages: `error[E0201]`")
    })?;
    let data = json!({ "code": code.id, "title": code.title, "explanation": code.explanation });
    ui.data(&data, |_| format!("{}: {}\n\n{}\n", code.id, code.title, code.explanation));
    Ok(Exit::Done)
}

/// The code of that id.
pub fn code(id: &str) -> Option<&'static Code> {
    let tables = [
        grit_diag::codes::ALL,
        grit_dialect::codes::ALL,
        grit_rollout::config::codes::ALL,
        grit_issues::template::codes::ALL,
    ];
    explain_in(&tables, id)
}

/// The JSON Schema of `grit.yaml`, as it is.
pub fn schema(ui: &Ui) -> Result<Exit, Failure> {
    let schema = grit_rollout::config::schema();
    ui.data(&schema, |schema| {
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        format!("{text}\n")
    });
    Ok(Exit::Done)
}

/// Says whether words are a command, for checks of documents.
pub fn parse(options: &Parse) -> Result<Exit, Failure> {
    let words = std::iter::once("grit").chain(options.words.iter().map(String::as_str));
    match Args::try_parse_from(words) {
        Ok(_) => Ok(Exit::Done),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or("unreadable").to_owned();
            Err(Failure::new(Exit::Usage, "usage", first))
        }
    }
}
