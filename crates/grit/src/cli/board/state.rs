//! The board as keys change it. Nothing here touches anything: what is wished for comes out.

use std::collections::BTreeMap;

use grit_issues::{Command, Issue, State};
use grit_types::{IssueId, Principal};

use super::columns::{By, Column, Place, columns, moving};

/// A key, whatever terminal it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Left,
    Right,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C and Ctrl-D.
    Interrupt,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Quit,
    /// Ask for other issues.
    Search(String),
    Change {
        issue: IssueId,
        commands: Vec<Command>,
    },
    Refresh,
}

/// What is on top of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Board,
    /// A card, and the first line of it that shows.
    Card {
        issue: IssueId,
        line: usize,
    },
    Help,
    /// A line that is being typed.
    Typing {
        what: Typing,
        text: String,
        before: Box<Mode>,
    },
}

/// What is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    Query,
    Comment,
    Label,
    Assignee,
    Reason,
}

impl Typing {
    /// What stands before the line.
    pub fn prompt(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Comment => "comment",
            Self::Label => "label (-label takes it off)",
            Self::Assignee => "assign (-name takes it off)",
            Self::Reason => "close because",
        }
    }
}

/// Longest line that can be typed, in characters.
const TYPED_MAX: usize = 10_000;

/// All that is shown.
#[derive(Clone, Debug)]
pub struct Board {
    pub by: By,
    pub query: String,
    pub issues: BTreeMap<IssueId, Issue>,
    pub columns: Vec<Column>,
    pub column: usize,
    /// The card of each column.
    pub rows: Vec<usize>,
    pub mode: Mode,
    /// What happened last, for people.
    pub told: String,
}

impl Board {
    pub fn new(by: By, query: String, found: &[&Issue]) -> Self {
        let mut board = Self {
            by,
            query,
            issues: BTreeMap::new(),
            columns: Vec::new(),
            column: 0,
            rows: Vec::new(),
            mode: Mode::Board,
            told: "? helps".to_owned(),
        };
        board.show(found);
        board
    }

    /// Shows these; the same card stays chosen where it is still there.
    pub fn show(&mut self, found: &[&Issue]) {
        let chosen = self.chosen().map(|issue| issue.id.clone());
        let place = self.columns.get(self.column).map(|column| column.place.clone());
        self.issues = found.iter().map(|issue| (issue.id.clone(), (*issue).clone())).collect();
        self.columns = columns(found, &self.by);
        self.rows.resize(self.columns.len(), 0);
        let same = self.columns.iter().position(|column| Some(&column.place) == place.as_ref());
        self.column = same.unwrap_or(self.column).min(self.columns.len().saturating_sub(1));
        if let Some(id) = chosen {
            self.choose(&id);
        }
        for (row, column) in self.rows.iter_mut().zip(&self.columns) {
            *row = (*row).min(column.cards.len().saturating_sub(1));
        }
        if let Mode::Card { issue, .. } = &self.mode
            && !self.issues.contains_key(issue)
        {
            self.mode = Mode::Board;
        }
    }

    /// In the column where one is if it is there, else wherever it went.
    fn choose(&mut self, id: &IssueId) {
        let here = self.column;
        let order = std::iter::once(here).chain((0..self.columns.len()).filter(|at| *at != here));
        for at in order {
            if let Some(row) = self.columns[at].cards.iter().position(|card| card == id) {
                (self.column, self.rows[at]) = (at, row);
                return;
            }
        }
    }

    /// The card that is chosen.
    pub fn chosen(&self) -> Option<&Issue> {
        let column = self.columns.get(self.column)?;
        self.issues.get(column.cards.get(*self.rows.get(self.column)?)?)
    }

    /// The issue that a change would be about.
    fn subject(&self) -> Option<&Issue> {
        match &self.mode {
            Mode::Card { issue, .. } => self.issues.get(issue),
            _ => self.chosen(),
        }
    }

    /// Takes a key; what it asks for.
    pub fn press(&mut self, key: Key) -> Option<Wish> {
        if key == Key::Interrupt {
            return Some(Wish::Quit);
        }
        match self.mode.clone() {
            Mode::Typing { what, text, before } => self.typing(key, what, text, *before),
            Mode::Help => {
                self.mode = Mode::Board;
                None
            }
            Mode::Card { issue, line } => self.card(key, issue, line),
            Mode::Board => self.board(key),
        }
    }

    fn board(&mut self, key: Key) -> Option<Wish> {
        let last = self.columns.get(self.column).map_or(0, |column| column.cards.len());
        let last = last.saturating_sub(1);
        let row = self.rows.get(self.column).copied().unwrap_or(0);
        let mut to = |row: usize| {
            if let Some(at) = self.rows.get_mut(self.column) {
                *at = row.min(last);
            }
        };
        match key {
            Key::Up | Key::Char('k') => to(row.saturating_sub(1)),
            Key::Down | Key::Char('j') => to(row + 1),
            Key::PageUp => to(row.saturating_sub(10)),
            Key::PageDown => to(row + 10),
            Key::Home | Key::Char('g') => to(0),
            Key::End | Key::Char('G') => to(last),
            Key::Left | Key::Char('h') => self.column = self.column.saturating_sub(1),
            Key::Right | Key::Char('l') => {
                self.column = (self.column + 1).min(self.columns.len().saturating_sub(1));
            }
            Key::Char('H' | '<') => return self.carry(self.column.checked_sub(1)),
            Key::Char('L' | '>') => return self.carry(Some(self.column + 1)),
            Key::Enter => {
                let issue = self.chosen()?.id.clone();
                self.mode = Mode::Card { issue, line: 0 };
            }
            other => return self.change(other),
        }
        None
    }

