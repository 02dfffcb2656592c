//! Where the demo tells what it sees: lines of text, and on a terminal a live table below them.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::load::Record;
use super::table::{self, Look, Scene, Seen};
use super::world::World;
use crate::client::Client;
use crate::exit::Failure;
use crate::ui::Ui;

/// How often the table is drawn, and the control process asked.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// An answer that takes longer is shown as none.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// What rates and latencies are taken from.
const LATE: Duration = Duration::from_secs(2);

enum Told {
    Line(String),
    Act(String),
    Seen(Box<Seen>),
    Away,
    /// The table has no more to show.
    Over,
}

/// Takes what is told.
#[derive(Clone)]
pub struct Screen<'a> {
    ui: &'a Ui,
    /// Where there is a painter.
    told: Option<mpsc::UnboundedSender<Told>>,
}

/// Draws it, until nobody can tell anything more.
pub struct Painter<'a> {
    ui: &'a Ui,
    inbox: Option<mpsc::UnboundedReceiver<Told>>,
    record: Record,
}

/// A screen, and its painter, who shows what `record` counts.
pub fn open(ui: &Ui, record: Record) -> (Screen<'_>, Painter<'_>) {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if !ui.can_redraw() || dumb {
        return (Screen { ui, told: None }, Painter { ui, inbox: None, record });
    }
    let (told, inbox) = mpsc::unbounded_channel();
    (Screen { ui, told: Some(told) }, Painter { ui, inbox: Some(inbox), record })
}

impl Screen<'_> {
    /// A line of the story.
    pub fn say(&self, line: impl std::fmt::Display) {
        match &self.told {
            Some(_) => self.tell(Told::Line(line.to_string())),
            None => self.ui.status(line),
        }
    }

    /// An act begins: its name for the table, and its line of the story.
    pub fn act(&self, number: usize, name: &str, line: &str) {
        self.tell(Told::Act(format!("{number} of 6: {name}")));
        self.say(format!("{number}  {line}"));
    }

    /// The table goes.
    pub fn close_table(&self) {
        self.tell(Told::Over);
    }

    /// Looks at the control process again and again; where nobody draws, it does not look.
    pub async fn watch(&self, world: &World) -> Infallible {
        if self.told.is_none() {
            return std::future::pending().await;
        }
        loop {
            let seen = tokio::time::timeout(ANSWER_MAX, look(&world.lead)).await;
            self.tell(seen.ok().and_then(Result::ok).map_or(Told::Away, Told::Seen));
            tokio::time::sleep(DRAW_EVERY).await;
        }
    }

    fn tell(&self, told: Told) {
        if let Some(painter) = &self.told {
            // A painter that is gone has nobody to show it to.
            let _ = painter.send(told);
        }
    }
}

async fn look(client: &Client) -> Result<Box<Seen>, Failure> {
    let production = super::act::PRODUCTION;
    let path = format!("/api/v1/deployments?service=api&environment={production}&limit=20");
    let deployments = client.get(&path).await?;
    let slots = client.get("/api/v1/slots").await?;
    let runs: Vec<_> = client.get("/api/v1/runs?limit=1").await?;
    Ok(Box::new(Seen { slots, deployments, run: runs.into_iter().next() }))
}

impl Painter<'_> {
    /// Draws until the last screen is dropped, and leaves nothing of the table.
    pub async fn run(self) {
        let Some(mut inbox) = self.inbox else { return };
        let mut canvas = Canvas { ui: self.ui, drawn: 0 };
        canvas.ui.paint(HIDE_CURSOR);
        let began = Instant::now();
        let mut scene = Scene::default();
        let mut over = false;
        let mut tick = tokio::time::interval(DRAW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = inbox.recv() => match told {
                    None => break,
                    Some(Told::Line(line)) => canvas.above(&line),
                    Some(Told::Act(act)) => scene.act = act,
                    Some(Told::Seen(seen)) => (scene.seen, scene.away) = (*seen, false),
                    Some(Told::Away) => scene.away = true,
                    Some(Told::Over) => over = true,
                },
                _ = tick.tick() => {
                    scene.elapsed = began.elapsed();
                    scene.tallies = self.record.tally(LATE);
                }
            }
            let lines = if over { vec![] } else { table::draw(&scene, look_of_terminal()) };
            canvas.draw(&lines);
        }
    }
}

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_LINE: &str = "\x1b[K";

/// The lower end of a terminal; it is given back as it was.
struct Canvas<'a> {
    ui: &'a Ui,
    /// Lines, the cursor being below them.
    drawn: usize,
}

impl Canvas<'_> {
    fn draw(&mut self, lines: &[String]) {
        let mut text = self.back();
        lines.iter().for_each(|line| text.push_str(&format!("{line}{CLEAR_LINE}\n")));
        text.push_str(CLEAR_BELOW);
        self.drawn = lines.len();
        self.ui.paint(&text);
    }

    fn above(&mut self, line: &str) {
        let text = format!("{}{CLEAR_BELOW}{line}\n", self.back());
        self.drawn = 0;
        self.ui.paint(&text);
    }

    /// To where the table begins.
    fn back(&self) -> String {
        if self.drawn == 0 { "\r".to_owned() } else { format!("\r\x1b[{}A", self.drawn) }
    }
}

impl Drop for Canvas<'_> {
    fn drop(&mut self) {
        self.ui.paint(&format!("{}{CLEAR_BELOW}{SHOW_CURSOR}", self.back()));
    }
}

fn look_of_terminal() -> Look {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (width, height) = size.map_or((80, 24), |size| (size.ws_col, size.ws_row));
    let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = said("LC_ALL").or_else(|| said("LC_CTYPE")).or_else(|| said("LANG"));
    let locale = locale.unwrap_or_default().to_lowercase();
    Look {
        width: usize::from(width),
        height: usize::from(height),
        colour: said("NO_COLOR").is_none(),
        unicode: locale.contains("utf-8") || locale.contains("utf8"),
    }
}
