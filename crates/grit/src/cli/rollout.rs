use grit_control::view::{DeploymentView, SlotView};
use grit_rollout::slot::Status;
use serde_json::{Value, json};

use super::args::{Of, Rollout, RolloutVerb};
use super::deploy::line;
use super::named;
use super::place::Place;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub async fn run(options: &Rollout, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    let (of, verb, body) = match &options.verb {
        RolloutVerb::Promote { of, full } => (of, "promote", json!({ "full": full })),
        RolloutVerb::Pause(of) => (of, "pause", json!({})),
        RolloutVerb::Resume(of) => (of, "resume", json!({})),
        RolloutVerb::Abort { of, reason } => (of, "abort", json!({ "reason": reason })),
        RolloutVerb::Retry(of) => (of, "retry", json!({})),
    };
    let retry = matches!(options.verb, RolloutVerb::Retry(_));
    let meant = meant(&client, of, retry).await?;
    steer(&client, &meant, verb, &body).await?;
    let view = newest(&client, &meant).await?;
    ui.data(&view, |view| format!("{}\n", view.id));
    ui.status(line(&view));
    Ok(Exit::Done)
}

/// A slot, by the names that routes take.
pub struct Meant {
    pub environment: String,
    pub service: String,
}

/// Does something to a slot.
pub async fn steer(
    client: &Client,
    to: &Meant,
    verb: &str,
    body: &Value,
) -> Result<Value, Failure> {
    let path = format!("/api/v1/slots/{}/{}/{verb}", to.environment, to.service);
    match verb {
        // It makes a deployment, and of those one.
        "retry" => client.post_once(&path, body).await,
        _ => client.post(&path, body).await,
    }
}

/// The newest deployment of a slot.
pub async fn newest(client: &Client, of: &Meant) -> Result<DeploymentView, Failure> {
    let path = format!(
        "/api/v1/deployments?environment={}&service={}&limit=1",
        of.environment, of.service
    );
    let mut found: Vec<DeploymentView> = client.get(&path).await?;
    found
        .pop()
        .ok_or_else(|| Failure::new(Exit::NotFound, "not_found", "nothing was deployed there"))
}

/// The rollout that is meant: the one named, else the only one that is in progress.
async fn meant(client: &Client, of: &Of, ended: bool) -> Result<Meant, Failure> {
    let slots: Vec<SlotView> = client.get("/api/v1/slots").await?;
    if let Some(target) = &of.target {
        named::service(target, &slots)?;
    }
    if let Some(name) = &of.environment {
        named::environment(name.as_str(), &slots)?;
    }
    let matches = |slot: &&SlotView| {
        let deployment = slot.deployment.as_ref();
        let named = of.target.as_ref().is_none_or(|target| {
            slot.service.as_str() == target
                || deployment.is_some_and(|deployment| deployment.id.to_string() == *target)
        });
        let there = of.environment.as_ref().is_none_or(|name| slot.environment == *name);
        named && there && deployment.is_some_and(|deployment| wanted(deployment, ended))
    };
    let found: Vec<&SlotView> = slots.iter().filter(matches).collect();
    match found.as_slice() {
        [slot] => Ok(Meant {
            environment: slot.environment.to_string(),
            service: slot.service.to_string(),
        }),
        [] if ended => {
            Err(Failure::new(Exit::Conflict, "not_now", "nothing failed that could be retried")
                .hint("`grit status` shows what is there"))
        }
        [] => Err(Failure::new(Exit::Conflict, "not_now", "no rollout is in progress")
            .hint("`grit status` shows what is there")),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|slot| format!("{} --env {}", slot.service, slot.environment))
                .collect();
            Err(Failure::new(Exit::Usage, "ambiguous", format!("which one: {}?", names.join(", ")))
                .hint(format!("add `{}`", names[0])))
        }
    }
}

fn wanted(deployment: &DeploymentView, ended: bool) -> bool {
    let status = deployment.status;
    let begun = !matches!(status, Status::Pending | Status::Gated | Status::Queued);
    if ended {
        status.is_final() && status != Status::Succeeded
    } else {
        begun && !status.is_final()
    }
}
