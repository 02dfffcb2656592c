use grit_diag::decode::{Fields, read};
use grit_diag::{Diagnostics, codes as common};
use serde::{Deserialize, Serialize};

use super::{ITEMS_MAX, value};

/// A runner that is the machine itself.
pub(super) const HOST: &str = "host";

/// Which labels of `runs-on` are served by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerConfig {
    /// `*` in it stands for any characters.
    pub labels: String,
    pub on: RunnerOn,
    /// Its containers may have what makes them as good as the machine.
    #[serde(default)]
    pub trusted: bool,
}

/// What runs a job that asks for no container itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerOn {
    /// Processes of the machine.
    Host,
    /// A container of that image.
    Container(String),
}

pub(super) fn read_all(root: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<RunnerConfig> {
    let Some(node) = root.take("runners") else { return Vec::new() };
    let entries = read::entries(node, diagnostics).unwrap_or_default();
    if entries.len() > ITEMS_MAX {
        let message = format!("{} runners; there are at most {ITEMS_MAX}", entries.len());
        diagnostics.error(node.span, common::INVALID_VALUE, message);
        return Vec::new();
    }
    let mut runners = Vec::new();
    for (labels, node) in entries {
        let on = match node.as_str() {
            Some(HOST) => Some((RunnerOn::Host, false)),
            Some(other) => {
                let message = format!("a runner is `{HOST}` or a mapping, not `{other}`");
                let finding = diagnostics.error(node.span, common::INVALID_VALUE, message);
                finding.help(value::did_you_mean(other, [HOST]));
                None
            }
            None => container(node, diagnostics),
        };
        let labels = labels.value.to_owned();
        runners.extend(on.map(|(on, trusted)| RunnerConfig { labels, on, trusted }));
    }
    runners
}

/// Without an image it is the machine itself, of which something is said.
fn container(
    node: &grit_diag::yaml::Node,
    diagnostics: &mut Diagnostics,
) -> Option<(RunnerOn, bool)> {
    let mut fields = Fields::of(node, diagnostics)?;
    let trusted = fields
        .take("trusted")
        .map(|node| read::boolean(node, diagnostics).map(|trusted| trusted.value));
    let image = match trusted {
        Some(_) => fields.take("container"),
        None => fields.required("container", diagnostics),
    };
    let is_host = image.is_none() && trusted.is_some();
    let image = image.and_then(|image| read::string(image, diagnostics));
    fields.finish(diagnostics);
    let trusted = trusted.map_or(Some(false), |trusted| trusted)?;
    if is_host {
        return Some((RunnerOn::Host, trusted));
    }
    let image = image?;
    if image.trim().is_empty() {
        diagnostics.error(image.span, common::INVALID_VALUE, "the container has no image");
        return None;
    }
    Some((RunnerOn::Container(image.trim().to_owned()), trusted))
}

#[cfg(test)]
mod tests {
    use grit_diag::Source;

    use super::*;
    use crate::config::parse;

    fn read(text: &str) -> (Option<Vec<RunnerConfig>>, String) {
        let (config, findings) = parse(&Source::new("grit.yaml", text));
        (config.map(|config| config.runners), grit_diag::render::plain(&findings))
    }

    #[test]
    fn runners_are_read_in_their_order() {
        let (runners, said) = read(
            "runners: { \"ubuntu-*\": host, big: { container: \"debian:13\" }, \
             own: { container: \"debian:13\", trusted: true }, here: { trusted: true } }\n",
        );
        assert_eq!(said, "");
        let rule =
            |labels: &str, on, trusted| RunnerConfig { labels: labels.to_owned(), on, trusted };
        let image = || RunnerOn::Container("debian:13".to_owned());
        let all = [
            rule("ubuntu-*", RunnerOn::Host, false),
            rule("big", image(), false),
            rule("own", image(), true),
            rule("here", RunnerOn::Host, true),
        ];
        assert_eq!(runners.unwrap(), all);
    }

    #[test]
    fn what_is_no_runner_is_said_with_what_may_be_meant() {
        for (text, named) in [
            ("runners: { a: hots }", "did you mean `host`?"),
            ("runners: { a: { contianer: x } }", "container"),
            ("runners: { a: { container: \"\" } }", "no image"),
            ("runners: { a: { trusted: 1 } }", "trusted"),
            ("runers: { a: host }", "runners"),
        ] {
            let (runners, said) = read(text);
            assert!(runners.is_none() && said.contains(named), "{text}: {said}");
        }
    }
}
