use std::borrow::Cow;

use grit_types::{EventId, IssueId, Principal};

use crate::checklist::Item;
use crate::depend::Dependencies;
use crate::event::{Draft, Event, Ids};
use crate::input;
use crate::issue::{Issue, State};
use crate::lookup::{LookupError, lookup};
use crate::query::QueryError;
use crate::record::Record;
use crate::register::Register;
use crate::shown;
use crate::value::{Attachment, Date, Dependency, Link, Priority};

/// What somebody wants of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Retitle(String),
    EditBody(String),
    Comment(String),
    /// `comment` is a prefix of its id.
    EditComment {
        comment: String,
        body: String,
    },
    DeleteComment {
        comment: String,
    },
    /// The reason may be empty.
    Close {
        reason: String,
    },
    Reopen,
    AddLabel(String),
    RemoveLabel(String),
    Assign(Principal),
    Unassign(Principal),
    SetMilestone(Option<String>),
    SetPriority(Option<Priority>),
    SetDue(Option<Date>),
    AddLink(Link),
    RemoveLink {
        url: String,
    },
    /// The bytes are stored by whoever appends the event.
    Attach(Attachment),
    Detach {
        name: String,
    },
    Depend(Dependency),
    Undepend(Dependency),
    /// `item` is a number from 1, or the text or a part of it.
    Check {
        item: String,
    },
    Uncheck {
        item: String,
    },
}

/// What commands come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be appended, in this order.
    pub events: Vec<Event>,
    /// What was so before and needs no event; a fragment for people.
    pub already: Vec<String>,
}

/// What a wish for a new issue comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    New(Event),
    /// It was created before, under the same key.
    Existing(IssueId),
}

/// Why a command cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("issue {} did not come here yet: only later events of it did", .0.short())]
    NotHere(IssueId),
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("{what} has {bytes} bytes, more than {max}")]
    TooLarge { what: &'static str, bytes: usize, max: usize },
    #[error("{what} `{text}` {problem}")]
    Invalid { what: &'static str, text: String, problem: &'static str },
    #[error("no such comment")]
    Comment(#[source] LookupError),
    #[error("the body has no checklist")]
    NoChecklist,
    #[error("none of the {count} items is `{}`{}", line(.item), meant(.nearest.as_deref()))]
    NoItem { item: String, count: usize, nearest: Option<String> },
    #[error("`{}` may be any of the items {}", line(.item), .candidates.join(", "))]
    AmbiguousItem {
        item: String,
        /// `3 (Run integration tests)`.
        candidates: Vec<String>,
    },
    #[error("an issue cannot depend on itself")]
    Itself,
    #[error("that would close a circle: {}", circle(.0))]
    Cycle(Vec<IssueId>),
    #[error("the saved query cannot be read")]
    Query(#[source] QueryError),
}

fn line(text: &str) -> String {
    shown(text, 80)
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|near| format!("; did you mean `{}`?", line(near))).unwrap_or_default()
}

fn circle(path: &[IssueId]) -> String {
    let short: Vec<&str> = path.iter().chain(path.first()).map(EventId::short).collect();
    format!("{} (each needs the next)", short.join(" → "))
}

/// Decides on a new issue; `known` is the one that was created under the draft's key.
pub fn create(draft: Draft, known: Option<&IssueId>) -> Result<Creation, Refusal> {
    if let (Some(_), Some(known)) = (&draft.key, known) {
        return Ok(Creation::Existing(known.clone()));
    }
    input::draft(&draft)?;
    Ok(Creation::New(Event::Created(draft)))
}

/// Decides on commands to one issue: all of them or, with the first that is refused, none. Each is
/// decided on the issue as it is, not as the ones before it will leave it.
pub fn decide(
    record: &Record,
    commands: &[Command],
    dependencies: &Dependencies,
) -> Result<Decision, Refusal> {
    let issue = record.issue().ok_or_else(|| Refusal::NotHere(record.id().clone()))?;
    let mut on = On { record, issue, dependencies: Cow::Borrowed(dependencies) };
    let mut decision = Decision::default();
    for command in commands {
        match on.decide(command)? {
            Ok(event) if decision.events.contains(&event) => {}
            Ok(event) => decision.events.push(event),
            Err(already) => decision.already.push(already),
        }
    }
    Ok(decision)
}

/// Decides on the same commands for many issues, each for itself. The same dependency on one issue
/// cannot close a circle with itself, so what is decided for one does not count for the next.
pub fn decide_each<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    commands: &[Command],
    dependencies: &Dependencies,
) -> Vec<(IssueId, Result<Decision, Refusal>)> {
    let each = records.into_iter();
    each.map(|record| (record.id().clone(), decide(record, commands, dependencies))).collect()
}

