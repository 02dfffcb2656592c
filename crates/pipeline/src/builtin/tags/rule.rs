use std::collections::BTreeMap;

use grit_types::Timestamp;
use regex::{Regex, RegexBuilder};

use super::date::date;
use super::pep440::Pep440;
use super::{About, Flavor, fields};
use crate::builtin::version::Version;

/// What a regular expression may take when it is compiled, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A rule, as `KEY=VALUE` pairs.
pub(super) struct Rule {
    kind: String,
    pairs: BTreeMap<String, String>,
    pub priority: i64,
}

/// What a pattern is filled with, besides what the run is for.
struct Words {
    raw: String,
    version: String,
    major: u64,
    minor: u64,
    patch: u64,
}

impl Rule {
    pub fn read(line: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("tags: `{line}`: {why}");
        let mut pairs = BTreeMap::new();
        for (name, value) in fields(line) {
            // A word alone is a tag.
            pairs.insert(name.unwrap_or_else(|| "value".to_owned()), value);
        }
        let kind = pairs.remove("type").unwrap_or_else(|| "raw".to_owned());
        let priority = match &*kind {
            "schedule" => 1000,
            "semver" | "pep440" => 900,
            "match" => 800,
            "edge" => 700,
            "ref" => 600,
            "raw" => 200,
            "sha" => 100,
            _ => return Err(wrong("the type is not known")),
        };
        let rule = Self { kind, pairs, priority };
        let has = |name: &str| {
            let empty_will_do = rule.kind == "raw";
            rule.get(name).is_some_and(|value| empty_will_do || !value.is_empty())
        };
        let needed = match &*rule.kind {
            "semver" | "pep440" | "match" => "pattern",
            "raw" => "value",
            _ => "",
        };
        if !needed.is_empty() && !has(needed) {
            return Err(wrong(&format!("it needs `{needed}`")));
        }
        if rule.kind == "ref" && !matches!(rule.get("event"), Some("branch" | "tag" | "pr")) {
            return Err(wrong("`event` is branch, tag or pr"));
        }
        if rule.kind == "sha" && !matches!(rule.get("format"), None | Some("short" | "long")) {
            return Err(wrong("`format` is short or long"));
        }
        let given = rule.get("priority").map(|text| text.parse());
        let given = given.transpose().map_err(|_| wrong("`priority` is a number"))?;
        Ok(Self { priority: given.unwrap_or(priority), ..rule })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str)
    }

    /// The tag, and whether it makes the image the latest.
    pub fn tag(&self, flavor: &Flavor, about: &About) -> Result<Option<(String, bool)>, String> {
        match self.get("enable").map(|text| fill(text, about, None)).transpose()?.as_deref() {
            None | Some("true") => {}
            Some("false") => return Ok(None),
            Some(other) => return Err(format!("tags: `enable` is true or false, not `{other}`")),
        }
        let Some((value, latest)) = self.value(about)? else { return Ok(None) };
        let dress = |own: Option<&str>, shared: &str| {
            own.map_or_else(|| Ok(shared.to_owned()), |own| fill(own, about, None))
        };
        let default = if self.kind == "sha" { Some("sha-") } else { None };
        let default = default.or_else(|| (self.get("event") == Some("pr")).then_some("pr-"));
        let prefix = dress(self.get("prefix").or(default), &flavor.prefix)?;
        let suffix = dress(self.get("suffix"), &flavor.suffix)?;
        Ok(Some((format!("{prefix}{value}{suffix}"), latest)))
    }

    fn value(&self, about: &About) -> Result<Option<(String, bool)>, String> {
        let branch = about.reference.strip_prefix("refs/heads/");
        let tag = about.reference.strip_prefix("refs/tags/");
        let pull = about.reference.strip_prefix("refs/pull/");
        let given = self.get("value").filter(|value| !value.is_empty());
        Ok(match &*self.kind {
            "raw" => Some((fill(given.unwrap_or_default(), about, None)?, false)),
            "sha" => {
                let long = self.get("format") == Some("long");
                Some((if long { about.sha.clone() } else { about.short_sha().to_owned() }, false))
            }
            "edge" => {
                let wanted = self.get("branch").filter(|name| !name.is_empty());
                let wanted = fill(wanted.unwrap_or(&about.default_branch), about, None)?;
                branch.filter(|branch| *branch == wanted).map(|_| ("edge".to_owned(), false))
            }
            "schedule" if about.event == "schedule" => {
                let pattern = self.get("pattern").unwrap_or("nightly");
                Some((fill(pattern, about, None)?, false))
            }
            "schedule" => None,
            "ref" => match self.get("event").unwrap_or_default() {
                "branch" => branch.map(|name| (name.to_owned(), false)),
                "tag" => tag.map(|name| (name.to_owned(), true)),
                _ => pull.and_then(|rest| Some((rest.split('/').next()?.to_owned(), false))),
            },
            kind => {
                let Some(raw) = given.or(tag) else { return Ok(None) };
                let raw = fill(raw, about, None)?;
                match kind {
                    "match" => self.matched(&raw)?.map(|text| (text, true)),
                    "pep440" => self.python(&raw, about)?,
                    _ => self.version(&raw, about)?,
                }
            }
        })
    }

    /// What the group of the pattern is in the text. A `/` of a tag is found as `-` too, as it was
    /// in the action's first versions.
    fn matched(&self, raw: &str) -> Result<Option<String>, String> {
        let pattern = regex(self.get("pattern").unwrap_or_default())?;
        let group = self.get("group").filter(|text| !text.is_empty()).unwrap_or("0");
        let group: usize =
            group.parse().map_err(|_| format!("tags: `group={group}` is no number"))?;
        let plain = raw.replace('/', "-");
        let found = [raw, &plain].into_iter().find_map(|text| pattern.captures(text));
        Ok(found.and_then(|found| Some(found.get(group)?.as_str().to_owned())))
    }

    /// The part of the text that `match` is about, its group where it has one.
    fn narrowed<'r>(&self, raw: &'r str) -> Result<Option<&'r str>, String> {
        let Some(wanted) = self.get("match").filter(|text| !text.is_empty()) else {
            return Ok(Some(raw));
        };
        let found = regex(wanted)?.captures(raw).and_then(|found| found.get(1).or(found.get(0)));
        Ok(found.map(|found| found.as_str()))
    }

    fn version(&self, raw: &str, about: &About) -> Result<Option<(String, bool)>, String> {
        let Some(raw) = self.narrowed(raw)? else { return Ok(None) };
        // Of what is no version, as the action: nothing.
        let is_whole = raw.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        let Some(version) = Version::parse(raw).filter(|_| is_whole.matches('.').count() == 2)
        else {
            return Ok(None);
        };
        let words = Words {
            raw: raw.to_owned(),
            version: version.to_string(),
            major: version.major(),
            minor: version.minor(),
            patch: version.patch(),
        };
        self.of_version(&words, version.pre().is_empty(), about)
    }

    fn python(&self, raw: &str, about: &About) -> Result<Option<(String, bool)>, String> {
        let Some(raw) = self.narrowed(raw)? else { return Ok(None) };
        let Some(version) = Pep440::parse(raw) else { return Ok(None) };
        let words = Words {
            raw: raw.to_owned(),
            version: version.to_string(),
            major: version.part(0),
            minor: version.part(1),
            patch: version.part(2),
        };
        self.of_version(&words, version.is_final(), about)
    }

    /// What is no release is named whole, whatever the pattern.
    fn of_version(
        &self,
        words: &Words,
        is_release: bool,
        about: &About,
    ) -> Result<Option<(String, bool)>, String> {
        let pattern = self.get("pattern").unwrap_or_default();
        let is_raw = pattern.trim().strip_prefix("{{").and_then(|word| word.strip_suffix("}}"));
        let is_raw = is_raw.is_some_and(|word| word.trim() == "raw");
        let pattern = if is_release || is_raw { pattern } else { "{{version}}" };
        Ok(Some((fill(pattern, about, Some(words))?, is_release)))
    }
}

