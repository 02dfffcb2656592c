//! The whole promise on real processes and real traffic, in under a minute, on this machine.
//!
//! The demo is a user of its own binary: it starts `grit serve` as a child, pushes to the hosted
//! repository, approves through the API, loads the edge, kills the controller, and in the end
//! reads the story back from a fresh clone. What it prints it has observed; what it has not
//! observed makes it fail.

mod act;
mod load;
mod report;
mod sequence;
mod shop;
mod world;

use crate::cli::args::Demo;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

use report::Summary;
use world::World;

/// Runs the demo; whatever happens, nothing of it stays unless asked to.
pub async fn run(options: &Demo, ui: &Ui) -> Result<Exit, Failure> {
    let world = World::make(options).await?;
    let played = tokio::select! {
        played = act::play(&world, options, ui) => played,
        () = crate::cli::ended() => {
            Err(Failure::new(Exit::Interrupted, "interrupted", "interrupted"))
        }
    };
    if options.keep {
        ui.status(world.addresses());
        return played.map(|_| Exit::Done);
    }
    let told = match played {
        Ok(played) => act::tell(&world, played, ui).await,
        Err(failure) => Err(failure),
    };
    let left = world.end().await;
    let mut summary = told?;
    summary.judge(options);
    if !left.is_empty() {
        let message = format!("the demo left something behind: {}", left.join(", "));
        return Err(Failure::new(Exit::Failed, "left_over", message));
    }
    Ok(conclude(&summary, options, ui))
}

fn conclude(summary: &Summary, options: &Demo, ui: &Ui) -> Exit {
    ui.data(summary, |summary| report::text(summary, options));
    if summary.missing.is_empty() { Exit::Done } else { Exit::Failed }
}
