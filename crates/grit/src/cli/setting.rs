//! `grit secret` and `grit variable`: what jobs are given, kept by the server.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use grit_secret::{Listed, Name, VALUE_BYTES_MAX};
use hyper::Method;
use serde_json::json;

use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

#[derive(Debug, Args)]
pub struct Secret {
    #[command(subcommand)]
    pub verb: SecretVerb,
}

#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Keep a secret; its value comes from a file or from standard input, never from the command line
    Set {
        name: String,
        #[command(flatten)]
        of: Of,
        /// Where the value is; `-`: standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        body_file: PathBuf,
    },
    /// Their names; nobody is ever told a value
    List {
        #[command(flatten)]
        of: Of,
    },
    Remove {
        name: String,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
pub struct Variable {
    #[command(subcommand)]
    pub verb: VariableVerb,
}

#[derive(Debug, Subcommand)]
pub enum VariableVerb {
    /// Keep a variable: `vars.NAME` in a workflow
    Set {
        name: String,
        /// Else it comes from --body-file
        value: Option<String>,
        #[command(flatten)]
        of: Of,
        /// Where the value is; `-`: standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        body_file: PathBuf,
    },
    List {
        #[command(flatten)]
        of: Of,
    },
    Remove {
        name: String,
        #[command(flatten)]
        of: Of,
    },
}

/// Whose: the repository's, unless this says otherwise.
#[derive(Debug, Args)]
pub struct Of {
    /// Only for jobs that deploy to this environment
    #[arg(long = "env", value_name = "ENVIRONMENT", conflicts_with = "tenant")]
    pub environment: Option<String>,
    /// For all repositories of the tenant
    #[arg(long)]
    pub tenant: bool,
}

impl Of {
    fn query(&self) -> String {
        match (&self.environment, self.tenant) {
            (Some(name), _) => format!("?environment={}", encoded(name)),
            (None, true) => "?tenant=true".to_owned(),
            (None, false) => String::new(),
        }
    }
}

pub async fn secret(options: &Secret, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match &options.verb {
        SecretVerb::Set { name, of, body_file } => {
            let name = named(name)?;
            let value = body(body_file)?;
            set("secrets", &name, &value, of, place).await?;
            ui.status(format!("Kept the secret {name}."));
        }
        SecretVerb::List { of } => list("secrets", of, place, ui).await?,
        SecretVerb::Remove { name, of } => remove("secrets", name, of, place).await?,
    }
    Ok(Exit::Done)
}

pub async fn variable(options: &Variable, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match &options.verb {
        VariableVerb::Set { name, value, of, body_file } => {
            let name = named(name)?;
            let value = match value {
                Some(value) => value.clone(),
                None => body(body_file)?,
            };
            set("variables", &name, &value, of, place).await?;
            ui.status(format!("Kept the variable {name}."));
        }
        VariableVerb::List { of } => list("variables", of, place, ui).await?,
        VariableVerb::Remove { name, of } => remove("variables", name, of, place).await?,
    }
    Ok(Exit::Done)
}

fn named(name: &str) -> Result<Name, Failure> {
    name.parse().map_err(|error: grit_secret::NameError| usage(error.to_string()))
}

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, "usage", message)
}

/// The value, without the line's end that editors and `echo` put behind it.
fn body(file: &Path) -> Result<String, Failure> {
    let most = VALUE_BYTES_MAX as u64 + 3;
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| usage(format!("{} cannot be read: {error}", file.display())))?;
    let text = String::from_utf8(bytes).map_err(|_| usage("the value is no UTF-8".to_owned()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.len() > VALUE_BYTES_MAX {
        return Err(usage(format!("the value has more than {VALUE_BYTES_MAX} bytes")));
    }
    Ok(text.to_owned())
}

async fn set(kind: &str, name: &Name, value: &str, of: &Of, place: &Place) -> Result<(), Failure> {
    let path = format!("/api/v1/{kind}/{name}{}", of.query());
    place.client()?.change(Method::PUT, &path, &json!({ "value": value })).await
}

async fn remove(kind: &str, name: &str, of: &Of, place: &Place) -> Result<(), Failure> {
    let path = format!("/api/v1/{kind}/{}{}", named(name)?, of.query());
    place.client()?.change(Method::DELETE, &path, &json!({})).await
}

async fn list(kind: &str, of: &Of, place: &Place, ui: &Ui) -> Result<(), Failure> {
    let path = format!("/api/v1/{kind}{}", of.query());
    let found: Vec<Listed> = place.client()?.get(&path).await?;
    let terminal = ui.is_terminal();
    ui.data(&found, |found| {
        if !terminal {
            return found.iter().map(|listed| format!("{}\n", listed.name)).collect();
        }
        let row = |listed: &Listed| {
            vec![
                listed.name.to_string(),
                listed.value.clone().unwrap_or_default(),
                listed.updated_by.to_string(),
                listed.updated_at.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        table(&["NAME", "VALUE", "BY", "SINCE"], &rows)
    });
    Ok(())
}

/// For a query: everything but letters, digits and `-._~` as `%XX`.
pub fn encoded(text: &str) -> String {
    let one = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}
