//! All output: data on stdout, people on stderr.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use crate::exit::Failure;

/// Where output goes, and in which form.
pub struct Ui {
    json: bool,
    quiet: bool,
    terminal: bool,
}

impl Ui {
    /// `json`: one document on stdout, and nothing else there.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, terminal: std::io::stdout().is_terminal() }
    }

    /// Whether a person reads stdout.
    pub fn is_terminal(&self) -> bool {
        self.terminal && !self.json
    }

    /// Whether a program reads stdout, and expects one document there.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether what is written to stdout may be coloured: a person reads it, and wants that.
    pub fn is_coloured(&self) -> bool {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        self.is_terminal() && std::env::var_os("NO_COLOR").is_none() && !dumb
    }

    /// Whether a person sees both streams on a terminal, so that what was drawn can be drawn over.
    pub fn can_redraw(&self) -> bool {
        self.is_terminal() && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Text for people, as it is.
    pub fn paint(&self, text: &str) {
        self.write(&mut std::io::stderr(), text);
    }

    /// Tells people what happens.
    pub fn status(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            self.write(&mut std::io::stderr(), &format!("{line}\n"));
        }
    }

    /// The answer: `{"schema":1,"ok":true,"data":…}`, or the text that `plain` gives.
    pub fn data<T: Serialize>(&self, data: &T, plain: impl FnOnce(&T) -> String) {
        let text = if self.json {
            // Views are plain data: they always serialise.
            let data = serde_json::to_value(data).unwrap_or_default();
            format!("{}\n", json!({ "schema": 1, "ok": true, "data": data }))
        } else {
            plain(data)
        };
        self.write(&mut std::io::stdout(), &text);
    }

    /// The answer to `--json` whose data is JSON text already.
    pub fn document(&self, data: &str) {
        let mut out = std::io::stdout().lock();
        let parts = ["{\"data\":", data, ",\"ok\":true,\"schema\":1}\n"];
        let _ = parts.iter().try_for_each(|part| out.write_all(part.as_bytes()));
        let _ = out.flush();
    }

    /// Text as it is, on stdout.
    pub fn raw(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// Why it was not done.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            let document = json!({ "schema": 1, "ok": false, "error": failure });
            self.write(&mut std::io::stdout(), &format!("{document}\n"));
            return;
        }
        let mut text = format!("Error: {}\n", failure.message.trim_end());
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("Hint: {hint}\n"));
        }
        self.write(&mut std::io::stderr(), &text);
    }

    /// A reader that went away is no failure of ours.
    fn write(&self, to: &mut dyn Write, text: &str) {
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }
}

/// Columns, padded to their widest cell, two spaces apart.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}
