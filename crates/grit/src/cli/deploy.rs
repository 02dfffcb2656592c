use std::time::Duration;

use grit_control::view::DeploymentView;
use grit_rollout::slot::Status;
use serde_json::json;

use super::args::Deploy;
use super::place::Place;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// How often a rollout that is watched is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub async fn run(options: &Deploy, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    let body = json!({
        "service": options.service,
        "environment": options.environment,
        "version": options.version,
        "strategy": options.strategy,
    });
    let view: DeploymentView = client.post_once("/deploy", &body).await?;
    if options.watch {
        return watch(&client, view, ui).await;
    }
    ui.data(&view, |view| format!("{}\n", view.id));
    hint(&view, ui);
    Ok(Exit::Done)
}

/// Says what a deployment waits for, and how to go on.
fn hint(view: &DeploymentView, ui: &Ui) {
    ui.status(line(view));
    if view.gates.iter().any(|gate| gate.needs_person) {
        let (service, environment) = (&view.service, &view.environment);
        ui.status(format!(
            "It waits for an approval: `grit approve {service} --env {environment}`"
        ));
    }
}

/// Stays until the deployment is over, and tells each change.
pub async fn watch(client: &Client, first: DeploymentView, ui: &Ui) -> Result<Exit, Failure> {
    let mut view = first;
    let mut told = String::new();
    loop {
        let now = line(&view);
        if now != told {
            hint(&view, ui);
            told = now;
        }
        if view.status.is_final() {
            ui.data(&view, |view| format!("{}\n", view.id));
            return Ok(exit(view.status));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        view = client.get(&format!("/api/v1/deployments/{}", view.id)).await?;
    }
}

fn exit(status: Status) -> Exit {
    if status == Status::Succeeded { Exit::Done } else { Exit::Failed }
}

/// A deployment in one line.
pub fn line(view: &DeploymentView) -> String {
    let mut text = format!(
        "{} {} in {}: {} {}",
        view.service, view.version, view.environment, view.status, view.doing
    );
    if view.steps > 1 && !view.status.is_final() {
        text.push_str(&format!(" (step {} of {}, weight {})", view.step, view.steps, view.weight));
    }
    if let Some(reason) = &view.reason {
        text.push_str(&format!(" - {reason}"));
    }
    text.trim_end().to_owned()
}
