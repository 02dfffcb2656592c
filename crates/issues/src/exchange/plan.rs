use std::collections::BTreeMap;

use grit_types::{EventId, IssueId};

use super::{Foreign, ForeignComment, ImportError};
use crate::command::{Command, Refusal, create, decide};
use crate::depend::Dependencies;
use crate::event::{Draft, Event, Imported};
use crate::input;
use crate::issue::{Issue, State};
use crate::issues::Issues;
use crate::record::Record;
use crate::value::Dependency;

/// What acted for whoever imported: the beginning of an event's `via`.
pub const VIA: &str = "import/";

/// What has to be appended so that everything found is here, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub events: Vec<grit_ledger::Event>,
    pub issues: Vec<Planned>,
    /// What was left out, in words for people.
    pub left_out: Vec<String>,
}

/// What becomes of one issue that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub key: String,
    pub id: IssueId,
    pub is_new: bool,
    /// How many events it takes; 0 where nothing is new.
    pub events: usize,
}

/// Plans an import into `here`.
///
/// `before` is what imports alone had made of the issues (the fold of the events whose `via` begins
/// with [`VIA`]): what is there as it was then did not change over there, and leaves alone what
/// people made of it here. `stamp` gives an event its actor and its time.
///
/// Nothing is planned of what was planned before; where something cannot be taken in, nothing is.
pub fn plan(
    found: &[Foreign],
    here: &Issues,
    before: &Issues,
    stamp: &mut dyn FnMut(&Event) -> grit_ledger::Event,
) -> Result<Plan, ImportError> {
    let mut ids = known(here);
    let mut planning = Planning { here, before, stamp, plan: Plan::default() };
    for foreign in found {
        let refused = |source| ImportError::Refused { key: foreign.key.clone(), source };
        let planned = match ids.get(&foreign.key) {
            Some(id) => planning.change(foreign, &id.clone()).map_err(refused)?,
            None => planning.create(foreign).map_err(refused)?,
        };
        ids.insert(foreign.key.clone(), planned.id.clone());
        planning.plan.issues.push(planned);
    }
    planning.depend(found, &ids);
    Ok(planning.plan)
}

/// The issues that are here by what they are called elsewhere.
fn known(here: &Issues) -> BTreeMap<String, IssueId> {
    let mut ids = BTreeMap::new();
    // Two clones may have imported the same without knowing of each other: the earlier is meant.
    for issue in here.all() {
        ids.insert(super::markdown::own_key(issue), issue.id.clone());
        ids.extend(issue.key.iter().map(|key| (key.clone(), issue.id.clone())));
    }
    for issue in here.all() {
        ids.extend(issue.imported.iter().map(|one| (one.key.clone(), issue.id.clone())));
    }
    ids
}

struct Planning<'a> {
    here: &'a Issues,
    before: &'a Issues,
    stamp: &'a mut dyn FnMut(&Event) -> grit_ledger::Event,
    plan: Plan,
}

impl Planning<'_> {
    fn push(&mut self, event: &Event) -> grit_ledger::Event {
        let stamped = (self.stamp)(event);
        self.plan.events.push(stamped.clone());
        stamped
    }

    fn create(&mut self, foreign: &Foreign) -> Result<Planned, Refusal> {
        let first = self.plan.events.len();
        let draft = draft(foreign);
        // By its key it is not here: that is why it is created.
        create(draft.clone(), None)?;
        let created = Event::Created(draft);
        let stamped = self.push(&created);
        let id = stamped.id();
        let mut record = Record::new(id.clone());
        record.apply(&id, &stamped, created);
        for link in &foreign.links {
            let link = link.clone();
            if input::link(&link).is_ok() {
                self.push(&Event::LinkAdded { issue: id.clone(), link });
            }
        }
        for comment in &foreign.comments {
            self.say(&id, comment)?;
        }
        if foreign.state == State::Closed {
            self.decided(foreign, &record, &[close(foreign)])?;
        }
        let (key, events) = (foreign.key.clone(), self.plan.events.len() - first);
        Ok(Planned { key, id, is_new: true, events })
    }

    fn say(&mut self, issue: &IssueId, comment: &ForeignComment) -> Result<(), Refusal> {
        if comment.body.trim().is_empty() {
            return Ok(());
        }
        input::said(&comment.body)?;
        let ForeignComment { key, author, at, body } = comment.clone();
        let imported = Some(Imported { key, by: author, at });
        self.push(&Event::Commented { issue: issue.clone(), body, imported });
        Ok(())
    }

    fn change(&mut self, foreign: &Foreign, id: &IssueId) -> Result<Planned, Refusal> {
        let first = self.plan.events.len();
        // Found by its id here, so both are.
        if let (Some(issue), Some(record)) = (self.here.get(id), self.here.record(id)) {
            let base = self.before.get(id).unwrap_or(issue);
            let commands = changes(foreign, base);
            self.decided(foreign, record, &commands)?;
            for comment in &foreign.comments {
                self.comment(comment, base, issue, record)?;
            }
        }
        let (key, events) = (foreign.key.clone(), self.plan.events.len() - first);
        Ok(Planned { key, id: id.clone(), is_new: false, events })
    }

    fn comment(
        &mut self,
        comment: &ForeignComment,
        base: &Issue,
        issue: &Issue,
        record: &Record,
    ) -> Result<(), Refusal> {
        let known = comment_of(base, &comment.key).or_else(|| comment_of(issue, &comment.key));
        let Some((id, body)) = known else { return self.say(&issue.id, comment) };
        let is_here = issue.comments.iter().any(|one| one.id == id);
        if body == comment.body || comment.body.trim().is_empty() || !is_here {
            return Ok(());
        }
        let edit = Command::EditComment { comment: id.to_string(), body: comment.body.clone() };
        self.push_decided(record, &[edit], None)
    }

    fn decided(
        &mut self,
        foreign: &Foreign,
        record: &Record,
        commands: &[Command],
    ) -> Result<(), Refusal> {
        let imported = foreign.closed.as_ref().map(|closed| Imported {
            key: foreign.key.clone(),
            by: closed.by.clone(),
            at: closed.at,
        });
        self.push_decided(record, commands, imported)
    }

    fn push_decided(
        &mut self,
        record: &Record,
        commands: &[Command],
        closed: Option<Imported>,
    ) -> Result<(), Refusal> {
        // None of the commands is about a dependency.
        for mut event in decide(record, commands, &Dependencies::default())?.events {
            if let Event::Closed { imported, .. } = &mut event {
                imported.clone_from(&closed);
            }
            self.push(&event);
        }
        Ok(())
    }

    /// When all issues are known. What would close a circle is left out and told.
    fn depend(&mut self, found: &[Foreign], ids: &BTreeMap<String, IssueId>) {
        let mut all = self.here.dependencies();
        for foreign in found {
            let Some(issue) = ids.get(&foreign.key) else { continue };
            for (kind, key) in &foreign.dependencies {
                let Some(on) = ids.get(key) else {
                    self.plan.left_out.push(format!("{}: `{kind}` {key}, not here", foreign.key));
                    continue;
                };
                let dependency = Dependency { kind: *kind, on: on.clone() };
                let has = |issues: &Issues| {
                    issues.get(issue).is_some_and(|one| one.dependencies.contains(&dependency))
                };
                if on == issue || has(self.here) || has(self.before) {
                    continue;
                }
                if all.cycle_with(issue, &dependency).is_some() {
                    let message = format!("{}: `{kind}` {key} closes a circle", foreign.key);
                    self.plan.left_out.push(message);
                    continue;
                }
                all.add(issue, &dependency);
                let issue = issue.clone();
                self.push(&Event::DependencyAdded { issue, dependency });
            }
        }
    }
}

