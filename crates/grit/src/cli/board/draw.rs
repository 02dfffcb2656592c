//! The board as cells. Everything that people wrote goes through `shown`.

use grit_issues::{Issue, shown, shown_block};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::columns::{Column, marks};
use super::state::{Board, Mode};

/// Narrower columns say nothing: as many are shown as fit, around the chosen one.
const COLUMN_WIDTH_MIN: u16 = 24;
/// Lines of a card.
const CARD_HEIGHT: usize = 2;

const HELP: &str = "\
h j k l, arrows   move between columns and cards
H L, < >          carry the card to the next column
Enter             open the card; Esc closes it
/                 other issues: a query, as `grit issue search` takes it
c                 comment
t                 label; -label takes it off
a                 assign; -name takes it off
x                 close, or reopen
r                 look for what is new
q                 quit";

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Colour alone never says anything: what is chosen is turned around.
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

pub fn draw(board: &mut Board, frame: &mut Frame<'_>) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    let query = if board.query.is_empty() { "all issues" } else { &board.query };
    let line = format!("grit board: {} ({})", shown(query, 200), board.issues.len());
    frame.render_widget(Line::styled(line, BOLD), head);
    match board.mode.clone() {
        Mode::Card { issue, line } => card(board, &issue, line, body, frame),
        Mode::Typing { before, .. } if matches!(*before, Mode::Card { .. }) => {
            if let Mode::Card { issue, line } = *before {
                card(board, &issue, line, body, frame);
            }
        }
        _ => columns(board, body, frame),
    }
    if board.mode == Mode::Help {
        help(body, frame);
    }
    foot_line(board, foot, frame);
}

fn foot_line(board: &Board, area: Rect, frame: &mut Frame<'_>) {
    let Mode::Typing { what, text, .. } = &board.mode else {
        frame.render_widget(Line::raw(shown(&board.told, usize::from(area.width))), area);
        return;
    };
    let prompt = format!("{}: ", what.prompt());
    // The end of what is typed is what is being typed.
    let room = usize::from(area.width).saturating_sub(prompt.chars().count() + 1);
    let skipped = text.chars().count().saturating_sub(room);
    let tail: String = text.chars().skip(skipped).collect();
    let line = format!("{prompt}{}", shown(&tail, room));
    let column = u16::try_from(Line::raw(line.as_str()).width()).unwrap_or(u16::MAX);
    frame.set_cursor_position((area.x.saturating_add(column).min(area.right()), area.y));
    frame.render_widget(Line::raw(line), area);
}

fn columns(board: &Board, area: Rect, frame: &mut Frame<'_>) {
    let fit = usize::from((area.width / COLUMN_WIDTH_MIN).max(1)).min(board.columns.len().max(1));
    let first = board.column.saturating_sub(fit - 1).min(board.columns.len().saturating_sub(fit));
    let areas = Layout::horizontal(vec![Constraint::Fill(1); fit]).split(area);
    for (offset, area) in areas.iter().enumerate() {
        let at = first + offset;
        let Some(column) = board.columns.get(at) else { continue };
        let row = (at == board.column).then(|| board.rows[at]);
        one_column(board, column, row, *area, frame);
    }
}

fn one_column(
    board: &Board,
    column: &Column,
    row: Option<usize>,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let width = usize::from(area.width.saturating_sub(2));
    let title =
        format!(" {} ({}) ", shown(&column.name, width.saturating_sub(8)), column.cards.len());
    let mut block = Block::bordered().title(title);
    if row.is_some() {
        block = block.border_style(BOLD);
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let fit = (usize::from(inner.height) / CARD_HEIGHT).max(1);
    let first = row.unwrap_or(0).saturating_sub(fit - 1);
    let mut lines = Vec::new();
    for (at, id) in column.cards.iter().enumerate().skip(first).take(fit) {
        let Some(issue) = board.issues.get(id) else { continue };
        let style = if row == Some(at) { CHOSEN } else { Style::new() };
        lines.push(Line::styled(padded(&shown(&issue.title, width), width), style));
        let below = format!("{} {}", issue.id.short(), marks(issue));
        lines.push(Line::styled(shown(&below, width), Style::new().add_modifier(Modifier::DIM)));
    }
    frame.render_widget(Text::from(lines), inner);
}

/// To the end of its column, so that the whole line is turned around.
fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn card(
    board: &mut Board,
    id: &grit_types::IssueId,
    line: usize,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let Some(issue) = board.issues.get(id) else { return };
    let width = usize::from(area.width.saturating_sub(2));
    let title = format!(" {} ", shown(&issue.title, width.saturating_sub(2)));
    let block = Block::bordered().title(title).border_style(BOLD);
    let height = usize::from(block.inner(area).height);
    let text = Text::from(text_of(issue));
    // Wrapping makes more lines than there are: as many as fill the width are counted.
    let lines: usize = text.iter().map(|one| one.width().div_ceil(width.max(1)).max(1)).sum();
    let line = line.min(lines.saturating_sub(height));
    if let Mode::Card { line: at, .. } = &mut board.mode {
        *at = line;
    }
    let scroll = (u16::try_from(line).unwrap_or(u16::MAX), 0);
    let paragraph = Paragraph::new(text).block(block).wrap(Wrap { trim: false }).scroll(scroll);
    frame.render_widget(paragraph, area);
}

fn text_of(issue: &Issue) -> String {
    let mut text = format!("{}, by {} at {}\n", issue.state, issue.author, issue.created_at);
    let marks = marks(issue);
    if !marks.is_empty() {
        text.push_str(&format!("{marks}\n"));
    }
    if let Some(milestone) = &issue.milestone {
        text.push_str(&format!("milestone: {}\n", shown(milestone, 200)));
    }
    let reason = issue.closed.as_ref().map(|closed| closed.reason.as_str()).unwrap_or_default();
    if !reason.is_empty() {
        text.push_str(&format!("closed: {}\n", shown(reason, 200)));
    }
    text.push_str(&format!("\n{}\n", block(&issue.body)));
    for comment in &issue.comments {
        let (author, at) = (&comment.author, comment.at);
        text.push_str(&format!("\n{author} at {at}:\n{}\n", block(&comment.body)));
    }
    text
}

/// A tab has no width of its own in a cell.
fn block(text: &str) -> String {
    shown_block(text.trim_end()).replace('\t', "    ")
}

fn help(area: Rect, frame: &mut Frame<'_>) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let height = lines.saturating_add(2).min(area.height);
    let width = 76.min(area.width);
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), area);
}
