use grit_control::view::DeploymentView;
use serde_json::json;

use super::args::Rollback;
use super::deploy::{line, watch};
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

pub async fn run(options: &Rollback, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let client = place.client()?;
    let body = json!({
        "service": options.service,
        "environment": options.environment,
        "to": options.revision,
    });
    let view: DeploymentView = client.post_once("/deploy/rollback", &body).await?;
    if options.watch {
        return watch(&client, view, ui).await;
    }
    ui.data(&view, |view| format!("{}\n", view.id));
    ui.status(line(&view));
    Ok(Exit::Done)
}