/// An issue as it is.
struct On<'a> {
    record: &'a Record,
    issue: Issue,
    dependencies: Cow<'a, Dependencies>,
}

/// An event, or what is so already.
type Wish = Result<Event, String>;

impl On<'_> {
    fn decide(&mut self, command: &Command) -> Result<Wish, Refusal> {
        match command {
            Command::Retitle(title) => self.retitle(title),
            Command::EditBody(body) => self.edit_body(body),
            Command::Comment(body) => {
                input::said(body)?;
                Ok(Ok(Event::Commented { issue: self.id(), body: body.clone(), imported: None }))
            }
            Command::EditComment { comment, body } => self.edit_comment(comment, body),
            Command::DeleteComment { comment } => self.delete_comment(comment),
            Command::Close { reason } => self.close(reason),
            Command::Reopen => Ok(self.reopen()),
            Command::AddLabel(label) => self.add_label(label),
            Command::RemoveLabel(label) => Ok(self.remove_label(label)),
            Command::Assign(assignee) => Ok(self.assign(assignee)),
            Command::Unassign(assignee) => Ok(self.unassign(assignee)),
            Command::SetMilestone(milestone) => self.set_milestone(milestone.as_deref()),
            Command::SetPriority(priority) => Ok(self.set_priority(*priority)),
            Command::SetDue(due) => Ok(self.set_due(*due)),
            Command::AddLink(link) => self.add_link(link),
            Command::RemoveLink { url } => Ok(self.remove_link(url)),
            Command::Attach(attachment) => self.attach(attachment),
            Command::Detach { name } => Ok(self.detach(name)),
            Command::Depend(dependency) => self.depend(dependency),
            Command::Undepend(dependency) => Ok(self.undepend(dependency)),
            Command::Check { item } => self.check(item, true),
            Command::Uncheck { item } => self.check(item, false),
        }
    }

    fn id(&self) -> IssueId {
        self.issue.id.clone()
    }

    fn retitle(&self, title: &str) -> Result<Wish, Refusal> {
        input::title(title)?;
        if self.issue.title == title && is_settled(&self.record.title) {
            return Ok(Err("the title is that already".to_owned()));
        }
        let replaces = self.record.title.standing();
        Ok(Ok(Event::Retitled { issue: self.id(), title: title.to_owned(), replaces }))
    }

    /// The new text shows every check that was made on the old one, as its author wants it.
    fn edit_body(&self, body: &str) -> Result<Wish, Refusal> {
        input::body(body)?;
        if self.issue.body == body && is_settled(&self.record.body) {
            return Ok(Err("the body is that already".to_owned()));
        }
        let replaces = self.record.body.standing();
        let covers = self.record.items.values().flat_map(Register::standing).collect();
        Ok(Ok(Event::BodyEdited { issue: self.id(), body: body.to_owned(), replaces, covers }))
    }

    fn edit_comment(&self, comment: &str, body: &str) -> Result<Wish, Refusal> {
        input::said(body)?;
        let (comment, replaces) = self.comment(comment)?;
        let is_same = |one: &&crate::Comment| one.id == comment && one.body == body;
        if self.issue.comments.iter().any(|one| is_same(&one)) && replaces.len() == 1 {
            return Ok(Err("the comment says that already".to_owned()));
        }
        let body = body.to_owned();
        Ok(Ok(Event::CommentEdited { issue: self.id(), comment, body, replaces }))
    }

    fn delete_comment(&self, comment: &str) -> Result<Wish, Refusal> {
        let (comment, replaces) = self.comment(comment)?;
        Ok(Ok(Event::CommentDeleted { issue: self.id(), comment, replaces }))
    }

    /// A comment that is there, by a prefix of its id, and its texts that stand.
    fn comment(&self, prefix: &str) -> Result<(EventId, Ids), Refusal> {
        let ids: Vec<&EventId> = self.issue.comments.iter().map(|comment| &comment.id).collect();
        let id = lookup(prefix, ids).map_err(Refusal::Comment)?;
        let standing = self.record.comments.get(id).map(|remark| remark.text.standing());
        Ok((id.clone(), standing.unwrap_or_default()))
    }

    fn close(&self, reason: &str) -> Result<Wish, Refusal> {
        input::text("the reason", reason)?;
        if self.issue.state == State::Closed {
            return Ok(Err("it is closed already".to_owned()));
        }
        let replaces = self.record.state.standing();
        let (issue, reason) = (self.id(), reason.to_owned());
        Ok(Ok(Event::Closed { issue, reason, replaces, imported: None }))
    }

    fn reopen(&self) -> Wish {
        if self.issue.state == State::Open {
            return Err("it is open already".to_owned());
        }
        Ok(Event::Reopened { issue: self.id(), replaces: self.record.state.standing() })
    }

    fn add_label(&self, label: &str) -> Result<Wish, Refusal> {
        input::label(label)?;
        if self.issue.labels.contains(label) {
            return Ok(Err(format!("it is labelled `{label}` already")));
        }
        Ok(Ok(Event::Labelled { issue: self.id(), label: label.to_owned() }))
    }

    fn remove_label(&self, label: &str) -> Wish {
        let label = label.to_owned();
        if !self.issue.labels.contains(&label) {
            return Err(format!("it is not labelled `{label}`"));
        }
        let removes = self.record.labels.additions(&label);
        Ok(Event::Unlabelled { issue: self.id(), label, removes })
    }

    fn assign(&self, assignee: &Principal) -> Wish {
        if self.issue.assignees.contains(assignee) {
            return Err(format!("it is assigned to {assignee} already"));
        }
        Ok(Event::Assigned { issue: self.id(), assignee: assignee.clone() })
    }

    fn unassign(&self, assignee: &Principal) -> Wish {
        if !self.issue.assignees.contains(assignee) {
            return Err(format!("it is not assigned to {assignee}"));
        }
        let removes = self.record.assignees.additions(assignee);
        Ok(Event::Unassigned { issue: self.id(), assignee: assignee.clone(), removes })
    }

    fn set_milestone(&self, milestone: Option<&str>) -> Result<Wish, Refusal> {
        milestone.map_or(Ok(()), input::milestone)?;
        if self.issue.milestone.as_deref() == milestone && is_settled(&self.record.milestone) {
            return Ok(Err("the milestone is that already".to_owned()));
        }
        let milestone = milestone.map(str::to_owned);
        let replaces = self.record.milestone.standing();
        Ok(Ok(Event::MilestoneSet { issue: self.id(), milestone, replaces }))
    }

    fn set_priority(&self, priority: Option<Priority>) -> Wish {
        if self.issue.priority == priority && is_settled(&self.record.priority) {
            return Err("the priority is that already".to_owned());
        }
        let replaces = self.record.priority.standing();
        Ok(Event::PrioritySet { issue: self.id(), priority, replaces })
    }

    fn set_due(&self, due: Option<Date>) -> Wish {
        if self.issue.due == due && is_settled(&self.record.due) {
            return Err("it is due then already".to_owned());
        }
        Ok(Event::DueSet { issue: self.id(), due, replaces: self.record.due.standing() })
    }

    fn add_link(&self, link: &Link) -> Result<Wish, Refusal> {
        input::link(link)?;
        if self.issue.links.contains(link) {
            return Ok(Err("it has that link already".to_owned()));
        }
        Ok(Ok(Event::LinkAdded { issue: self.id(), link: link.clone() }))
    }

    fn remove_link(&self, url: &str) -> Wish {
        let link = self.issue.links.iter().find(|link| link.url == url);
        let link = link.ok_or("it has no such link")?.clone();
        let removes = self.record.links.additions(&link);
        Ok(Event::LinkRemoved { issue: self.id(), link, removes })
    }

    fn attach(&self, attachment: &Attachment) -> Result<Wish, Refusal> {
        input::attachment(attachment)?;
        if self.issue.attachments.contains(attachment) {
            return Ok(Err("that is attached already".to_owned()));
        }
        Ok(Ok(Event::AttachmentAdded { issue: self.id(), attachment: attachment.clone() }))
    }

    fn detach(&self, name: &str) -> Wish {
        let attachment = self.issue.attachments.iter().find(|one| one.name == name);
        let attachment = attachment.ok_or("nothing of that name is attached")?.clone();
        let removes = self.record.attachments.additions(&attachment);
        Ok(Event::AttachmentRemoved { issue: self.id(), attachment, removes })
    }

    fn depend(&mut self, dependency: &Dependency) -> Result<Wish, Refusal> {
        if dependency.on == self.issue.id {
            return Err(Refusal::Itself);
        }
        if self.issue.dependencies.contains(dependency) {
            return Ok(Err(format!("it {} that one already", verb(dependency))));
        }
        if let Some(cycle) = self.dependencies.cycle_with(&self.issue.id, dependency) {
            return Err(Refusal::Cycle(cycle));
        }
        let (issue, dependency) = (self.id(), dependency.clone());
        self.dependencies.to_mut().add(&issue, &dependency);
        Ok(Ok(Event::DependencyAdded { issue, dependency }))
    }

    fn undepend(&self, dependency: &Dependency) -> Wish {
        if !self.issue.dependencies.contains(dependency) {
            return Err("there is no such dependency".to_owned());
        }
        let removes = self.record.dependencies.additions(dependency);
        let dependency = dependency.clone();
        Ok(Event::DependencyRemoved { issue: self.id(), dependency, removes })
    }

    fn check(&self, wanted: &str, checked: bool) -> Result<Wish, Refusal> {
        let item = pick(&self.issue.checklist, wanted)?;
        if item.checked == checked {
            let state = if checked { "checked" } else { "open" };
            return Ok(Err(format!("`{}` is {state} already", line(&item.text))));
        }
        let (issue, item) = (self.id(), item.reference());
        let replaces = self.record.items.get(&item).map(Register::standing).unwrap_or_default();
        Ok(Ok(match checked {
            true => Event::ItemChecked { issue, item, replaces },
            false => Event::ItemUnchecked { issue, item, replaces },
        }))
    }
}

