use std::cmp::Ordering;

use grit_types::Timestamp;

use super::{Attribute, Filter, Moment, Phrase, Place, Sort, SortKey, Test};
use crate::issue::Issue;

pub fn holds(filter: &Filter, issue: &Issue, now: Timestamp) -> bool {
    match filter {
        Filter::All(parts) => parts.iter().all(|part| holds(part, issue, now)),
        Filter::Any(parts) => parts.iter().any(|part| holds(part, issue, now)),
        Filter::Not(part) => !holds(part, issue, now),
        Filter::Test(test) => passes(test, issue, now),
    }
}

fn passes(test: &Test, issue: &Issue, now: Timestamp) -> bool {
    let same = |text: &str, other: &str| text.eq_ignore_ascii_case(other);
    let is_at = |moment: &Moment, time: Timestamp| moment.interval(now).contains(time);
    match test {
        Test::State(state) => issue.state == *state,
        Test::Overdue => issue.is_overdue(now),
        Test::Label(label) => issue.labels.iter().any(|one| same(one, label)),
        Test::Assignee(name) => issue.assignees.iter().any(|one| same(one.as_str(), name)),
        Test::Author(name) => same(issue.author.as_str(), name),
        Test::Mentions(name) => issue.mentions.iter().any(|one| same(one.as_str(), name)),
        Test::Commenter(name) => issue.comments.iter().any(|one| same(one.author.as_str(), name)),
        Test::Milestone(name) => issue.milestone.as_ref().is_some_and(|one| same(one, name)),
        Test::Priority(relation, priority) => {
            issue.priority.is_some_and(|one| relation.holds(&one, priority))
        }
        Test::Created(moment) => is_at(moment, issue.created_at),
        Test::Updated(moment) => is_at(moment, issue.updated_at),
        Test::Closed(moment) => issue.closed.as_ref().is_some_and(|one| is_at(moment, one.at)),
        Test::Due(moment) => issue.due.is_some_and(|due| is_at(moment, due.start())),
        Test::Without(attribute) => is_without(issue, *attribute),
        Test::Key(key) => issue.key.as_ref() == Some(key),
        Test::Template(name) => issue.template.as_ref().is_some_and(|one| same(one, name)),
        Test::Fingerprint(fingerprint) => issue.fingerprint.as_ref() == Some(fingerprint),
        Test::Id(prefix) => issue.id.as_str().starts_with(prefix),
        Test::Text(place, phrase) => says(issue, *place, phrase),
    }
}

fn is_without(issue: &Issue, attribute: Attribute) -> bool {
    match attribute {
        Attribute::Assignee => issue.assignees.is_empty(),
        Attribute::Label => issue.labels.is_empty(),
        Attribute::Milestone => issue.milestone.is_none(),
        Attribute::Priority => issue.priority.is_none(),
        Attribute::Due => issue.due.is_none(),
        Attribute::Comment => issue.comments.is_empty(),
        Attribute::Checklist => issue.checklist.is_empty(),
        Attribute::Link => issue.links.is_empty(),
        Attribute::Attachment => issue.attachments.is_empty(),
        Attribute::Dependency => issue.dependencies.is_empty(),
    }
}

fn says(issue: &Issue, place: Option<Place>, phrase: &Phrase) -> bool {
    let in_comment = || issue.comments.iter().any(|comment| phrase.is_in(&comment.body));
    match place {
        Some(Place::Title) => phrase.is_in(&issue.title),
        Some(Place::Body) => phrase.is_in(&issue.body),
        Some(Place::Comment) => in_comment(),
        None => phrase.is_in(&issue.title) || phrase.is_in(&issue.body) || in_comment(),
    }
}

/// The order of a list: by each key in turn, then the newest first, then by id.
pub fn compare(sort: &[Sort], a: &Issue, b: &Issue) -> Ordering {
    let by_key = sort.iter().map(|sort| by(*sort, a, b)).find(|order| order.is_ne());
    let newest = || (b.created_at, &b.id).cmp(&(a.created_at, &a.id));
    by_key.unwrap_or_else(newest)
}

fn by(sort: Sort, a: &Issue, b: &Issue) -> Ordering {
    let turned = |order: Ordering| if sort.descending { order.reverse() } else { order };
    match sort.key {
        SortKey::Created => turned(a.created_at.cmp(&b.created_at)),
        SortKey::Updated => turned(a.updated_at.cmp(&b.updated_at)),
        SortKey::Comments => turned(a.comments.len().cmp(&b.comments.len())),
        SortKey::Title => turned(a.title.to_ascii_lowercase().cmp(&b.title.to_ascii_lowercase())),
        SortKey::Priority => or_last(a.priority, b.priority, turned),
        SortKey::Due => or_last(a.due, b.due, turned),
    }
}

fn or_last<T: Ord>(a: Option<T>, b: Option<T>, turned: impl Fn(Ordering) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => turned(a.cmp(&b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
