use std::collections::BTreeSet;

use grit_issues::{Command, Draft, Event, Issue, Issues};
use grit_ledger::{Hlc, split};
use grit_types::{Actor, Tenant};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::columns::{By, columns};
use super::draw::draw;
use super::state::{Board, Key, Mode, Wish};

fn issues(all: &[(&str, &[&str], bool)]) -> Vec<Issue> {
    let mut events = Vec::new();
    let mut push = |payload: &Event| {
        let (kind, data) = split(payload).unwrap();
        let hlc = Hlc { millis: 1_767_323_045_000 + 1_000 * events.len() as i64, count: 0 };
        let (tenant, repo) = (Tenant::local(), "shop".parse().unwrap());
        let actor = Actor::new("tess".parse().unwrap(), "cli");
        let subject = "issue".to_owned();
        let event =
            grit_ledger::Event { kind, tenant, repo, subject, actor, hlc, cause: None, data };
        let id = event.id();
        events.push(event);
        id
    };
    for (title, labels, is_closed) in all {
        let labels: BTreeSet<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let draft = Draft { title: (*title).to_owned(), labels, ..Draft::default() };
        let issue = push(&Event::Created(draft));
        if *is_closed {
            let (reason, replaces) = (String::new(), [issue.clone()].into());
            push(&Event::Closed { issue, reason, replaces, imported: None });
        }
    }
    Issues::fold(&events).all().cloned().collect()
}

fn board(by: By) -> Board {
    let all = issues(&[
        ("It leaks\u{1b}[2J", &["bug", "status:doing"], false),
        ("Another", &["status:review"], false),
        ("A third", &[], false),
        ("Over", &["status:doing"], true),
    ]);
    Board::new(by, String::new(), &all.iter().collect::<Vec<_>>())
}

fn screen(board: &mut Board) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 10)).unwrap();
    terminal.draw(|frame| draw(board, frame)).unwrap();
    terminal.backend().to_string()
}

fn press(board: &mut Board, keys: &str) -> Vec<Wish> {
    keys.chars()
        .filter_map(|c| board.press(if c == '\n' { Key::Enter } else { Key::Char(c) }))
        .collect()
}

#[test]
fn status_labels_are_the_columns_where_there_are_any() {
    let names = |by: By| -> Vec<String> {
        let board = board(by);
        board.columns.iter().map(|one| format!("{} {}", one.name, one.cards.len())).collect()
    };
    assert_eq!(names(By::Auto), ["open, no label 1", "doing 1", "review 1", "closed 1"]);
    assert_eq!(names(By::State), ["open 3", "closed 1"]);
    assert_eq!(names(By::Assignee), ["nobody 4"]);
    assert_eq!(names(By::Priority)[4], "no priority 4");
    let plain = issues(&[("One", &[], false)]);
    let plain: Vec<&Issue> = plain.iter().collect();
    assert_eq!(columns(&plain, &By::Auto).len(), 2);
}

#[test]
fn the_board_is_drawn() {
    let mut board = board(By::Auto);
    press(&mut board, "l");
    insta::assert_snapshot!(screen(&mut board), @r#"
    "grit board: all issues (4)                                                      "
    "┌ open, no label (1) ─────┐┌ doing (1) ─────────────┐┌ review (1) ─────────────┐"
    "│A third                  ││It leaks\u{1b}[2J       ││Another                  │"
    "│djbisscn                 ││g3wqexk6 bug status:doi…││l6mjhv62 status:review   │"
    "│                         ││                        ││                         │"
    "│                         ││                        ││                         │"
    "│                         ││                        ││                         │"
    "│                         ││                        ││                         │"
    "└─────────────────────────┘└────────────────────────┘└─────────────────────────┘"
    "? helps                                                                         "
    "#);
    press(&mut board, "\n");
    let card = screen(&mut board);
    assert!(card.contains("open, by tess at 2026-01-02T03:04:05.000Z"), "{card}");
    assert!(!card.contains('\u{1b}'), "nothing that people wrote moves the cursor");
}

#[test]
fn a_card_that_is_carried_changes_its_labels_and_its_state() {
    let mut board = board(By::Auto);
    let carried = |wishes: Vec<Wish>| match wishes.as_slice() {
        [Wish::Change { commands, .. }] => commands.clone(),
        other => panic!("{other:?}"),
    };
    press(&mut board, "l");
    let commands = carried(press(&mut board, "L"));
    let (doing, review) = ("status:doing".to_owned(), "status:review".to_owned());
    assert_eq!(commands, [Command::RemoveLabel(doing), Command::AddLabel(review.clone())]);
    assert_eq!(board.columns[board.column].name, "review", "it is followed");
    let commands = carried(press(&mut board, ">"));
    assert_eq!(commands, [Command::Close { reason: String::new() }]);
    let commands = carried(press(&mut board, "H"));
    assert_eq!(commands.last(), Some(&Command::AddLabel(review)));
    press(&mut board, "hhh");
    assert_eq!(press(&mut board, "<"), [], "there is nothing before the first");
}

#[test]
fn what_is_typed_becomes_a_wish_or_is_left() {
    let mut board = board(By::State);
    let id = board.chosen().unwrap().id.clone();
    let wish = |command| Wish::Change { issue: id.clone(), commands: vec![command] };
    assert_eq!(press(&mut board, "chello q\n"), [wish(Command::Comment("hello q".into()))]);
    assert_eq!(press(&mut board, "t-bug\n"), [wish(Command::RemoveLabel("bug".into()))]);
    assert_eq!(press(&mut board, "abob\n"), [wish(Command::Assign("bob".parse().unwrap()))]);
    assert_eq!(press(&mut board, "xfixed\n"), [wish(Command::Close { reason: "fixed".into() })]);
    assert_eq!(press(&mut board, "ano one\n"), []);
    assert!(board.told.contains("is no name"));
    assert_eq!(press(&mut board, "/is:open\n"), [Wish::Search("is:open".into())]);
    press(&mut board, "cnever");
    assert_eq!(board.press(Key::Escape), None);
    assert_eq!(board.mode, Mode::Board);
    assert_eq!(press(&mut board, "?q"), [], "a key closes the help");
    assert_eq!(press(&mut board, "q"), [Wish::Quit]);
}

#[test]
fn the_chosen_card_stays_chosen_when_others_come_and_go() {
    let mut board = board(By::State);
    press(&mut board, "j");
    let id = board.chosen().unwrap().id.clone();
    let mut rest: Vec<Issue> = board.issues.values().cloned().collect();
    rest.retain(|issue| issue.title != "A third");
    board.show(&rest.iter().collect::<Vec<_>>());
    assert_eq!(board.chosen().unwrap().id, id);
    board.show(&[]);
    assert_eq!(board.chosen(), None);
    for key in "jkhlHL\nctxa".chars() {
        assert_eq!(press(&mut board, &key.to_string()), []);
    }
    screen(&mut board);
}
