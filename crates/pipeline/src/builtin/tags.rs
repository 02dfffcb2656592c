//! Tags and labels of images, from what a run is for: what `docker/metadata-action` makes.
//!
//! Source: the action's documentation. Rules (`type=semver,pattern={{major}}.{{minor}}`) are
//! taken in the order of their priority; the first that gives a tag is the image's version.

use std::collections::BTreeMap;

use grit_types::Timestamp;

use super::version::Version;

const RULES_MAX: usize = 500;
const RULES_DEFAULT: [&str; 4] =
    ["type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr"];
/// A tag has at most so many characters, as the OCI distribution specification has it.
const TAG_LEN_MAX: usize = 128;
const SHORT_SHA_LEN: usize = 7;

/// What a run is for.
#[derive(Clone, Debug)]
pub struct About {
    /// `refs/heads/main`.
    pub reference: String,
    pub event: String,
    pub sha: String,
    /// `owner/name`.
    pub repository: String,
    pub server: String,
    pub description: String,
    pub default_branch: String,
    /// Of a pull request.
    pub base: String,
    pub now: Timestamp,
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
}

/// A rule, as `KEY=VALUE` pairs.
struct Rule {
    kind: String,
    pairs: BTreeMap<String, String>,
    priority: i64,
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
    let labels = labels(&lines(inputs, "labels"), &version, about);
    Ok(Metadata { version, tags, tag_names: names, labels })
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

/// `a=b,c="d,e"`.
fn pairs(line: &str) -> BTreeMap<String, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    let pair = |field: &String| {
        let (name, value) = field.split_once('=')?;
        Some((name.trim().to_lowercase(), value.trim().to_owned()))
    };
    fields.iter().filter_map(pair).collect()
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

impl Rule {
    fn read(line: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("tags: `{line}`: {why}");
        let mut pairs = pairs(line);
        // A word alone is a tag.
        if pairs.is_empty() {
            pairs = BTreeMap::from([("type".into(), "raw".into()), ("value".into(), line.into())]);
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
        if matches!(&*kind, "semver" | "pep440" | "match") && !pairs.contains_key("pattern") {
            return Err(wrong("it needs `pattern`"));
        }
        if kind == "ref"
            && !matches!(pairs.get("event").map(String::as_str), Some("branch" | "tag" | "pr"))
        {
            return Err(wrong("`event` is branch, tag or pr"));
        }
        if kind == "match" {
            return Err(wrong("regular expressions are not taken; use type=semver or type=raw"));
        }
        let given = pairs.get("priority").map(|text| text.parse());
        let priority =
            given.transpose().map_err(|_| wrong("`priority` is a number"))?.unwrap_or(priority);
        Ok(Self { kind, pairs, priority })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str)
    }

    /// The tag, and whether it makes the image the latest.
    fn tag(&self, flavor: &Flavor, about: &About) -> Result<Option<(String, bool)>, String> {
        let is_on = self.get("enable").map(|text| fill(text, about, None)).transpose()?;
        if is_on.is_some_and(|text| text != "true") {
            return Ok(None);
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
                let short = about.sha.get(..SHORT_SHA_LEN).unwrap_or(&about.sha);
                Some((if long { about.sha.clone() } else { short.to_owned() }, false))
            }
            "edge" => {
                let wanted = self.get("branch").unwrap_or(&about.default_branch);
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
            _ => match given.or(tag) {
                Some(raw) => self.version(&fill(raw, about, None)?, about)?,
                None => None,
            },
        })
    }

    fn version(&self, raw: &str, about: &About) -> Result<Option<(String, bool)>, String> {
        // Of what is no version, as the action: nothing.
        let is_whole = raw.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        let Some(version) = Version::parse(raw).filter(|_| is_whole.matches('.').count() == 2)
        else {
            return Ok(None);
        };
        let pattern = self.get("pattern").unwrap_or_default();
        let keeps_all = pattern.contains("{{raw}}") || pattern.contains("{{version}}");
        if !version.pre().is_empty() && !keeps_all {
            return Ok(Some((version.to_string(), false)));
        }
        let is_release = version.pre().is_empty();
        Ok(Some((fill(pattern, about, Some((raw, &version)))?, is_release)))
    }
}

