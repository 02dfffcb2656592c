use std::collections::BTreeMap;
use std::time::Duration;

use grit_control::view::SlotView;
use grit_types::InstanceId;

use super::args::Logs;
use super::named;
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub async fn run(options: &Logs, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    let slots: Vec<SlotView> = client.get("/api/v1/slots").await?;
    named::service(options.service.as_str(), &slots)?;
    if let Some(name) = &options.environment {
        named::environment(name.as_str(), &slots)?;
    }
    let matches = |slot: &&SlotView| {
        slot.service == options.service
            && options.environment.as_ref().is_none_or(|name| slot.environment == *name)
    };
    let slot = slots.iter().rfind(matches).ok_or_else(|| {
        Failure::new(Exit::NotFound, "not_found", format!("{} does not run there", options.service))
            .hint("`grit status` shows what runs where")
    })?;
    let base = format!("/api/v1/slots/{}/{}/logs", slot.environment, slot.service);
    let mut read: BTreeMap<InstanceId, usize> = BTreeMap::new();
    loop {
        let instances: Vec<InstanceId> = client.get(&base).await?;
        for id in instances {
            let offset = read.entry(id).or_default();
            loop {
                let bytes = client.bytes(&format!("{base}/{id}?offset={offset}")).await?;
                if bytes.is_empty() {
                    break;
                }
                *offset += bytes.len();
                ui.raw(&bytes);
            }
        }
        if !options.follow {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
