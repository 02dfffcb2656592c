//! The `grit.yaml` that is written.

use super::detect::Detected;

/// More services than this are written on one line each.
const ROOMY_MAX: usize = 3;

const HEAD: &str = "\
# What Grit deploys from this repository, where, and how. What is left out has
# a default; `grit schema` prints every key, and a key it lacks is an error.
services:
";

/// Behind the services; `BRANCH` is the one that HEAD stood on.
const REST: &str = r#"
# A commit is built once; the same bytes go from one environment to the next.
environments:
  staging:
    when: { branch: BRANCH }
  production:
    when: { tag: "v*" }
    after: staging
    # Somebody agrees who did not push it; `distinct: false` lets anyone agree.
    gates: [{ approval: { min: 1, roles: [Owner, Admin], distinct: true } }]
    strategy: careful

strategies:
  # A new revision gets a small share of the traffic, and earns the rest.
  careful:
    canary:
      steps:
        [{ setWeight: 5 }, { pause: { duration: 10m } }, { setWeight: 50 }, { pause: { duration: 10m } }]
      # Measured all the time: fewer good answers, and everything goes back.
      analysis: { metrics: [{ name: success-rate, min: 99 }], interval: 10s }
      # The emergency brake in the traffic router itself.
      guard: { errorRate: 20, window: 2s, minRequests: 20 }
"#;

/// A `grit.yaml` for these services; for one that is to be filled in where there are none.
pub fn text(repo: &str, branch: &str, services: &[Detected]) -> String {
    let mut text = HEAD.to_owned();
    if services.is_empty() {
        text.push_str("  # Nothing here looked like a service: say how it is run.\n");
        let command = vec![format!("./{repo}")];
        roomy(&mut text, repo, repo, &[".".to_owned()], &command, true);
    }
    for (at, service) in services.iter().enumerate() {
        let Detected { name, source, command, .. } = service;
        if services.len() <= ROOMY_MAX {
            roomy(&mut text, repo, name, source, command, at == 0);
        } else {
            let (source, command) = (list(source), list(command));
            let (name, image) = (scalar(name), scalar(&image(repo, name)));
            text.push_str(&format!(
                "  {name}: {{ source: {source}, image: {image}, run: {{ command: {command}, replicas: 2 }} }}\n"
            ));
        }
    }
    text + &REST.replace("BRANCH", &scalar(branch))
}

/// The name that a service's artifacts are published under.
pub fn image(repo: &str, service: &str) -> String {
    if repo == service { repo.to_owned() } else { format!("{repo}/{service}") }
}

fn roomy(
    text: &mut String,
    repo: &str,
    name: &str,
    source: &[String],
    command: &[String],
    explained: bool,
) {
    let mut line = |comment: &str, line: String| {
        if explained && !comment.is_empty() {
            text.push_str(&format!("    # {comment}\n"));
        }
        text.push_str(&line);
    };
    line("", format!("  {}:\n", scalar(name)));
    line("Paths whose change concerns this service.", format!("    source: {}\n", list(source)));
    let image = image(repo, name);
    let publish = format!("The pipeline publishes it: `grit artifact push {image} FOLDER`.");
    line(&publish, format!("    image: {}\n", scalar(&image)));
    line(
        "Started in what was published, with PORT in its environment.",
        format!(
            "    run: {{ command: {}, replicas: 2, health: {{ path: /health }} }}\n",
            list(command)
        ),
    );
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
    format!("[{}]", items.join(", "))
}

/// Plain where YAML reads that as text, in every version of it; else quoted, as JSON would.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let starts = |c: char| c.is_ascii_alphabetic();
    let is_plain = text.strip_prefix("./").unwrap_or(text).starts_with(starts)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain || text == "." || text == "-m" || text == "-jar" {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use grit_diag::{Source, render};
    use grit_rollout::config::{self, Config};

    use super::super::detect;
    use super::*;

    fn parsed(text: &str) -> Config {
        let (config, diagnostics) = config::parse(&Source::new("grit.yaml", text));
        assert!(diagnostics.is_empty(), "{}\n{text}", render::plain(&diagnostics));
        config.unwrap()
    }

    fn written(paths: &[&str], repo: &str, branch: &str) -> (String, Config) {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let text = text(repo, branch, &detect::services(&paths, repo));
        let config = parsed(&text);
        (text, config)
    }

    #[test]
    fn it_parses_without_findings_and_fits_a_screen() {
        for paths in [
            &["README.md"][..],
            &["Cargo.toml", "src/main.rs"],
            &["services/api/src/main.rs", "services/web/src/main.rs", "services/common/mod.rs"],
            &["apps/a/package.json", "apps/b/pyproject.toml", "cmd/c/main.go", "go.mod"],
            &["apps/a/app.py", "apps/b/app.py", "apps/c/pom.xml", "apps/d/Dockerfile"],
        ] {
            let (text, config) = written(paths, "shop", "main");
            assert!(text.lines().count() <= 40, "{}\n{text}", text.lines().count());
            assert!(text.lines().all(|line| line.len() <= 110), "{text}");
            let names: BTreeSet<_> = config.services.iter().map(|s| s.name.as_str()).collect();
            assert!(!names.is_empty() && names.len() == config.services.len());
        }
    }

    #[test]
    fn the_shop_gets_what_it_has() {
        let paths =
            ["services/api/src/main.rs", "services/web/src/main.rs", "services/common/mod.rs"];
        let (text, config) = written(&paths, "shop", "main");
        let api = &config.services[0];
        assert_eq!(api.image, "shop/api");
        assert_eq!(api.source, ["services/api", "services/common"]);
        assert_eq!(api.run.command, ["./api"]);
        let production = &config.environments[1];
        assert_eq!(production.after.as_ref().map(|name| name.as_str()), Some("staging"));
        assert!(text.contains("grit artifact push shop/api FOLDER"), "{text}");
    }

    #[test]
    fn the_sample_in_the_readme_is_one() {
        let readme = include_str!("../../../../../README.md");
        let (_, rest) = readme.split_once("```yaml\n").unwrap();
        let config = parsed(rest.split_once("```").unwrap().0);
        assert_eq!(config.environments[1].gates.len(), 2);
    }

    #[test]
    fn names_that_yaml_takes_for_something_else_are_quoted() {
        let paths = ["services/1/app.py", "services/No/app.py", "services/a: b #c/app.py"];
        let (text, config) = written(&paths, "true", "12");
        let names: Vec<_> = config.services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["1", "a--b--c", "no"], "{text}");
        assert_eq!(config.services[1].source, ["services/a: b #c"]);
        let when = config.environments[0].when.as_ref().unwrap();
        assert_eq!(when.branch.as_ref().unwrap().as_str(), "12");
    }
}
