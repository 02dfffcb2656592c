use std::collections::BTreeMap;
use std::str::FromStr;

use grit_types::Principal;

use super::time::moment;
use super::{
    Attribute, Filter, Moment, Phrase, Place, Query, QueryError, Relation, Sort, SortKey, Test,
};
use crate::issue::State;
use crate::value::Priority;

/// A longer text is no query.
pub const QUERY_BYTES_MAX: usize = 8 << 10;

/// Parentheses and saved queries in each other.
const DEPTH_MAX: usize = 16;

/// Parts of one query, those of its saved queries included.
const PARTS_MAX: usize = 1_000;

/// As many saved queries are named when another one is asked for.
const LISTED_MAX: usize = 10;

/// What names in a query stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// The texts of the saved queries.
    pub saved: Option<&'a BTreeMap<String, String>>,
    /// Who `@me` is.
    pub me: Option<&'a Principal>,
}

const FIELDS: &[&str] = &[
    "is",
    "state",
    "label",
    "assignee",
    "author",
    "mentions",
    "commenter",
    "milestone",
    "priority",
    "created",
    "updated",
    "closed",
    "due",
    "no",
    "has",
    "key",
    "template",
    "fingerprint",
    "id",
    "title",
    "body",
    "comment",
    "sort",
];

const ATTRIBUTES: &[(&str, Attribute)] = &[
    ("assignee", Attribute::Assignee),
    ("label", Attribute::Label),
    ("milestone", Attribute::Milestone),
    ("priority", Attribute::Priority),
    ("due", Attribute::Due),
    ("comment", Attribute::Comment),
    ("checklist", Attribute::Checklist),
    ("link", Attribute::Link),
    ("attachment", Attribute::Attachment),
    ("dependency", Attribute::Dependency),
];

const SORT_KEYS: &[(&str, SortKey, bool)] = &[
    ("created", SortKey::Created, true),
    ("updated", SortKey::Updated, true),
    ("priority", SortKey::Priority, true),
    ("comments", SortKey::Comments, true),
    ("due", SortKey::Due, false),
    ("title", SortKey::Title, false),
];

/// Reads a query. An empty one asks for everything.
pub fn parse(text: &str, names: Names<'_>) -> Result<Query, QueryError> {
    parse_within(text, names, &mut Vec::new(), &mut 0)
}

/// `within` are the saved queries that led here.
fn parse_within(
    text: &str,
    names: Names<'_>,
    within: &mut Vec<String>,
    parts: &mut usize,
) -> Result<Query, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        let message = format!("the query has more than {QUERY_BYTES_MAX} bytes");
        return Err(QueryError::new(text, 0, text.len(), message));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        names,
        within,
        parts,
        sort: Vec::new(),
        saved_sort: Vec::new(),
    };
    let filter = parser.any()?.unwrap_or(Filter::All(Vec::new()));
    if parser.peek() == Some(')') {
        let (at, end) = (parser.at, parser.at + 1);
        return Err(QueryError::new(text, at, end, "`)` closes nothing"));
    }
    let mut sort = parser.sort;
    sort.extend(parser.saved_sort);
    Ok(Query { filter, sort })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Parentheses around.
    depth: usize,
    names: Names<'a>,
    within: &'a mut Vec<String>,
    parts: &'a mut usize,
    sort: Vec<Sort>,
    /// Of the saved queries: what the text itself says comes first.
    saved_sort: Vec<Sort>,
}

/// A value as it was written.
struct Word {
    text: String,
    start: usize,
    end: usize,
    is_quoted: bool,
}

