//! A query as SQL. What it finds is what [`Query::select`] finds in memory.

use grit_issues::query::{Attribute, Filter, Moment, Phrase, Place, Relation, Sort, SortKey, Test};
use grit_issues::{Query, State};
use grit_types::Timestamp;
use rusqlite::types::Value;

use crate::row::{Tag, bit, low, priority, state};

const DAY_MILLIS: i64 = 86_400_000;

/// The parts of a statement over the table `issue`.
pub(crate) struct Compiled {
    /// After WHERE.
    pub condition: String,
    /// After ORDER BY.
    pub order: String,
    /// What the question marks stand for.
    pub values: Vec<Value>,
}

pub(crate) fn compile(query: &Query, now: Timestamp) -> Compiled {
    let mut compiler = Compiler { now, values: Vec::new() };
    let condition = compiler.filter(&query.filter);
    Compiled { condition, order: order(&query.sort), values: compiler.values }
}

/// Conditions are never NULL, so that NOT turns each around.
struct Compiler {
    now: Timestamp,
    values: Vec<Value>,
}

impl Compiler {
    fn filter(&mut self, filter: &Filter) -> String {
        match filter {
            Filter::All(parts) => self.joined(parts, "AND", "1"),
            Filter::Any(parts) => self.joined(parts, "OR", "0"),
            Filter::Not(part) => format!("NOT ({})", self.filter(part)),
            Filter::Test(test) => self.test(test),
        }
    }

    /// Halves in halves: SQLite bounds how deep an expression is.
    fn joined(&mut self, parts: &[Filter], with: &str, none: &str) -> String {
        match parts {
            [] => none.to_owned(),
            [only] => self.filter(only),
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                let left = self.joined(left, with, none);
                format!("({left} {with} {})", self.joined(right, with, none))
            }
        }
    }

    fn test(&mut self, test: &Test) -> String {
        match test {
            Test::State(wanted) => self.is("state", state(*wanted)),
            Test::Overdue => {
                self.values.push((self.now.millis().saturating_sub(DAY_MILLIS)).into());
                let open = state(State::Open);
                format!("(state = {open} AND due IS NOT NULL AND due <= ?)")
            }
            Test::Label(label) => self.tag(Tag::Label, label),
            Test::Assignee(name) => self.tag(Tag::Assignee, name),
            Test::Mentions(name) => self.tag(Tag::Mention, name),
            Test::Commenter(name) => self.tag(Tag::Commenter, name),
            Test::Author(name) => self.is("author", low(name).into_owned()),
            Test::Milestone(name) => self.is("milestone", low(name).into_owned()),
            Test::Template(name) => self.is("template", low(name).into_owned()),
            Test::Key(key) => self.is("key", key.clone()),
            Test::Fingerprint(fingerprint) => self.is("fingerprint", fingerprint.clone()),
            Test::Priority(relation, wanted) => {
                self.values.push(priority(*wanted).into());
                format!("(priority IS NOT NULL AND priority {} ?)", sign(*relation))
            }
            Test::Created(moment) => self.within("created", *moment),
            Test::Updated(moment) => self.within("updated", *moment),
            Test::Closed(moment) => self.within("closed", *moment),
            Test::Due(moment) => self.within("due", *moment),
            Test::Without(attribute) => without(*attribute),
            Test::Id(prefix) => self.id(prefix),
            Test::Text(place, phrase) => self.text(*place, phrase),
        }
    }

    fn is(&mut self, column: &str, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("{column} IS ?")
    }

    fn tag(&mut self, kind: Tag, value: &str) -> String {
        self.values.push(low(value).into_owned().into());
        let kind = kind as i64;
        format!("n IN (SELECT tag.n FROM tag WHERE kind = {kind} AND value = ?)")
    }

    fn within(&mut self, column: &str, moment: Moment) -> String {
        let interval = moment.interval(self.now);
        let mut condition = format!("({column} IS NOT NULL");
        for (time, sign) in [(interval.from, ">="), (interval.until, "<")] {
            if let Some(time) = time {
                self.values.push(time.millis().into());
                condition.push_str(&format!(" AND {column} {sign} ?"));
            }
        }
        condition + ")"
    }

    fn id(&mut self, prefix: &str) -> String {
        self.values.extend([prefix.to_owned().into(), after(prefix).into()]);
        "(id >= ? AND id < ?)".to_owned()
    }

    fn text(&mut self, place: Option<Place>, phrase: &Phrase) -> String {
        self.values.push(matching(place, phrase).into());
        "n IN (SELECT rowid FROM text WHERE text MATCH ?)".to_owned()
    }
}

/// Greater than every id that begins with `prefix`, and than no other that is greater than it: an
/// id is made of letters and digits.
pub(crate) fn after(prefix: &str) -> String {
    format!("{prefix}\u{7f}")
}

fn without(attribute: Attribute) -> String {
    format!("has & {} = 0", bit(attribute))
}

fn matching(place: Option<Place>, phrase: &Phrase) -> String {
    let column = match place {
        None => "",
        Some(Place::Title) => "title : ",
        Some(Place::Body) => "body : ",
        Some(Place::Comment) => "comments : ",
    };
    let words = phrase.words.join(" ").replace('"', "\"\"");
    let open = if phrase.is_open { " *" } else { "" };
    format!("{column}\"{words}\"{open}")
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Equal => "=",
        Relation::GreaterOrEqual => ">=",
        Relation::Greater => ">",
    }
}

fn order(sort: &[Sort]) -> String {
    let mut order = String::new();
    for Sort { key, descending } in sort {
        let way = if *descending { "DESC" } else { "ASC" };
        let expression = match key {
            SortKey::Created => "created",
            SortKey::Updated => "updated",
            SortKey::Comments => "comments",
            SortKey::Title => "lower(title)",
            SortKey::Priority => "priority IS NULL, priority",
            SortKey::Due => "due IS NULL, due",
        };
        order.push_str(&format!("{expression} {way}, "));
    }
    order + "created DESC, id DESC"
}
