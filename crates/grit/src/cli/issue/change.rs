use grit_issues::{Command, Link};

use super::args::{AssigneeVerb, Clear, Comment, LabelVerb, LinkVerb, Update};
use super::tracker::{Changed, Tracker, index_failure};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Carries commands out on one issue, and tells what is so now.
pub fn one(id: &str, commands: &[Command], place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    on(&mut Tracker::open(place)?, id, commands, ui)
}

/// The same, where the tracker is open already.
pub fn on(tracker: &mut Tracker, id: &str, commands: &[Command], ui: &Ui) -> Result<Exit, Failure> {
    let changed = tracker.change(id, commands)?;
    tell(std::slice::from_ref(&changed), ui);
    ui.data(&changed, |changed| format!("{}\n", changed.id));
    Ok(Exit::Done)
}

fn tell(changed: &[Changed], ui: &Ui) {
    for changed in changed {
        for already in &changed.already {
            ui.status(format!("{}: {already}", changed.id.short()));
        }
    }
}

pub fn comment(options: &Comment, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let body = options.body.clone().unwrap_or_default();
    let command = match (&options.edit, &options.delete) {
        (Some(comment), _) => Command::EditComment { comment: comment.clone(), body },
        (None, Some(comment)) => Command::DeleteComment { comment: comment.clone() },
        (None, None) => Command::Comment(body),
    };
    one(&options.id, &[command], place, ui)
}

pub fn label(verb: &LabelVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let (id, commands): (_, Vec<Command>) = match verb {
        LabelVerb::Add { id, labels } => {
            (id, labels.iter().cloned().map(Command::AddLabel).collect())
        }
        LabelVerb::Remove { id, labels } => {
            (id, labels.iter().cloned().map(Command::RemoveLabel).collect())
        }
    };
    one(id, &commands, place, ui)
}

pub fn assignee(verb: &AssigneeVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let (id, commands): (_, Vec<Command>) = match verb {
        AssigneeVerb::Add { id, users } => {
            (id, users.iter().cloned().map(Command::Assign).collect())
        }
        AssigneeVerb::Remove { id, users } => {
            (id, users.iter().cloned().map(Command::Unassign).collect())
        }
    };
    one(id, &commands, place, ui)
}

pub fn link(verb: &LinkVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let (id, command) = match verb {
        LinkVerb::Add { id, url, title } => {
            (id, Command::AddLink(Link { url: url.clone(), title: title.clone() }))
        }
        LinkVerb::Remove { id, url } => (id, Command::RemoveLink { url: url.clone() }),
    };
    one(id, &[command], place, ui)
}

/// Of one, or of all that a query finds.
pub fn update(options: &Update, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let commands = commands(options);
    if commands.is_empty() {
        let message = "nothing to change was given";
        let hint = "`grit issue update --help` lists what can be changed";
        return Err(Failure::new(Exit::Usage, "usage", message).hint(hint));
    }
    let Some(query) = &options.query else {
        return one(options.id.as_deref().unwrap_or_default(), &commands, place, ui);
    };
    let mut tracker = Tracker::open(place)?;
    let query = tracker.query(query)?;
    let ids = tracker.index().ids(&query, tracker.now(), None).map_err(index_failure)?;
    let changed = tracker.change_each(&ids, &commands)?;
    tell(&changed, ui);
    ui.status(format!("{} issues", changed.len()));
    ui.data(&changed, |changed| changed.iter().map(|one| format!("{}\n", one.id)).collect());
    Ok(Exit::Done)
}

fn commands(options: &Update) -> Vec<Command> {
    let mut commands = Vec::new();
    commands.extend(options.title.clone().map(Command::Retitle));
    commands.extend(options.body.clone().map(Command::EditBody));
    commands.extend(options.milestone.clone().map(|name| Command::SetMilestone(Some(name))));
    commands.extend(options.priority.map(|priority| Command::SetPriority(Some(priority))));
    commands.extend(options.due.map(|due| Command::SetDue(Some(due))));
    commands.extend(options.clear.iter().map(|clear| match clear {
        Clear::Milestone => Command::SetMilestone(None),
        Clear::Priority => Command::SetPriority(None),
        Clear::Due => Command::SetDue(None),
    }));
    commands.extend(options.add_labels.iter().cloned().map(Command::AddLabel));
    commands.extend(options.remove_labels.iter().cloned().map(Command::RemoveLabel));
    commands.extend(options.assign.iter().cloned().map(Command::Assign));
    commands.extend(options.close.then(|| Command::Close { reason: String::new() }));
    commands.extend(options.reopen.then_some(Command::Reopen));
    commands
}
