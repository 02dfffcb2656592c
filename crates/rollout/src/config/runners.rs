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
            Some(HOST) => Some(RunnerOn::Host),
            Some(other) => {
                let message = format!("a runner is `{HOST}` or a mapping, not `{other}`");
                let finding = diagnostics.error(node.span, common::INVALID_VALUE, message);
                finding.help(value::did_you_mean(other, [HOST]));
                None
            }
            None => container(node, diagnostics),
        };
        runners.extend(on.map(|on| RunnerConfig { labels: labels.value.to_owned(), on }));
    }
    runners
}

fn container(node: &grit_diag::yaml::Node, diagnostics: &mut Diagnostics) -> Option<RunnerOn> {
    let mut fields = Fields::of(node, diagnostics)?;
    let image = fields.required("container", diagnostics);
    let image = image.and_then(|image| read::string(image, diagnostics));
    fields.finish(diagnostics);
    let image = image?;
    if image.trim().is_empty() {
        diagnostics.error(image.span, common::INVALID_VALUE, "the container has no image");
        return None;
    }
    Some(RunnerOn::Container(image.trim().to_owned()))
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
        let (runners, said) =
            read("runners: { \"ubuntu-*\": host, big: { container: \"debian:13\" } }\n");
        assert_eq!(said, "");
        let rule = |labels: &str, on| RunnerConfig { labels: labels.to_owned(), on };
        let image = RunnerOn::Container("debian:13".to_owned());
        assert_eq!(runners.unwrap(), [rule("ubuntu-*", RunnerOn::Host), rule("big", image)]);
    }

    #[test]
    fn what_is_no_runner_is_said_with_what_may_be_meant() {
        for (text, named) in [
            ("runners: { a: hots }", "did you mean `host`?"),
            ("runners: { a: { contianer: x } }", "container"),
            ("runners: { a: { container: \"\" } }", "no image"),
            ("runers: { a: host }", "runners"),
        ] {
            let (runners, said) = read(text);
            assert!(runners.is_none() && said.contains(named), "{text}: {said}");
        }
    }
}
