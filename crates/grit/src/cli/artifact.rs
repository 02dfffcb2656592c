use std::collections::BTreeMap;

use grit_blob::{Layout, Reference};
use serde_json::{Value, json};

use super::args::ArtifactVerb;
use super::place::Place;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Packs a folder into the registry, and ties its digest to the job's run.
pub async fn run(verb: &ArtifactVerb, _place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ArtifactVerb::Push { reference, folder, registry } = verb;
    let name: Reference = reference.parse().map_err(|error: grit_types::NameError| {
        Failure::new(Exit::Usage, "reference", error.to_string())
    })?;
    let (registry, folder, kept) = (registry.clone(), folder.clone(), name.clone());
    let packed = tokio::task::spawn_blocking(move || {
        let layout = Layout::open_or_create(&registry)?;
        layout.push_artifact(&kept, &folder, &BTreeMap::new())
    });
    let digest = packed
        .await
        .map_err(|error| Failure::because("packing ended with a panic", &error))?
        .map_err(|error| Failure::because("the artifact cannot be packed", &error))?;
    if let Some(client) = job_client() {
        let body = json!({ "image": name.name(), "digest": digest });
        let _: Value = client.post("/api/v1/artifacts", &body).await?;
    } else {
        ui.status("No GRIT_SERVER and GRIT_TOKEN: the artifact is tied to no run.");
    }
    ui.data(&json!({ "reference": reference, "digest": digest }), |_| format!("{digest}\n"));
    Ok(Exit::Done)
}

/// The server that runs this job, with the job's own token.
fn job_client() -> Option<Client> {
    let (server, token) = (std::env::var("GRIT_SERVER").ok()?, std::env::var("GRIT_TOKEN").ok()?);
    let address = server.strip_prefix("http://").unwrap_or(&server).to_owned();
    Some(Client::new(address, token))
}