/// Nothing else stands beside what shows.
fn is_settled<T: PartialEq>(register: &Register<T>) -> bool {
    register.writes().windows(2).all(|pair| pair[0].value == pair[1].value)
}

fn verb(dependency: &Dependency) -> &'static str {
    match dependency.kind {
        crate::DependencyKind::Blocks => "blocks",
        crate::DependencyKind::DependsOn => "depends on",
        crate::DependencyKind::Related => "is related to",
    }
}

/// The item that somebody means by its number, its text, or a part of its text.
fn pick<'a>(items: &'a [Item], wanted: &str) -> Result<&'a Item, Refusal> {
    let wanted = wanted.trim();
    if wanted.is_empty() {
        return Err(Refusal::Empty("the item"));
    }
    if items.is_empty() {
        return Err(Refusal::NoChecklist);
    }
    let number = wanted.trim_start_matches('#').parse::<usize>().ok();
    if let Some(item) = number.and_then(|number| items.iter().find(|item| item.number == number)) {
        return Ok(item);
    }
    let low = wanted.to_lowercase();
    let is_equal = |item: &&Item| item.text == wanted;
    let is_alike = |item: &&Item| item.text.to_lowercase() == low;
    let is_part = |item: &&Item| item.text.to_lowercase().contains(&low);
    let tries: [&dyn Fn(&&Item) -> bool; 3] = [&is_equal, &is_alike, &is_part];
    for is_meant in tries {
        let found: Vec<&Item> = items.iter().filter(is_meant).collect();
        match found.as_slice() {
            [] => {}
            [only] => return Ok(only),
            many => {
                let named = |item: &&Item| format!("{} ({})", item.number, shown(&item.text, 60));
                let candidates = many.iter().map(named).collect();
                return Err(Refusal::AmbiguousItem { item: wanted.to_owned(), candidates });
            }
        }
    }
    let nearest = grit_diag::suggest(wanted, items.iter().map(|item| item.text.as_str()));
    let nearest = nearest.map(str::to_owned);
    Err(Refusal::NoItem { item: wanted.to_owned(), count: items.len(), nearest })
}
