//! The whole promise on real processes and real traffic, in under a minute, on this machine.
//!
//! The demo is a user of its own binary: it starts `grit serve` as a child, pushes to the hosted
//! repository, approves through the API, loads the edge, kills the controller, and in the end
//! reads the story back from a fresh clone. What it prints it has observed; what it has not
//! observed makes it fail.

mod act;
mod load;
mod report;
mod screen;
mod sequence;
mod shop;
mod table;
mod tell;
mod world;

use crate::cli::args::Demo;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

use load::Record;
use report::Summary;
use screen::Screen;
use world::World;

/// Runs the demo; whatever happens, nothing of it stays unless asked to.
pub async fn run(options: &Demo, ui: &Ui) -> Result<Exit, Failure> {
    // From the first child process on, an interruption must be heard.
    let mut interrupted = std::pin::pin!(crate::cli::ended());
    let _ = futures_util::poll!(&mut interrupted);
    let world = World::make(options).await?;
    let record = Record::default();
    let (screen, painter) = screen::open(ui, record.clone());
    let playing = async move {
        tokio::select! {
            summary = watched(&world, options, &screen, record) => (summary, world),
            () = interrupted => {
                let interrupted = Failure::new(Exit::Interrupted, "interrupted", "interrupted");
                (Err(interrupted), world)
            }
        }
    };
    let ((summary, world), ()) = tokio::join!(playing, painter.run());
    if options.keep {
        let kept = world.keep();
        let mut summary = summary.inspect_err(|_| {
            ui.status(format!("Kept: {}; to end it: {}", kept.folder, kept.end));
        })?;
        summary.kept = Some(kept);
        return Ok(conclude(&summary, ui));
    }
    let left = world.end().await;
    let summary = summary?;
    if !left.is_empty() {
        let message = format!("the demo left something behind: {}", left.join(", "));
        return Err(Failure::new(Exit::Failed, "left_over", message));
    }
    Ok(conclude(&summary, ui))
}

async fn watched(
    world: &World,
    options: &Demo,
    screen: &Screen<'_>,
    record: Record,
) -> Result<Summary, Failure> {
    let played = tokio::select! {
        played = act::play(world, options, screen, record) => played?,
        never = screen.watch(world) => match never {},
    };
    tell::tell(world, played, options, screen).await
}

fn conclude(summary: &Summary, ui: &Ui) -> Exit {
    ui.data(summary, report::text);
    if summary.missing.is_empty() { Exit::Done } else { Exit::Failed }
}
