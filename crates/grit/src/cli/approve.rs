use grit_control::view::SlotView;
use grit_rollout::slot::Status;
use grit_types::Service;
use serde_json::json;

use super::args::Approve;
use super::place::Place;
use super::rollout::{Meant, newest, steer};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Approves everything that waits and is meant.
pub async fn run(options: &Approve, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let reject = options.reject.as_deref();
    let target = options.target.as_deref();
    if let Some(run) = target.filter(|target| target.starts_with("run_")) {
        return super::remote::review(run, reject, place, ui).await;
    }
    let service = target.map(str::parse::<Service>).transpose();
    let service = service.map_err(|e| Failure::new(Exit::Usage, "usage", e.to_string()))?;
    let client = place.client()?;
    let slots: Vec<SlotView> = client.get("/api/v1/slots").await?;
    let waits = |slot: &&SlotView| {
        let there = options.environment.as_ref().is_none_or(|name| slot.environment == *name);
        let named = service.as_ref().is_none_or(|name| slot.service == *name);
        let gated = slot.deployment.as_ref().is_some_and(|deployment| {
            deployment.status == Status::Gated
                && deployment.gates.iter().any(|gate| gate.needs_person)
        });
        there && named && gated
    };
    let waiting: Vec<&SlotView> = slots.iter().filter(waits).collect();
    if waiting.is_empty() {
        return Err(Failure::new(Exit::Conflict, "not_now", "nothing waits for an approval")
            .hint("`grit status` shows what is in progress"));
    }
    let mut answered = Vec::new();
    for slot in waiting {
        let meant =
            Meant { environment: slot.environment.to_string(), service: slot.service.to_string() };
        let (verb, body) = match &options.reject {
            Some(reason) => ("reject", json!({ "reason": reason })),
            None => ("approve", json!({})),
        };
        steer(&client, &meant, verb, &body).await?;
        let view = newest(&client, &meant).await?;
        ui.status(super::deploy::line(&view));
        answered.push(view);
    }
    ui.data(&answered, |views| views.iter().map(|view| format!("{}\n", view.id)).collect());
    Ok(Exit::Done)
}