fn comment_of(issue: &Issue, key: &str) -> Option<(EventId, String)> {
    let is_it = |comment: &&crate::Comment| {
        let imported = comment.imported.as_ref().map(|imported| imported.key.as_str());
        imported == Some(key) || key.strip_prefix("grit:") == Some(comment.id.as_str())
    };
    issue.comments.iter().find(is_it).map(|comment| (comment.id.clone(), comment.body.clone()))
}

fn draft(foreign: &Foreign) -> Draft {
    let Foreign { key, author, created_at, .. } = foreign;
    let imported = Imported { key: key.clone(), by: author.clone(), at: *created_at };
    Draft {
        title: foreign.title.clone(),
        body: foreign.body.clone().unwrap_or_default(),
        labels: foreign.labels.clone().unwrap_or_default(),
        key: foreign.create_under.clone(),
        assignees: foreign.assignees.clone().unwrap_or_default(),
        milestone: foreign.milestone.clone().flatten(),
        priority: foreign.priority.flatten(),
        due: foreign.due.flatten(),
        imported: Some(Box::new(imported)),
        ..Draft::default()
    }
}

fn close(foreign: &Foreign) -> Command {
    let reason = foreign.closed.as_ref().map(|closed| closed.reason.clone());
    Command::Close { reason: reason.unwrap_or_default() }
}

/// What is not as it was.
fn changes(foreign: &Foreign, base: &Issue) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut put = |differs: bool, command: Command| commands.extend(differs.then_some(command));
    put(foreign.title != base.title, Command::Retitle(foreign.title.clone()));
    if let Some(body) = &foreign.body {
        put(*body != base.body, Command::EditBody(body.clone()));
    }
    if let Some(labels) = &foreign.labels {
        for label in labels.difference(&base.labels) {
            put(true, Command::AddLabel(label.clone()));
        }
        for label in base.labels.difference(labels) {
            put(true, Command::RemoveLabel(label.clone()));
        }
    }
    if let Some(assignees) = &foreign.assignees {
        for assignee in assignees.difference(&base.assignees) {
            put(true, Command::Assign(assignee.clone()));
        }
        for assignee in base.assignees.difference(assignees) {
            put(true, Command::Unassign(assignee.clone()));
        }
    }
    if let Some(milestone) = &foreign.milestone {
        put(*milestone != base.milestone, Command::SetMilestone(milestone.clone()));
    }
    if let Some(priority) = foreign.priority {
        put(priority != base.priority, Command::SetPriority(priority));
    }
    if let Some(due) = foreign.due {
        put(due != base.due, Command::SetDue(due));
    }
    for link in &foreign.links {
        let is_new = !base.links.contains(link) && input::link(link).is_ok();
        put(is_new, Command::AddLink(link.clone()));
    }
    match foreign.state {
        State::Closed => put(base.state != State::Closed, close(foreign)),
        State::Open => put(base.state != State::Open, Command::Reopen),
    }
    commands
}
