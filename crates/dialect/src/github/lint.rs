//! What is sound and yet dangerous in a workflow. Nothing here stops anything: where the service
//! runs it, so does Grit.

use grit_diag::yaml::{self, Node};
use grit_diag::{Diagnostics, Source, Span};
use grit_pipeline::expr::{Expr, Node as Term, Scope, Template, Value};

use super::locate::locate;
use crate::codes;

/// What of an event whoever caused it has written, as it stands in `github`; `*`: any member.
///
/// Source: GitHub's "Security hardening for GitHub Actions", untrusted input.
const UNTRUSTED: &[&str] = &[
    "head_ref",
    "ref_name",
    "event.comment.body",
    "event.commits.*.author.email",
    "event.commits.*.author.name",
    "event.commits.*.message",
    "event.discussion.body",
    "event.discussion.title",
    "event.discussion_comment.body",
    "event.head_commit.author.email",
    "event.head_commit.author.name",
    "event.head_commit.message",
    "event.issue.body",
    "event.issue.title",
    "event.label.description",
    "event.milestone.description",
    "event.milestone.title",
    "event.pages.*.page_name",
    "event.pull_request.body",
    "event.pull_request.head.label",
    "event.pull_request.head.ref",
    "event.pull_request.head.repo.default_branch",
    "event.pull_request.title",
    "event.review.body",
    "event.review_comment.body",
    "event.workflow_run.head_branch",
    "event.workflow_run.head_commit.message",
];

/// What names the commit of a pull request.
const FOREIGN_HEADS: &[&str] =
    &["head_ref", "event.pull_request.head.*", "event.workflow_run.head_*", "event.number"];

/// Actions whose input is a script, and that input.
const SCRIPTS: &[(&str, &str)] = &[("actions/github-script", "script")];

/// What of a container's `options` opens the machine to it.
const OPTIONS: &[&str] =
    &["--privileged", "--pid=host", "--pid host", "--userns=host", "--userns host", "--cap-add"];

/// The warnings about a workflow that can be read; nothing where it cannot.
///
/// ```
/// use grit_diag::Source;
/// let text = "on: issues\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'echo ${{ github.event.issue.title }}'}]\n";
/// let found = grit_dialect::github::lint(&Source::new("a.yml", text));
/// assert_eq!(found.sorted()[0].code.id, "W0110");
/// ```
pub fn lint(source: &Source) -> Diagnostics {
    let (root, _) = yaml::parse(source);
    let mut linter = Linter { source, findings: Diagnostics::new(source), triggers: Vec::new() };
    if let Some(root) = &root {
        linter.workflow(root);
    }
    linter.findings
}

struct Linter<'a> {
    source: &'a Source,
    findings: Diagnostics,
    triggers: Vec<String>,
}

