//! The terminal: what is drawn on it, what comes from it, and that it is given back as it was.

use std::io::{IsTerminal, Stdout};
use std::time::Duration;

use grit_ledger::Ledger;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};

use super::args::Board as Options;
use super::draw::draw;
use super::state::{Board, Key, Wish};
use crate::cli::issue::tracker::{Tracker, index_failure};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};

/// How often the ledger is looked at while nothing is typed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keys come from standard input; without a terminal there none ever would.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// Until somebody quits. A signal ends it too, with the terminal as it was.
pub async fn run(options: &Options, tracker: Tracker, place: &Place) -> Result<Exit, Failure> {
    let found = super::found(&tracker, &options.query)?;
    let all: Vec<_> = found.iter().collect();
    let board = Board::new(options.by.clone(), options.query.clone(), &all);
    let heads = heads(place)?;
    let mut session = Session { tracker, place, board, heads };
    let mut signals = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()] {
        let failed = |error| Failure::because("signals cannot be received", &error);
        signals.push(signal(kind).map_err(failed)?);
    }
    let failed = |error: std::io::Error| Failure::because("the terminal cannot be used", &error);
    // Gives the terminal back also when somebody panics.
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let ended = session.follow(&mut terminal, &mut signals).await;
    ratatui::restore();
    ended
}

struct Session<'a> {
    tracker: Tracker,
    place: &'a Place,
    board: Board,
    /// Where the lanes ended when they were last read.
    heads: Vec<grit_ledger::Head>,
}

type Screen = Terminal<CrosstermBackend<Stdout>>;

impl Session<'_> {
    async fn follow(
        &mut self,
        terminal: &mut Screen,
        signals: &mut [tokio::signal::unix::Signal],
    ) -> Result<Exit, Failure> {
        let failed = |error: std::io::Error| Failure::because("the terminal is gone", &error);
        loop {
            terminal.draw(|frame| draw(&mut self.board, frame)).map_err(failed)?;
            let is_typed =
                tokio::task::block_in_place(|| event::poll(LOOK_EVERY)).map_err(failed)?;
            if is_asked_to_end(signals).await {
                return Ok(Exit::Interrupted);
            }
            if !is_typed {
                self.look()?;
                continue;
            }
            let Event::Key(pressed) = event::read().map_err(failed)? else { continue };
            let Some(key) = key(&pressed) else { continue };
            match self.board.press(key) {
                Some(Wish::Quit) => return Ok(Exit::Done),
                Some(wish) => self.fulfil(wish),
                None => {}
            }
        }
    }

    /// What is refused is told, and the board goes on.
    fn fulfil(&mut self, wish: Wish) {
        let done = match wish {
            Wish::Quit => Ok(String::new()),
            Wish::Refresh => Ok("as it is now".to_owned()),
            Wish::Search(query) => self.tracker.query(&query).map(|_| {
                self.board.query = query;
                String::new()
            }),
            Wish::Change { issue, commands } => {
                self.tracker.change(issue.as_str(), &commands).map(|changed| {
                    let already = changed.already.join(", ");
                    if already.is_empty() { format!("{}: done", issue.short()) } else { already }
                })
            }
        };
        let told = done.and_then(|told| self.reread().map(|()| told));
        self.board.told = told.unwrap_or_else(|failure| failure.message);
    }

    /// Somebody else may have written, or fetched.
    fn look(&mut self) -> Result<(), Failure> {
        if heads(self.place)? == self.heads { Ok(()) } else { self.reread() }
    }

    fn reread(&mut self) -> Result<(), Failure> {
        self.heads = heads(self.place)?;
        self.tracker.index().refresh().map_err(index_failure)?;
        let found = super::found(&self.tracker, &self.board.query)?;
        self.board.show(&found.iter().collect::<Vec<_>>());
        Ok(())
    }
}

fn heads(place: &Place) -> Result<Vec<grit_ledger::Head>, Failure> {
    let failed = |error| Failure::because("the ledger cannot be read", &error);
    place.ledger()?.heads().map_err(failed)
}

async fn is_asked_to_end(signals: &mut [tokio::signal::unix::Signal]) -> bool {
    for signal in signals {
        tokio::select! {
            biased;
            _ = signal.recv() => return true,
            () = std::future::ready(()) => {}
        }
    }
    false
}

fn key(pressed: &KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c' | 'd') if control => Key::Interrupt,
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