impl Parser<'_> {
    /// Parts with `OR` between them; `None` where there are none.
    fn any(&mut self) -> Result<Option<Filter>, QueryError> {
        let mut found = Vec::new();
        loop {
            self.white();
            let start = self.at;
            let all = self.all()?;
            let is_more = self.keyword("OR");
            match all {
                Some(all) => found.push(all),
                None if is_more || !found.is_empty() => {
                    return Err(self.error(start, self.at, "`OR` needs a part on both sides"));
                }
                None => return Ok(None),
            }
            if !is_more {
                return Ok(Some(one_or(found, Filter::Any)));
            }
        }
    }

    /// Parts side by side; `None` where there are none.
    fn all(&mut self) -> Result<Option<Filter>, QueryError> {
        let mut found = Vec::new();
        loop {
            self.white();
            if self.keyword("AND") {
                continue;
            }
            let is_end = self.peek().is_none() || self.peek() == Some(')') || self.is_keyword("OR");
            if is_end {
                return Ok((!found.is_empty()).then(|| one_or(found, Filter::All)));
            }
            *self.parts += 1;
            if *self.parts > PARTS_MAX {
                return Err(self.error(self.at, self.at, format!("more than {PARTS_MAX} parts")));
            }
            found.extend(self.part()?);
        }
    }

    /// One part; `None` where it only says how to sort.
    fn part(&mut self) -> Result<Option<Filter>, QueryError> {
        let start = self.at;
        match self.peek() {
            Some('-') => {
                self.at += 1;
                let is_part = self.peek().is_some_and(|c| !c.is_whitespace() && !")-".contains(c));
                if !is_part {
                    let error = self.error(start, self.at, "`-` turns nothing around");
                    return Err(error.help("write it before a part: `-label:archived`"));
                }
                let (sorts, saved) = (self.sort.len(), self.saved_sort.len());
                let filter = self.part()?;
                // What is not asked for does not say how to sort.
                self.saved_sort.truncate(saved);
                if self.sort.len() > sorts {
                    return Err(self
                        .error(start, self.at, "an order cannot be turned around")
                        .help("write `sort:updated-asc`"));
                }
                Ok(filter.map(|filter| Filter::Not(Box::new(filter))))
            }
            Some('(') => self.group().map(Some),
            Some('@') => self.saved(),
            Some('"') => {
                let word = self.word()?;
                self.phrase(None, &word).map(Some)
            }
            _ => self.field_or_word(),
        }
    }

    fn group(&mut self) -> Result<Filter, QueryError> {
        let start = self.at;
        if self.depth >= DEPTH_MAX {
            return Err(self.error(start, start + 1, "too many parentheses in each other"));
        }
        self.at += 1;
        self.depth += 1;
        let filter = self.any()?;
        self.depth -= 1;
        self.white();
        if self.peek() != Some(')') {
            return Err(self.error(start, start + 1, "`(` is never closed"));
        }
        self.at += 1;
        let nothing = || self.error(start, self.at, "there is nothing between the parentheses");
        filter.ok_or_else(nothing)
    }

    fn saved(&mut self) -> Result<Option<Filter>, QueryError> {
        let start = self.at;
        self.at += 1;
        let word = self.word()?;
        let fail = |message: String| QueryError::new(self.text, start, word.end, message);
        let none = BTreeMap::new();
        let saved = self.names.saved.unwrap_or(&none);
        let Some(text) = saved.get(&word.text) else {
            let error = fail(format!("no query is saved as `@{}`", word.text));
            let near = grit_diag::suggest(&word.text, saved.keys().map(String::as_str));
            return Err(match near {
                Some(near) => error.help(format!("did you mean `@{near}`?")),
                None if saved.is_empty() => error.help("there are no saved queries"),
                None => {
                    let known: Vec<&str> =
                        saved.keys().take(LISTED_MAX).map(String::as_str).collect();
                    error.help(format!("there is `@{}`", known.join("`, `@")))
                }
            });
        };
        if self.within.contains(&word.text) {
            return Err(fail(format!("the saved query `@{}` asks for itself", word.text)));
        }
        if self.within.len() >= DEPTH_MAX {
            return Err(fail("too many saved queries in each other".to_owned()));
        }
        self.within.push(word.text.clone());
        let found = parse_within(text, self.names, self.within, self.parts);
        self.within.pop();
        let found = found.map_err(|error| {
            QueryError::new(
                self.text,
                start,
                word.end,
                format!("in the saved query `@{}`: {error}", word.text),
            )
        })?;
        self.saved_sort.extend(found.sort);
        Ok(Some(found.filter))
    }

    fn field_or_word(&mut self) -> Result<Option<Filter>, QueryError> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !(c.is_ascii_alphabetic() || "-_".contains(c)));
        let length = length.unwrap_or(rest.len());
        let is_field = length > 0 && rest[length..].starts_with(':');
        if !is_field {
            let word = self.word()?;
            return self.phrase(None, &word).map(Some);
        }
        let name = rest[..length].to_ascii_lowercase();
        if !FIELDS.contains(&name.as_str()) {
            return Err(self.unknown_field(&name, start, start + length));
        }
        self.at = start + length + 1;
        let values = self.values(&name, start)?;
        if name == "sort" {
            for value in &values {
                let sort = self.sort_by(value)?;
                self.sort.push(sort);
            }
            return Ok(None);
        }
        let tests = values.iter().map(|value| self.test(&name, value));
        let tests = tests.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(one_or(tests, Filter::Any)))
    }

    /// Values with commas between them.
    fn values(&mut self, field: &str, start: usize) -> Result<Vec<Word>, QueryError> {
        let mut values = Vec::new();
        loop {
            let word = self.value()?;
            if word.text.is_empty() {
                let error = self.error(start, self.at, format!("`{field}:` needs a value"));
                return Err(error.help(example(field)));
            }
            values.push(word);
            if self.peek() != Some(',') {
                return Ok(values);
            }
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Word, QueryError> {
        self.read(|c| c == ',' || c == ')')
    }

    fn word(&mut self) -> Result<Word, QueryError> {
        self.read(|_| false)
    }

    /// Quoted text, or all up to white space, a parenthesis that closes, or what `is_end` says.
    fn read(&mut self, is_end: impl Fn(char) -> bool) -> Result<Word, QueryError> {
        let start = self.at;
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let rest = &self.text[start..];
        let closes = |c: char| c == ')' && self.depth > 0;
        let length = rest.find(|c: char| c.is_whitespace() || closes(c) || is_end(c));
        let length = length.unwrap_or(rest.len());
        self.at += length;
        let text = rest[..length].to_owned();
        Ok(Word { text, start, end: self.at, is_quoted: false })
    }

    /// Text in `"`; `\"` and `\\` stand for themselves in it.
    fn quoted(&mut self) -> Result<Word, QueryError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + 1 + at + 1;
                    return Ok(Word { text, start, end: self.at, is_quoted: true });
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                other => text.push(other),
            }
        }
        Err(self.error(start, self.text.len(), "the quote is never closed"))
    }

    fn phrase(&self, place: Option<Place>, word: &Word) -> Result<Filter, QueryError> {
        match Phrase::new(&word.text, !word.is_quoted) {
            Some(phrase) => Ok(Filter::Test(Test::Text(place, phrase))),
            None => {
                let message = "there is no letter and no digit to look for";
                Err(self.error(word.start, word.end, message))
            }
        }
    }

    fn test(&self, field: &str, value: &Word) -> Result<Filter, QueryError> {
        let text = value.text.clone();
        let test = match field {
            "is" | "state" => return self.state(field, value),
            "label" => Test::Label(text),
            "assignee" => Test::Assignee(self.person(value)?),
            "author" => Test::Author(self.person(value)?),
            "mentions" => Test::Mentions(self.person(value)?),
            "commenter" => Test::Commenter(self.person(value)?),
            "milestone" => Test::Milestone(text),
            "priority" => self.priority(value)?,
            "created" => Test::Created(self.moment(field, value)?),
            "updated" => Test::Updated(self.moment(field, value)?),
            "closed" => Test::Closed(self.moment(field, value)?),
            "due" => Test::Due(self.moment(field, value)?),
            "no" => Test::Without(self.attribute(value)?),
            "has" => {
                let without = Filter::Test(Test::Without(self.attribute(value)?));
                return Ok(Filter::Not(Box::new(without)));
            }
            "key" => Test::Key(text),
            "template" => Test::Template(text),
            "fingerprint" => Test::Fingerprint(text),
            "id" => Test::Id(text.to_ascii_lowercase()),
            "title" => return self.phrase(Some(Place::Title), value),
            "body" => return self.phrase(Some(Place::Body), value),
            _ => return self.phrase(Some(Place::Comment), value),
        };
        Ok(Filter::Test(test))
    }

    fn state(&self, field: &str, value: &Word) -> Result<Filter, QueryError> {
        let known: &[&str] =
            if field == "is" { &["open", "closed", "overdue"] } else { &["open", "closed", "all"] };
        match value.text.to_ascii_lowercase().as_str() {
            "open" => Ok(Filter::Test(Test::State(State::Open))),
            "closed" => Ok(Filter::Test(Test::State(State::Closed))),
            "overdue" if field == "is" => Ok(Filter::Test(Test::Overdue)),
            "all" if field == "state" => Ok(Filter::All(Vec::new())),
            _ => Err(self.unknown(field, value, known)),
        }
    }

    /// A name, or who `@me` is. An `@` before a name is not part of it.
    fn person(&self, value: &Word) -> Result<String, QueryError> {
        if value.text != "@me" {
            return Ok(value.text.trim_start_matches('@').to_owned());
        }
        let nobody = || self.error(value.start, value.end, "nobody is known as `@me` here");
        self.names.me.map(ToString::to_string).ok_or_else(nobody)
    }

    fn priority(&self, value: &Word) -> Result<Test, QueryError> {
        let (relation, rest) = Relation::split(&value.text);
        match Priority::from_str(rest) {
            Ok(priority) => Ok(Test::Priority(relation.unwrap_or(Relation::Equal), priority)),
            Err(_) => Err(self.unknown("priority", value, &Priority::ALL.map(Priority::as_str))),
        }
    }

    fn moment(&self, field: &str, value: &Word) -> Result<Moment, QueryError> {
        moment(&value.text, field == "due").ok_or_else(|| {
            let message = format!("`{}` is no time", value.text);
            self.error(value.start, value.end, message).help(format!(
                "write `{field}:<7d`, `{field}:>=2026-12-01` or `{field}:2026-12-01..2026-12-24`"
            ))
        })
    }

    fn attribute(&self, value: &Word) -> Result<Attribute, QueryError> {
        let name = value.text.to_ascii_lowercase();
        let found = ATTRIBUTES
            .iter()
            .find(|(known, _)| *known == name || name.strip_suffix('s') == Some(known));
        let known: Vec<&str> = ATTRIBUTES.iter().map(|(known, _)| *known).collect();
        found.map(|(_, attribute)| *attribute).ok_or_else(|| self.unknown("no", value, &known))
    }

    fn sort_by(&self, value: &Word) -> Result<Sort, QueryError> {
        let (name, direction) = match value.text.rsplit_once('-') {
            Some((name, "asc")) => (name, Some(false)),
            Some((name, "desc")) => (name, Some(true)),
            _ => (value.text.as_str(), None),
        };
        match SORT_KEYS.iter().find(|(known, ..)| *known == name) {
            Some((_, key, by_default)) => {
                Ok(Sort { key: *key, descending: direction.unwrap_or(*by_default) })
            }
            None => {
                let known: Vec<&str> = SORT_KEYS.iter().map(|(known, ..)| *known).collect();
                Err(self.unknown("sort", value, &known))
            }
        }
    }

    fn unknown_field(&self, name: &str, start: usize, end: usize) -> QueryError {
        let error = self.error(start, end, format!("there is no field `{name}`"));
        match grit_diag::suggest(name, FIELDS.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}:`?")),
            None => error.help("put text with a colon between quotes"),
        }
    }

    fn unknown(&self, field: &str, value: &Word, known: &[&str]) -> QueryError {
        let message = format!("`{}` is nothing that `{field}:` knows", value.text);
        let error = self.error(value.start, value.end, message);
        let plain = value.text.trim_start_matches(['<', '>', '=']);
        match grit_diag::suggest(plain, known.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("it knows `{}`", known.join("`, `"))),
        }
    }

    fn error(&self, start: usize, end: usize, message: impl Into<String>) -> QueryError {
        QueryError::new(self.text, start, end, message)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn white(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn is_keyword(&self, word: &str) -> bool {
        let rest = self.text[self.at..].strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '(', ')']))
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.white();
        let is_here = self.is_keyword(word);
        if is_here {
            self.at += word.len();
        }
        is_here
    }
}

/// The only one, or all of them together.
fn one_or(mut filters: Vec<Filter>, together: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match (filters.len(), filters.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            filters.extend(last);
            together(filters)
        }
    }
}

fn example(field: &str) -> String {
    let value = match field {
        "is" | "state" => "open",
        "priority" => ">=high",
        "created" | "updated" | "closed" | "due" => "<7d",
        "no" | "has" => "assignee",
        "sort" => "updated-desc",
        "assignee" | "author" | "mentions" | "commenter" => "alice",
        "label" => "ci-failure",
        "milestone" => "v2",
        "title" | "body" | "comment" => "\"timed out\"",
        "template" => "release",
        _ => "abcd",
    };
    format!("such as `{field}:{value}`")
}