/// The text with its `{{words}}` filled in.
fn fill(text: &str, about: &About, version: Option<(&str, &Version)>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let unclosed = || format!("tags: `{text}`: `{{{{` is not closed");
        let (word, after) = after.split_once("}}").ok_or_else(unclosed)?;
        filled.push_str(before);
        filled.push_str(
            &filling(word.trim(), about, version)
                .ok_or_else(|| format!("tags: `{text}`: `{}` is not known", word.trim()))?,
        );
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn filling(word: &str, about: &About, version: Option<(&str, &Version)>) -> Option<String> {
    let name = |prefix: &str| about.reference.strip_prefix(prefix).unwrap_or_default().to_owned();
    if let Some(format) = word.strip_prefix("date") {
        let format = format.trim().trim_matches(['\'', '"']);
        return Some(date(format.split(['\'', '"']).next().unwrap_or(format), about.now));
    }
    Some(match (word, version) {
        ("sha", _) => about.sha.get(..SHORT_SHA_LEN).unwrap_or(&about.sha).to_owned(),
        ("branch", _) => name("refs/heads/"),
        ("tag", _) => name("refs/tags/"),
        ("base_ref", _) => about.base.clone(),
        ("is_default_branch", _) => (name("refs/heads/") == about.default_branch).to_string(),
        ("raw", Some((raw, _))) => raw.to_owned(),
        ("version", Some((_, version))) => version.to_string(),
        ("major", Some((_, version))) => version.major().to_string(),
        ("minor", Some((_, version))) => version.minor().to_string(),
        ("patch", Some((_, version))) => version.patch().to_string(),
        _ => return None,
    })
}

/// In UTC, with the letters of moment.js that dates in tags are made of.
fn date(format: &str, now: Timestamp) -> String {
    let text = now.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    let fields = [
        ("YYYY", part(0, 4)),
        ("MM", part(5, 7)),
        ("DD", part(8, 10)),
        ("HH", part(11, 13)),
        ("mm", part(14, 16)),
        ("ss", part(17, 19)),
        ("X", (now.millis() / 1000).to_string()),
    ];
    fields.iter().fold(format.to_owned(), |made, (letters, value)| made.replace(letters, value))
}

fn sanitized(tag: &str) -> String {
    let mut clean = String::new();
    for c in tag.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            clean.push(c);
        } else if !clean.ends_with('-') {
            clean.push('-');
        }
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
mod tests {
    use super::*;

    fn about(reference: &str, event: &str) -> About {
        About {
            reference: reference.to_owned(),
            event: event.to_owned(),
            sha: "860c1904a1ce19322e91ac35af1ab07466440c37".to_owned(),
            repository: "acme/shop".to_owned(),
            server: "https://github.com".to_owned(),
            description: String::new(),
            default_branch: "main".to_owned(),
            base: String::new(),
            now: Timestamp::from_millis(1_700_000_000_000),
        }
    }

    fn tags(reference: &str, event: &str, tags: &str, flavor: &str) -> Vec<String> {
        let pairs = [("images", "Acme/Shop"), ("tags", tags), ("flavor", flavor)];
        let inputs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let made = metadata(&inputs, &about(reference, event)).unwrap();
        made.tags.iter().map(|tag| tag.strip_prefix("acme/shop:").unwrap().to_owned()).collect()
    }

    /// The table of the action's documentation.
    #[test]
    fn tags_are_those_of_the_documentation() {
        assert_eq!(tags("refs/heads/releases/v1", "push", "", ""), ["releases-v1"]);
        assert_eq!(tags("refs/heads/main", "push", "", ""), ["main"]);
        assert_eq!(tags("refs/tags/v1.2.3", "push", "", ""), ["v1.2.3", "latest"]);
        assert_eq!(tags("refs/pull/2/merge", "pull_request", "", ""), ["pr-2"]);
        assert_eq!(tags("refs/heads/main", "schedule", "", ""), ["nightly", "main"]);
        let semver =
            "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}}\ntype=sha";
        assert_eq!(
            tags("refs/tags/v1.2.3", "push", semver, ""),
            ["1.2.3", "1.2", "sha-860c190", "latest"]
        );
        assert_eq!(
            tags("refs/tags/v2.0.8-beta.67", "push", semver, ""),
            ["2.0.8-beta.67", "sha-860c190"]
        );
        assert_eq!(tags("refs/heads/main", "push", semver, ""), ["sha-860c190"]);
        assert_eq!(
            tags("refs/heads/main", "push", "type=edge\ntype=raw,value=x-{{sha}}", ""),
            ["edge", "x-860c190"]
        );
        assert_eq!(tags("refs/heads/dev", "push", "type=edge,branch=dev", ""), ["edge"]);
        assert_eq!(
            tags("refs/heads/main", "push", "type=sha,format=long,prefix=", "")[0].len(),
            40
        );
        assert_eq!(
            tags("refs/heads/main", "push", "type=raw,value=a,enable={{is_default_branch}}", ""),
            ["a"]
        );
        assert_eq!(
            tags("refs/heads/dev", "push", "type=raw,value=a,enable={{is_default_branch}}\nb", ""),
            ["b"]
        );
        assert_eq!(
            tags("refs/tags/v1.2.3", "push", "type=ref,event=tag", "latest=false\nsuffix=-alpine"),
            ["v1.2.3-alpine"]
        );
        assert_eq!(
            tags("refs/heads/main", "push", "x", "latest=true\nprefix=p-,onlatest=true"),
            ["p-x", "p-latest"]
        );
        assert_eq!(
            tags("refs/heads/main", "push", "type=raw,value={{date 'YYYYMMDD'}}", ""),
            ["20231114"]
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let refused = |tags: &str| {
            let inputs = [("tags".to_owned(), tags.to_owned())].into();
            metadata(&inputs, &about("refs/tags/v1.2.3", "push")).unwrap_err()
        };
        assert!(refused("type=nonsense").contains("type is not known"));
        assert!(refused("type=semver").contains("pattern"));
        assert!(refused("type=raw,value={{nonsense}}").contains("nonsense"));
        assert!(refused("type=raw,value={{sha").contains("not closed"));
        assert!(refused("type=ref,event=moon").contains("branch, tag or pr"));
    }
}
