//! Tags and labels of images, from what a run is for: what `docker/metadata-action` makes.
//!
//! Source: the action's documentation. Rules (`type=semver,pattern={{major}}.{{minor}}`) are
//! taken in the order of their priority; the first that gives a tag is the image's version.

mod date;
mod pep440;
mod rule;

use std::collections::BTreeMap;

use grit_types::Timestamp;

use rule::Rule;

const RULES_MAX: usize = 500;
const RULES_DEFAULT: [&str; 4] =
    ["type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr"];
/// A tag has at most so many characters, as the OCI distribution specification has it.
const TAG_LEN_MAX: usize = 128;
/// A commit's short name is so long where nobody says how long.
pub const SHORT_SHA_LEN: usize = 7;

/// What a run is for.
#[derive(Clone, Debug)]
pub struct About {
    /// `refs/heads/main`.
    pub reference: String,
    pub event: String,
    pub sha: String,
    /// How long its short name is.
    pub short: usize,
    /// `owner/name`.
    pub repository: String,
    pub server: String,
    pub description: String,
    pub default_branch: String,
    /// The branch that a pull request goes into, or that a tag was made from.
    pub base: String,
    pub now: Timestamp,
    /// When the commit was made, where that is known.
    pub committed: Option<Timestamp>,
}

impl About {
    fn short_sha(&self) -> &str {
        self.sha.get(..self.short).unwrap_or(&self.sha)
    }
}

/// What is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub version: String,
    /// With the image's name, in order.
    pub tags: Vec<String>,
    /// Without it.
    pub tag_names: Vec<String>,
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
}

/// How tags are written, whatever rule they come from.
struct Flavor {
    /// `None`: where the rule says so.
    latest: Option<bool>,
    prefix: String,
    suffix: String,
    prefix_latest: bool,
    suffix_latest: bool,
}

/// The tags and labels for these inputs of the action.
///
/// # Errors
/// For people: which line says what is not known.
pub fn metadata(inputs: &BTreeMap<String, String>, about: &About) -> Result<Metadata, String> {
    let images: Vec<String> =
        lines(inputs, "images").iter().filter_map(|line| image(line)).collect();
    let flavor = Flavor::read(&lines(inputs, "flavor"))?;
    let mut texts = lines(inputs, "tags");
    if texts.is_empty() {
        texts = RULES_DEFAULT.map(str::to_owned).to_vec();
    }
    if texts.len() > RULES_MAX {
        return Err(format!("more than {RULES_MAX} tags are asked for"));
    }
    let mut rules = texts.iter().map(|line| Rule::read(line)).collect::<Result<Vec<_>, _>>()?;
    // The sort is stable: rules of one priority stay in order.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    let (mut names, mut latest) = (Vec::<String>::new(), None);
    for rule in &rules {
        if let Some((tag, is_latest)) = rule.tag(&flavor, about)? {
            let tag = sanitized(&tag);
            if !tag.is_empty() && !names.contains(&tag) {
                names.push(tag);
            }
            latest.get_or_insert(flavor.latest.unwrap_or(is_latest));
        }
    }
    let version = names.first().cloned().unwrap_or_default();
    if latest == Some(true) {
        let name = flavor.dressed_latest();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let full = |image: &String| {
        names.iter().map(move |name| format!("{image}:{name}")).collect::<Vec<_>>()
    };
    let tags =
        if images.is_empty() { names.clone() } else { images.iter().flat_map(full).collect() };
    let labels_of = |name: &str| labels(&lines(inputs, name), &version, about);
    let (labels, annotations) = (labels_of("labels"), labels_of("annotations"));
    Ok(Metadata { version, tags, tag_names: names, labels, annotations })
}

fn lines(inputs: &BTreeMap<String, String>, name: &str) -> Vec<String> {
    let text = inputs.get(name).map(String::as_str).unwrap_or_default();
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// `NAME`, or `name=NAME,enable=false`.
fn image(line: &str) -> Option<String> {
    if !line.contains('=') {
        return Some(line.to_lowercase());
    }
    let pairs = pairs(line);
    let is_on = pairs.get("enable").is_none_or(|enable| enable != "false");
    pairs.get("name").filter(|name| is_on && !name.is_empty()).map(|name| name.to_lowercase())
}

/// `a=b,c="d,e",f`: names in small letters, and what has none.
fn fields(line: &str) -> Vec<(Option<String>, String)> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    let pair = |field: &String| match field.split_once('=') {
        Some((name, value)) => (Some(name.trim().to_lowercase()), value.trim().to_owned()),
        None => (None, field.trim().to_owned()),
    };
    fields.iter().map(pair).filter(|(name, value)| name.is_some() || !value.is_empty()).collect()
}

fn pairs(line: &str) -> BTreeMap<String, String> {
    fields(line).into_iter().filter_map(|(name, value)| Some((name?, value))).collect()
}

impl Flavor {
    fn read(lines: &[String]) -> Result<Self, String> {
        let mut flavor = Self {
            latest: None,
            prefix: String::new(),
            suffix: String::new(),
            prefix_latest: false,
            suffix_latest: false,
        };
        for line in lines {
            let pairs = pairs(line);
            let onlatest = pairs.get("onlatest").is_some_and(|value| value == "true");
            for (name, value) in &pairs {
                match (&**name, &**value) {
                    ("latest", "auto") => flavor.latest = None,
                    ("latest", "true" | "false") => flavor.latest = Some(value == "true"),
                    ("prefix", value) => {
                        (flavor.prefix, flavor.prefix_latest) = (value.to_owned(), onlatest);
                    }
                    ("suffix", value) => {
                        (flavor.suffix, flavor.suffix_latest) = (value.to_owned(), onlatest);
                    }
                    ("onlatest", _) => {}
                    _ => return Err(format!("flavor: `{line}` is not known")),
                }
            }
        }
        Ok(flavor)
    }

    fn dressed_latest(&self) -> String {
        let prefix = if self.prefix_latest { &*self.prefix } else { "" };
        let suffix = if self.suffix_latest { &*self.suffix } else { "" };
        format!("{prefix}latest{suffix}")
    }
}

/// Of characters that no tag has, those that stand together become one `-`.
fn sanitized(tag: &str) -> String {
    let (mut clean, mut replaced) = (String::new(), false);
    for c in tag.chars() {
        let fits = c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if fits || !replaced {
            clean.push(if fits { c } else { '-' });
        }
        replaced = !fits;
    }
    clean.truncate(TAG_LEN_MAX);
    clean.trim_start_matches(['.', '-']).to_owned()
}

fn labels(extra: &[String], version: &str, about: &About) -> Vec<(String, String)> {
    let title = about.repository.rsplit('/').next().unwrap_or_default();
    let url = format!("{}/{}", about.server, about.repository);
    let own = [
        ("created", about.now.to_string()),
        ("description", about.description.clone()),
        ("licenses", String::new()),
        ("revision", about.sha.clone()),
        ("source", url.clone()),
        ("title", title.to_owned()),
        ("url", url),
        ("version", version.to_owned()),
    ];
    let own =
        own.into_iter().map(|(name, value)| (format!("org.opencontainers.image.{name}"), value));
    let mut labels: BTreeMap<String, String> = own.collect();
    let extra = extra.iter().filter_map(|line| line.split_once('='));
    labels.extend(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels.into_iter().collect()
}

#[cfg(test)]
mod tests;
