//! Which label of `runs-on` is served by what.

use serde::{Deserialize, Serialize};

/// One line of the map: the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRule {
    /// A label; `*` stands for any characters, upper and lower case are the same.
    pub labels: String,
    pub on: RunnerKind,
    /// Its containers may have what makes them as good as the machine.
    #[serde(default)]
    pub trusted: bool,
}

/// What runs a job that asks for no container itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerKind {
    /// Processes of the machine.
    Host,
    /// A container of that image.
    Container(String),
}

/// What serves a job with these labels; `None`: no line speaks of any of them.
pub fn runner_of<'a>(rules: &'a [RunnerRule], labels: &[String]) -> Option<&'a RunnerRule> {
    let fits = |rule: &&RunnerRule| labels.iter().any(|label| matches(&rule.labels, label));
    rules.iter().find(fits)
}

/// Whether a line of the map speaks of the label.
pub fn is_mapped(rules: &[RunnerRule], label: &str) -> bool {
    rules.iter().any(|rule| matches(&rule.labels, label))
}

fn matches(pattern: &str, label: &str) -> bool {
    let (pattern, label) = (pattern.to_ascii_lowercase(), label.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = label.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let rule = |labels: &str, on| RunnerRule { labels: labels.to_owned(), on, trusted: false };
        let image = || RunnerKind::Container("debian:13".to_owned());
        let rules = [rule("ubuntu-*", RunnerKind::Host), rule("big", image())];
        let of = |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            runner_of(&rules, &labels).map(|rule| rule.on.clone())
        };
        assert_eq!(of(&["Ubuntu-24.04"]), Some(RunnerKind::Host));
        assert_eq!(of(&["self-hosted", "big"]), Some(image()));
        assert_eq!(of(&["bigger"]), None);
        assert!(is_mapped(&rules, "ubuntu-") && !is_mapped(&rules, "xubuntu-1"));
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, label, fits) in [
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*b", "ab", false),
            ("*-arm", "linux-arm", true),
        ] {
            assert_eq!(matches(pattern, label), fits, "{pattern} {label}");
        }
    }
}