impl Linter<'_> {
    fn workflow(&mut self, root: &Node) {
        self.triggers = root.get("on").map(names).unwrap_or_default();
        self.fork_permissions(root);
        let jobs = root.get("jobs").and_then(Node::as_mapping).unwrap_or_default();
        for (_, job) in jobs {
            self.fork_permissions(job);
            job.get("container").into_iter().for_each(|container| self.container(container));
            let services = job.get("services").and_then(Node::as_mapping).unwrap_or_default();
            services.iter().for_each(|(_, service)| self.container(service));
            let guarded = job.get("environment").is_some();
            for step in job.get("steps").and_then(Node::as_sequence).unwrap_or_default() {
                self.step(step, job, guarded);
            }
        }
        self.fork_secrets(root);
    }

    fn step(&mut self, step: &Node, job: &Node, guarded: bool) {
        if let Some(run) = step.get("run") {
            self.injection(run);
            self.reserved(run);
            self.printed(run, &[step, job]);
        }
        let uses = step.get("uses").and_then(Node::as_str).unwrap_or_default();
        let action = uses.split('@').next().unwrap_or_default();
        for (_, input) in SCRIPTS.iter().filter(|(name, _)| name.eq_ignore_ascii_case(action)) {
            let script = step.get("with").and_then(|with| with.get(input));
            script.into_iter().for_each(|script| self.injection(script));
        }
        if action.eq_ignore_ascii_case("actions/checkout") && !guarded {
            self.foreign_checkout(step);
        }
    }

    /// Values from outside among the text of a script.
    fn injection(&mut self, script: &Node) {
        for (expr, span) in self.expressions(script) {
            let Some(path) = untrusted(&expr, UNTRUSTED) else { continue };
            let name = variable(&path);
            let message = format!("`{path}` becomes part of the script, and anybody may write it");
            self.findings
                .warning(span, codes::INJECTION, message)
                .help(format!("env: {{ {name}: \"${{{{ {path} }}}}\" }}, and \"${name}\" here"));
        }
    }

    fn foreign_checkout(&mut self, step: &Node) {
        let trusted = ["pull_request_target", "workflow_run"];
        let Some(trigger) = trusted.iter().find(|name| self.triggers.iter().any(|t| t == *name))
        else {
            return;
        };
        let with = step.get("with").and_then(Node::as_mapping).unwrap_or_default();
        let named = ["ref", "repository"];
        let of = with.iter().filter(|(key, _)| key.text().is_some_and(|key| named.contains(&key)));
        for (_, value) in of {
            let foreign = |(expr, _): &(Expr, Span)| untrusted(expr, FOREIGN_HEADS).is_some();
            let Some((_, span)) = self.expressions(value).into_iter().find(foreign) else {
                continue;
            };
            let message = format!("`{trigger}` has secrets, and this is the pull request's code");
            self.findings
                .warning(span, codes::FOREIGN_CHECKOUT, message)
                .help("use `pull_request`, or an `environment` that a person approves");
            return;
        }
    }

    /// Rights that a run for a fork never has.
    fn fork_permissions(&mut self, at: &Node) {
        let Some(permissions) = at.get("permissions").filter(|_| self.is_for_forks()) else {
            return;
        };
        let id_token = permissions.get("id-token");
        let wanted = match (permissions.as_str(), id_token.and_then(Node::as_str)) {
            (Some("write-all"), _) => (permissions.span, "write-all"),
            (_, Some("write")) => (id_token.map_or(permissions.span, |node| node.span), "id-token"),
            _ => return,
        };
        let message = format!("`{}` is not given to pull requests of forks", wanted.1);
        self.findings.warning(wanted.0, codes::FORK, message);
    }

    /// The first secret that a run for a fork finds empty.
    fn fork_secrets(&mut self, root: &Node) {
        if !self.is_for_forks() {
            return;
        }
        let mut found = None;
        self.each_text(root, &mut |expr, span| {
            if let Some(path) = secret(expr) {
                found.get_or_insert((span, path));
            }
        });
        if let Some((span, path)) = found {
            let message = format!("`{path}` is empty in pull requests of forks");
            self.findings.warning(span, codes::FORK, message);
        }
    }

    fn is_for_forks(&self) -> bool {
        self.triggers.iter().any(|trigger| trigger == "pull_request")
    }

    fn container(&mut self, container: &Node) {
        let options = container.get("options");
        let opened = options.and_then(Node::as_str).and_then(|text| {
            OPTIONS.iter().find(|option| text.contains(*option)).map(|option| (*option).to_owned())
        });
        let mut found: Vec<(Span, String)> = Vec::new();
        found.extend(options.zip(opened).map(|(node, option)| (node.span, option)));
        let volumes = container.get("volumes");
        for volume in volumes.and_then(Node::as_sequence).unwrap_or_default() {
            let text = volume.as_str().unwrap_or_default();
            if text.starts_with("/:") || text.contains("docker.sock") {
                found.push((volume.span, text.to_owned()));
            }
        }
        for (span, what) in found {
            let message = format!("`{what}` gives the container the machine it runs on");
            self.findings.warning(span, codes::CONTAINER, message);
        }
    }

    /// `echo "LD_PRELOAD=…" >> "$GITHUB_ENV"`.
    fn reserved(&mut self, run: &Node) {
        let script = run.as_str().unwrap_or_default();
        for line in script.lines().filter(|line| line.contains("GITHUB_ENV")) {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '='));
            let names = words.filter_map(|word| word.split_once('=')).map(|(name, _)| name);
            let refused = |name: &&str| {
                *name == "NODE_OPTIONS" || name.starts_with("LD_") || name.starts_with("GRIT_")
            };
            if let Some(name) = names.into_iter().find(refused) {
                let at = line.as_ptr() as usize - script.as_ptr() as usize;
                let span = self.part(run, at, line.len());
                let message = format!("`{name}` cannot be set through GITHUB_ENV: the step fails");
                self.findings
                    .warning(span, codes::RESERVED, message)
                    .help(format!("env: {{ {name}: … }} at the steps that need it"));
            }
        }
    }

    /// A variable with a value from outside that the script prints.
    fn printed(&mut self, run: &Node, above: &[&Node]) {
        let script = run.as_str().unwrap_or_default();
        if script.contains("::stop-commands::") {
            return;
        }
        let env = above.iter().filter_map(|node| node.get("env")?.as_mapping()).flatten();
        for (name, value) in env {
            let Some(name) = name.text() else { continue };
            let outside =
                self.expressions(value).iter().any(|(e, _)| untrusted(e, UNTRUSTED).is_some());
            if !outside {
                continue;
            }
            if let Some(line) = script.lines().find(|line| prints(line, name)) {
                let at = line.as_ptr() as usize - script.as_ptr() as usize;
                let span = self.part(run, at, line.len());
                let message = format!("`{name}` is printed, and may hold workflow commands");
                self.findings.warning(span, codes::PRINTED, message);
                return;
            }
        }
    }

    fn each_text(&self, node: &Node, visit: &mut dyn FnMut(&Expr, Span)) {
        for (expr, span) in self.expressions(node) {
            visit(&expr, span);
        }
        for child in node.as_sequence().unwrap_or_default() {
            self.each_text(child, visit);
        }
        for (_, child) in node.as_mapping().unwrap_or_default() {
            self.each_text(child, visit);
        }
    }

    /// The expressions of a text, each with its place in the file.
    fn expressions(&self, node: &Node) -> Vec<(Expr, Span)> {
        let Some(text) = node.as_str().filter(|text| text.contains("${{")) else {
            return Vec::new();
        };
        let Ok(template) = Template::parse(text, Scope::ANY) else { return Vec::new() };
        let (mut found, mut from) = (Vec::new(), 0);
        for expr in template.expressions() {
            let at = text[from..].find(&expr.text).map_or(from, |at| from + at);
            found.push((expr.clone(), self.part(node, at, expr.text.len())));
            from = at + expr.text.len();
        }
        found
    }

    fn part(&self, node: &Node, at: usize, length: usize) -> Span {
        locate(node, self.source.slice(node.span), at, length)
    }
}

