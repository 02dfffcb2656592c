use grit_control::view::{CommitView, SlotView};
use serde::Serialize;

use super::args::Status;
use super::deploy::line;
use super::named;
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

#[derive(Serialize)]
struct Overview {
    slots: Vec<SlotView>,
    commits: Vec<CommitView>,
}

pub async fn run(options: &Status, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    let mut slots: Vec<SlotView> = client.get("/api/v1/slots").await?;
    if let Some(name) = options.environment.as_ref().filter(|_| !slots.is_empty()) {
        named::environment(name.as_str(), &slots)?;
        slots.retain(|slot| slot.environment == *name);
    }
    let commits = client.get("/api/v1/commits?limit=5").await?;
    ui.data(&Overview { slots, commits }, text);
    Ok(Exit::Done)
}

fn text(overview: &Overview) -> String {
    let mut text = String::new();
    if overview.slots.is_empty() {
        text.push_str("Nothing is deployed yet. A push deploys: `git push grit HEAD:main`\n");
    } else {
        let rows: Vec<Vec<String>> = overview.slots.iter().map(row).collect();
        text.push_str(&table(
            &["SERVICE", "ENVIRONMENT", "STABLE", "TRAFFIC", "READY", "ADDRESS"],
            &rows,
        ));
    }
    for slot in &overview.slots {
        if let Some(deployment) = slot.deployment.iter().find(|d| !d.status.is_final()) {
            text.push_str(&format!("{}\n", line(deployment)));
        }
    }
    for commit in &overview.commits {
        for problem in &commit.state.problems {
            text.push_str(&format!("commit {}: {problem}\n", commit.commit.short()));
        }
    }
    text
}

fn row(slot: &SlotView) -> Vec<String> {
    let traffic: Vec<String> = slot
        .revisions
        .iter()
        .filter(|revision| revision.weight > grit_types::Weight::ZERO)
        .map(|revision| format!("{} {}", revision.version, revision.weight))
        .collect();
    let ready: usize = slot.revisions.iter().map(|revision| revision.ready).sum();
    vec![
        slot.service.to_string(),
        slot.environment.to_string(),
        slot.stable.as_ref().map_or("-".to_owned(), |stable| stable.version.clone()),
        if traffic.is_empty() { "-".to_owned() } else { traffic.join(", ") },
        format!("{ready}/{}", slot.instances.len()),
        slot.host.clone(),
    ]
}