    fn card(&mut self, key: Key, issue: IssueId, line: usize) -> Option<Wish> {
        let mut to = |line: usize| self.mode = Mode::Card { issue: issue.clone(), line };
        match key {
            Key::Up | Key::Char('k') => to(line.saturating_sub(1)),
            // How many lines there are follows from the width: who draws stops at the end.
            Key::Down | Key::Char('j') => to(line + 1),
            Key::PageUp => to(line.saturating_sub(10)),
            Key::PageDown | Key::Char(' ') => to(line + 10),
            Key::Home | Key::Char('g') => to(0),
            Key::Escape | Key::Char('q' | 'h') | Key::Left | Key::Enter => self.mode = Mode::Board,
            other => return self.change(other),
        }
        None
    }

    /// What is the same on the board and on a card.
    fn change(&mut self, key: Key) -> Option<Wish> {
        match key {
            Key::Char('q') | Key::Escape => Some(Wish::Quit),
            Key::Char('r') => Some(Wish::Refresh),
            Key::Char('?') => {
                self.mode = Mode::Help;
                None
            }
            Key::Char('/') => self.ask(Typing::Query, self.query.clone()),
            Key::Char('c') => self.ask_of_one(Typing::Comment),
            Key::Char('t') => self.ask_of_one(Typing::Label),
            Key::Char('a') => self.ask_of_one(Typing::Assignee),
            Key::Char('x') => {
                let issue = self.subject()?;
                match issue.state {
                    State::Open => self.ask(Typing::Reason, String::new()),
                    State::Closed => {
                        let (issue, commands) = (issue.id.clone(), vec![Command::Reopen]);
                        Some(Wish::Change { issue, commands })
                    }
                }
            }
            _ => None,
        }
    }

    fn ask_of_one(&mut self, what: Typing) -> Option<Wish> {
        self.subject()?;
        self.ask(what, String::new())
    }

    fn ask(&mut self, what: Typing, text: String) -> Option<Wish> {
        let before = Box::new(self.mode.clone());
        self.mode = Mode::Typing { what, text, before };
        None
    }

    fn carry(&mut self, to: Option<usize>) -> Option<Wish> {
        let (from, to) = (self.columns.get(self.column)?, self.columns.get(to?)?);
        let issue = self.chosen()?;
        let commands = moving(issue, &from.place, &to.place);
        let to = to.place.clone();
        let issue = issue.id.clone();
        // It is followed to where it goes.
        self.follow(&to);
        Some(Wish::Change { issue, commands })
    }

    fn follow(&mut self, to: &Place) {
        let chosen = self.chosen().map(|issue| issue.id.clone());
        let Some(at) = self.columns.iter().position(|column| column.place == *to) else { return };
        if let Some(id) = chosen {
            // Put there at once, so that the next look finds it where it will be.
            let from = self.column;
            self.columns[from].cards.retain(|card| *card != id);
            let row = self.columns[at].cards.len();
            self.columns[at].cards.push(id);
            (self.column, self.rows[at]) = (at, row);
        }
    }

    fn typing(&mut self, key: Key, what: Typing, mut text: String, before: Mode) -> Option<Wish> {
        match key {
            Key::Escape => {
                self.mode = before;
                return None;
            }
            Key::Enter => {
                self.mode = before;
                return self.typed(what, text.trim());
            }
            Key::Backspace => drop(text.pop()),
            Key::Char(c) if text.chars().count() < TYPED_MAX => text.push(c),
            _ => {}
        }
        self.mode = Mode::Typing { what, text, before: Box::new(before) };
        None
    }

    fn typed(&mut self, what: Typing, text: &str) -> Option<Wish> {
        if what == Typing::Query {
            return Some(Wish::Search(text.to_owned()));
        }
        let issue = self.subject()?.id.clone();
        let (takes_off, name) = match text.strip_prefix('-') {
            Some(name) => (true, name.to_owned()),
            None => (false, text.to_owned()),
        };
        let command = match what {
            Typing::Reason => Command::Close { reason: text.to_owned() },
            _ if text.is_empty() => return None,
            Typing::Comment => Command::Comment(text.to_owned()),
            Typing::Label if takes_off => Command::RemoveLabel(name),
            Typing::Label => Command::AddLabel(name),
            Typing::Assignee | Typing::Query => {
                let Ok(who) = name.parse::<Principal>() else {
                    self.told = format!("`{}` is no name", grit_issues::shown(&name, 40));
                    return None;
                };
                if takes_off { Command::Unassign(who) } else { Command::Assign(who) }
            }
        };
        Some(Wish::Change { issue, commands: vec![command] })
    }
}
