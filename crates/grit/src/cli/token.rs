use grit_server::{NewToken, TokenRecord};
use grit_types::Role;
use serde_json::json;

use super::args::TokenVerb;
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

pub async fn run(verb: &TokenVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    match verb {
        TokenVerb::Create { principal, role } => {
            let role = Role::parse(role).ok_or_else(|| {
                let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
                Failure::new(Exit::Usage, "role", format!("`{role}` is no role"))
                    .hint(format!("one of {}", known.join(", ")))
            })?;
            let body = json!({ "principal": principal, "role": role });
            let made: NewToken = client.post("/api/v1/tokens", &body).await?;
            ui.data(&made, |made| format!("{}\n", made.token));
            ui.status("It is shown only now. Set it as GRIT_TOKEN.");
        }
        TokenVerb::List => {
            let records: Vec<TokenRecord> = client.get("/api/v1/tokens").await?;
            ui.data(&records, |records| {
                let row = |record: &TokenRecord| {
                    vec![
                        record.id.to_string(),
                        record.principal.to_string(),
                        record.role.to_string(),
                        record.created_at.to_string(),
                    ]
                };
                let rows: Vec<Vec<String>> = records.iter().map(row).collect();
                table(&["ID", "PRINCIPAL", "ROLE", "CREATED"], &rows)
            });
        }
    }
    Ok(Exit::Done)
}