/// The names of events in any form of `on`.
fn names(on: &Node) -> Vec<String> {
    let texts: Vec<&Node> = match (on.as_sequence(), on.as_mapping()) {
        (Some(items), _) => items.iter().collect(),
        (_, Some(pairs)) => pairs.iter().map(|(key, _)| key).collect(),
        _ => vec![on],
    };
    texts.into_iter().filter_map(|node| node.text().map(str::to_owned)).collect()
}

/// The first value in it that is one of `paths`, or holds one.
fn untrusted(expr: &Expr, paths: &[&str]) -> Option<String> {
    let mut found = None;
    walk(&expr.node, &mut |path| {
        let own = if path == "github" { "" } else { path.strip_prefix("github.")? };
        let hit = own.is_empty() || paths.iter().any(|wanted| covers(own, wanted));
        if hit && found.is_none() {
            found = Some(path.to_owned());
        }
        Some(())
    });
    found
}

/// Whether `own` is the path, or one above it: `event` holds every title.
fn covers(own: &str, wanted: &str) -> bool {
    let (mut own, mut wanted) = (own.split('.'), wanted.split('.'));
    loop {
        match (own.next(), wanted.next()) {
            (None, _) => return true,
            (Some(_), None) => return false,
            (Some(a), Some(b)) => {
                let begins = b.strip_suffix('*').is_some_and(|begin| a.starts_with(begin));
                if !(a == "*" || begins || a.eq_ignore_ascii_case(b)) {
                    return false;
                }
            }
        }
    }
}

fn secret(expr: &Expr) -> Option<String> {
    let mut found = None;
    walk(&expr.node, &mut |path| {
        let name = path.strip_prefix("secrets.")?;
        if !name.eq_ignore_ascii_case("GITHUB_TOKEN") {
            found.get_or_insert(path.to_owned());
        }
        Some(())
    });
    found
}

/// Every path of names whose value the expression may give. What is only compared or asked for
/// (`contains`) does not get out.
fn walk(node: &Term, visit: &mut dyn FnMut(&str) -> Option<()>) {
    if let Some(path) = path(node) {
        visit(&path);
        return;
    }
    match node {
        Term::And(nodes) | Term::Or(nodes) => nodes.iter().for_each(|node| walk(node, visit)),
        Term::Call(function, nodes) if gives_back(function.name()) => {
            nodes.iter().for_each(|node| walk(node, visit));
        }
        _ => {}
    }
}

fn gives_back(function: &str) -> bool {
    ["format", "join", "toJSON", "fromJSON", "case"].contains(&function)
}

/// `github.event.issue.title`, however it is written.
fn path(node: &Term) -> Option<String> {
    match node {
        Term::Name(name) => Some(name.to_ascii_lowercase()),
        Term::Wildcard(inner) => Some(format!("{}.*", path(inner)?)),
        Term::Index(inner, index) => match &**index {
            Term::Literal(Value::String(name)) => Some(format!("{}.{name}", path(inner)?)),
            _ => Some(format!("{}.*", path(inner)?)),
        },
        _ => None,
    }
}

/// A name for a variable: of `github.event.issue.title` that is TITLE.
fn variable(path: &str) -> String {
    let last = path.rsplit('.').find(|part| *part != "*").unwrap_or("value");
    last.to_ascii_uppercase().replace('-', "_")
}

/// Whether the line prints the variable and keeps its output.
fn prints(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let command = ["echo ", "printf ", "cat <<<"].iter().any(|command| line.starts_with(command));
    let used = line.contains(&format!("${{{name}}}"))
        || line.match_indices(&format!("${name}")).any(|(at, found)| {
            let next = line[at + found.len()..].chars().next();
            !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    command && used && !line.contains('>') && !line.contains('|')
}
