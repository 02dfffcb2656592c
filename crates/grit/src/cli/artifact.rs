use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use grit_blob::{Layout, Reference};
use grit_pipeline::keep::KeptArtifact;
use grit_types::RunId;
use serde_json::{Value, json};

use super::args::ArtifactVerb;
use super::place::Place;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub async fn run(verb: &ArtifactVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        ArtifactVerb::Push { reference, folder, registry } => {
            push(reference, folder, registry, ui).await
        }
        ArtifactVerb::List { run } => list(*run, place, ui).await,
        ArtifactVerb::Download { name, run, into } => {
            download(name.as_deref(), *run, into, place, ui).await
        }
    }
}

/// Packs a folder into the registry, and ties its digest to the job's run.
async fn push(reference: &str, folder: &Path, registry: &Path, ui: &Ui) -> Result<Exit, Failure> {
    let name: Reference = reference.parse().map_err(|error: grit_types::NameError| {
        Failure::new(Exit::Usage, "reference", error.to_string())
    })?;
    let (registry, folder, kept) = (registry.to_owned(), folder.to_owned(), name.clone());
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

async fn list(run: RunId, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let all = of_run(&place.client()?, run).await?;
    ui.data(&all, |all| {
        let line = |one: &KeptArtifact| format!("{}\t{}\t{}\n", one.name, one.bytes, one.digest);
        all.iter().map(line).collect()
    });
    Ok(Exit::Done)
}

async fn download(
    name: Option<&str>,
    run: RunId,
    into: &Path,
    place: &Place,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let client = place.client()?;
    let all = of_run(&client, run).await?;
    let wanted: Vec<KeptArtifact> =
        all.into_iter().filter(|one| name.is_none_or(|name| one.name == name)).collect();
    if wanted.is_empty() {
        let message = match name {
            Some(name) => format!("the run has no artifact `{name}`"),
            None => "the run has no artifacts".to_owned(),
        };
        return Err(Failure::new(Exit::NotFound, "not_found", message));
    }
    std::fs::create_dir_all(into).map_err(|error| Failure::because("no such folder", &error))?;
    for artifact in &wanted {
        take(&client, run, artifact, into).await?;
        ui.status(format!("{} is in {}", artifact.name, into.join(&artifact.name).display()));
    }
    ui.data(&wanted, |wanted| wanted.iter().map(|one| format!("{}\n", one.name)).collect());
    Ok(Exit::Done)
}

/// One artifact into a folder of its name, in which nothing is yet.
async fn take(
    client: &Client,
    run: RunId,
    artifact: &KeptArtifact,
    into: &Path,
) -> Result<(), Failure> {
    let folder = into.join(&artifact.name);
    if folder.exists() {
        let message = format!("{} is there already", folder.display());
        let hint = "remove it, or name another folder with `--into FOLDER`";
        return Err(Failure::new(Exit::Conflict, "exists", message).hint(hint));
    }
    let temporary = tempfile::tempdir_in(into)
        .map_err(|error| Failure::because("no room for the download", &error))?;
    let archive = temporary.path().join("archive.zip");
    let path = format!("/api/v1/runs/{run}/artifacts/{}", encoded(&artifact.name));
    client.download(&path, &archive).await?;
    let unpacked = temporary.path().join("files");
    let to = unpacked.clone();
    let work = tokio::task::spawn_blocking(move || {
        grit_executor::unpack_archive(&mut File::open(archive)?, &to)
    });
    work.await
        .map_err(|error| Failure::because("unpacking ended with a panic", &error))?
        .and_then(|_| std::fs::rename(&unpacked, &folder))
        .map_err(|error| Failure::because("the artifact cannot be unpacked", &error))
}

async fn of_run(client: &Client, run: RunId) -> Result<Vec<KeptArtifact>, Failure> {
    client.get(&format!("/api/v1/runs/{run}/artifacts")).await
}

/// A name as one part of a path: RFC 3986, section 2.3, says what stays.
fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// The server that runs this job, with the job's own token.
fn job_client() -> Option<Client> {
    let (server, token) = (std::env::var("GRIT_SERVER").ok()?, std::env::var("GRIT_TOKEN").ok()?);
    let address = server.strip_prefix("http://").unwrap_or(&server).to_owned();
    Some(Client::new(address, token))
}