/// As JavaScript writes it: bare, or between slashes with flags behind.
fn regex(text: &str) -> Result<Regex, String> {
    let between = text.strip_prefix('/').and_then(|inner| inner.rsplit_once('/'));
    let (pattern, flags) = between.filter(|(inner, _)| !inner.is_empty()).unwrap_or((text, ""));
    let built = RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .size_limit(REGEX_BYTES_MAX)
        .build();
    built.map_err(|error| format!("tags: `{text}` is no regular expression: {error}"))
}

/// The text with its `{{words}}` filled in.
fn fill(text: &str, about: &About, version: Option<&Words>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let unclosed = || format!("tags: `{text}`: `{{{{` is not closed");
        let (word, after) = after.split_once("}}").ok_or_else(unclosed)?;
        filled.push_str(before);
        let made = filling(word.trim(), about, version);
        filled.push_str(&made.map_err(|why| format!("tags: `{text}`: {why}"))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn filling(word: &str, about: &About, version: Option<&Words>) -> Result<String, String> {
    let name = |prefix: &str| about.reference.strip_prefix(prefix).unwrap_or_default().to_owned();
    let is_default = name("refs/heads/") == about.default_branch;
    let unknown = || format!("`{word}` is not known");
    let (first, rest) = word.split_once(char::is_whitespace).unwrap_or((word, ""));
    Ok(match (first, version) {
        ("date", _) => dated(rest, about.now)?,
        ("commit_date", _) => {
            let at = about.committed.ok_or("the event does not tell when the commit was made")?;
            dated(rest, at)?
        }
        _ if !rest.is_empty() => return Err(unknown()),
        ("sha", _) => about.short_sha().to_owned(),
        ("branch", _) => name("refs/heads/"),
        ("tag", _) => name("refs/tags/"),
        ("base_ref", _) => about.base.clone(),
        ("is_default_branch", _) => is_default.to_string(),
        ("is_not_default_branch", _) => (!is_default).to_string(),
        ("raw", Some(words)) => words.raw.clone(),
        ("version", Some(words)) => words.version.clone(),
        ("major", Some(words)) => words.major.to_string(),
        ("minor", Some(words)) => words.minor.to_string(),
        ("patch", Some(words)) => words.patch.to_string(),
        _ => return Err(unknown()),
    })
}

/// `'YYYYMMDD' tz='UTC'`.
fn dated(text: &str, at: Timestamp) -> Result<String, String> {
    let text = text.trim();
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let quoted = quote.and_then(|quote| text[1..].split_once(quote));
    let (format, rest) = quoted.ok_or("`date` takes a format in quotes")?;
    let zone = match rest.trim() {
        "" => "UTC",
        rest => {
            let zone = rest.strip_prefix("tz=").ok_or_else(|| format!("`{rest}` is not known"))?;
            zone.trim_matches(['\'', '"'])
        }
    };
    if !["UTC", "Etc/UTC", "GMT", "Z"].iter().any(|known| known.eq_ignore_ascii_case(zone)) {
        return Err(format!("the time zone `{zone}` is not known: dates are in UTC"));
    }
    Ok(date(format, at))
}
