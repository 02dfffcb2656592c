//! Images: what they are called, and their being built by the machine's Docker.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use grit_pipeline::builtin::tags::{About, Metadata, SHORT_SHA_LEN, metadata as tags_of};
use grit_pipeline::{CheckoutPart, Conclusion};
use grit_types::Timestamp;
use serde_json::{Value, json};

use super::{Given, Inputs, Stop, docker};
use crate::host::folder::{read_bounded, remove_all};
use crate::host::step::Attempt;
use crate::host::{blocking, checkout};

/// What Docker tells about a build.
const METADATA_BYTES_MAX: u64 = 512 << 10;

/// Inputs that are flags of `docker buildx build` with a value for each line or each comma.
const LINES: &[(&str, &str)] = &[
    ("add-hosts", "--add-host"),
    ("allow", "--allow"),
    ("annotations", "--annotation"),
    ("attests", "--attest"),
    ("build-contexts", "--build-context"),
    ("cache-from", "--cache-from"),
    ("cache-to", "--cache-to"),
    ("labels", "--label"),
    ("no-cache-filters", "--no-cache-filter"),
    ("outputs", "--output"),
    ("secret-envs", "--secret"),
    ("ssh", "--ssh"),
    ("tags", "--tag"),
    ("ulimit", "--ulimit"),
];

/// Of these each line is one value, whatever commas are in it.
const WHOLE_LINES: [&str; 9] = [
    "annotations",
    "attests",
    "build-contexts",
    "cache-from",
    "cache-to",
    "labels",
    "outputs",
    "ssh",
    "secret-envs",
];

/// Inputs that are flags with one value.
const VALUES: &[(&str, &str)] = &[
    ("builder", "--builder"),
    ("cgroup-parent", "--cgroup-parent"),
    ("file", "--file"),
    ("network", "--network"),
    ("provenance", "--provenance"),
    ("sbom", "--sbom"),
    ("shm-size", "--shm-size"),
    ("target", "--target"),
];

const SWITCHES: &[(&str, &str)] =
    &[("load", "--load"), ("no-cache", "--no-cache"), ("pull", "--pull"), ("push", "--push")];

/// `docker/metadata-action`.
pub(super) async fn metadata(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let event: Value = serde_json::from_str(&at.job.spec.event).unwrap_or(Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let default_branch = text(&event["repository"]["default_branch"]);
    let about = About {
        reference: at.variable("GITHUB_REF").to_owned(),
        event: at.variable("GITHUB_EVENT_NAME").to_owned(),
        sha: at.variable("GITHUB_SHA").to_owned(),
        repository: at.variable("GITHUB_REPOSITORY").to_owned(),
        server: at.variable("GITHUB_SERVER_URL").to_owned(),
        description: text(&event["repository"]["description"]),
        default_branch: if default_branch.is_empty() { "main".to_owned() } else { default_branch },
        base: base_of(&event),
        now: at.shared.config.clock.now(),
        committed: Timestamp::parse_rfc3339(&text(&event["head_commit"]["timestamp"])),
        short: at
            .variable("DOCKER_METADATA_SHORT_SHA_LENGTH")
            .parse()
            .unwrap_or(SHORT_SHA_LEN)
            .clamp(SHORT_SHA_LEN, 40),
    };
    let made = tags_of(inputs.0, &about)?;
    if made.tags.is_empty() {
        let text = "no rule gives a tag for this event: the image has none";
        at.announce("warning", "metadata-action", text).await?;
    }
    at.say(&format!("Tags:\n  {}", made.tags.join("\n  "))).await?;
    give(&made, inputs, given);
    bake(at, &made, inputs, given).await?;
    Ok(Conclusion::Exited(0))
}

/// The branch that a pull request goes into, or that a tag was made from.
fn base_of(event: &Value) -> String {
    let base = event["pull_request"]["base"]["ref"].as_str();
    let base = base.or(event["base_ref"].as_str()).unwrap_or_default();
    base.trim_start_matches("refs/heads/").to_owned()
}

fn give(made: &Metadata, inputs: &Inputs<'_>, given: &mut Given) {
    let labels: Vec<String> =
        made.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let separator = |name: &str| inputs.or(name, "\n").to_owned();
    let tags = made.tags.join(&separator("sep-tags"));
    given.output("version", made.version.clone());
    given.output("tags", tags.clone());
    given.output("tag-names", made.tag_names.join(&separator("sep-tags")));
    given.output("labels", labels.join(&separator("sep-labels")));
    let annotations: Vec<String> =
        made.annotations.iter().map(|(name, value)| format!("manifest:{name}={value}")).collect();
    given.output("annotations", annotations.join(&separator("sep-annotations")));
    let labels: BTreeMap<&String, &String> =
        made.labels.iter().map(|(name, value)| (name, value)).collect();
    given.output("json", json!({"tags": made.tags, "labels": labels}).to_string());
    given.set("DOCKER_METADATA_OUTPUT_VERSION", made.version.clone());
    given.set("DOCKER_METADATA_OUTPUT_TAGS", tags);
    given.set("DOCKER_METADATA_OUTPUT_JSON", given.outputs["json"].clone());
}

/// A file for `docker buildx bake`.
async fn bake(
    at: &Attempt,
    made: &Metadata,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<(), Stop> {
    let target = inputs.or("bake-target", "docker-metadata-action");
    let labels: BTreeMap<&String, &String> =
        made.labels.iter().map(|(name, value)| (name, value)).collect();
    let args = json!({
        "DOCKER_META_IMAGES": inputs.lines("images").join(","),
        "DOCKER_META_VERSION": made.version,
    });
    let text = json!({"target": {target: {"tags": made.tags, "labels": labels, "args": args}}});
    let file = at.job.folder.temp().join(format!("docker-metadata-{}.json", at.spec.index));
    let written = fs::write(&file, text.to_string());
    written.map_err(|error| format!("write {}: {error}", file.display()))?;
    given.output("bake-file", file.display().to_string());
    Ok(())
}

/// `docker/build-push-action`.
pub(super) async fn build(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    docker::program(at).await?;
    let folder = at.job.folder.temp().join(format!("build-{}", at.spec.index));
    let made = blocking({
        let folder = folder.clone();
        move || private_folder(&folder)
    });
    made.await.map_err(|error| format!("create {}: {error}", folder.display()))?;
    let facts = folder.join("metadata.json");
    let mut words = ["docker", "buildx", "build"].map(str::to_owned).to_vec();
    words.extend(["--metadata-file".to_owned(), facts.display().to_string()]);
    words.extend(flags(at, inputs).await?);
    words.extend(secrets(inputs, &folder)?);
    let (arguments, extra) = build_args(at, inputs)?;
    words.extend(arguments);
    words.push(context(at, inputs).await?);
    let platforms = inputs.list("platforms").join(",");
    if !platforms.is_empty() {
        words.splice(3..3, ["--platform".to_owned(), platforms]);
    }
    let ended = at.execute(words, &extra).await?;
    let told = blocking(move || read_bounded(&facts, METADATA_BYTES_MAX)).await;
    if let Ok(Some(bytes)) = told {
        let facts: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
        let (digest, config) =
            (text("containerimage.digest"), text("containerimage.config.digest"));
        given.output("imageid", if config.is_empty() { digest.clone() } else { config });
        given.output("digest", digest);
        given.output("metadata", serde_json::to_string_pretty(&facts).unwrap_or_default());
    }
    Ok(ended)
}

/// What the action builds without `context` is the repository at its commit, whatever a step made
/// of the workspace.
async fn context(at: &Attempt, inputs: &Inputs<'_>) -> Result<String, Stop> {
    match inputs.get("context") {
        Some(context) if context.starts_with('-') => {
            Err(format!("`{context}` is no build context").into())
        }
        Some(context) => Ok(context.to_owned()),
        None => {
            let part = CheckoutPart::default();
            let folder = checkout::aside(at, None, 1, &part).await;
            let folder = folder.map_err(|error| format!("the commit to build: {error}"))?;
            let git = folder.join(".git");
            // Where the job's container sees it, too.
            let to = at.job.folder.temp().join(format!("context-{}", at.spec.index));
            let (from, seen) = (folder, to.clone());
            let moved = blocking(move || {
                remove_all(&git)?;
                remove_all(&seen)?;
                fs::rename(from, seen)
            });
            moved.await.map_err(|error| format!("the commit to build: {error}"))?;
            Ok(to.display().to_string())
        }
    }
}

async fn flags(at: &Attempt, inputs: &Inputs<'_>) -> Result<Vec<String>, Stop> {
    let mut words = Vec::new();
    let mut add = |flag: &str, value: &str| words.push(format!("{flag}={value}"));
    let has_service = !at.variable("ACTIONS_RESULTS_URL").is_empty()
        || !at.variable("ACTIONS_CACHE_URL").is_empty();
    let mut without = false;
    for (input, flag) in LINES {
        let values = match WHOLE_LINES.contains(input) {
            true => inputs.lines(input),
            false => inputs.list(input),
        };
        for value in values {
            if value.contains("type=gha") && !has_service {
                without = true;
                continue;
            }
            match *input {
                "secret-envs" => {
                    let (id, name) = value.split_once('=').unwrap_or((&value, &value));
                    add(flag, &format!("id={id},env={name}"));
                }
                _ => add(flag, &value),
            }
        }
    }
    for (input, flag) in VALUES {
        inputs.get(input).iter().for_each(|value| add(flag, value));
    }
    words.extend(
        SWITCHES
            .iter()
            .filter(|(input, _)| inputs.is_on(input))
            .map(|(_, flag)| (*flag).to_owned()),
    );
    if without {
        let text = "there is no cache service for this job: it is built without `type=gha`";
        at.announce("notice", "build-push", text).await?;
    }
    Ok(words)
}

/// Variables for Docker itself.
type Set<'i> = Vec<(&'i str, String)>;

/// Values go through the environment, so that no list of processes shows them; those of which the
/// names mean something to Docker itself cannot.
fn build_args<'i>(at: &Attempt, inputs: &'i Inputs<'_>) -> Result<(Vec<String>, Set<'i>), Stop> {
    let (mut words, mut extra) = (Vec::new(), Vec::new());
    for line in inputs.get("build-args").unwrap_or_default().lines() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            words.push(format!("--build-arg={line}"));
            continue;
        };
        let is_taken = at.variables.contains_key(std::ffi::OsStr::new(name))
            || ["DOCKER", "BUILD", "SSH_"].iter().any(|prefix| name.starts_with(prefix));
        if !is_taken {
            words.push(format!("--build-arg={name}"));
            extra.push((name, value.to_owned()));
        } else if at.job.masks().apply(line.as_bytes()) == line.as_bytes() {
            words.push(format!("--build-arg={line}"));
        } else {
            return Err(format!(
                "the build argument {name} is a secret, and would be seen in the list of processes: \
                 give it another name, or use `secrets`"
            )
            .into());
        }
    }
    Ok((words, extra))
}

/// `ID=VALUE` becomes a file that only we read.
fn secrets(inputs: &Inputs<'_>, folder: &Path) -> Result<Vec<String>, Stop> {
    let mut words = Vec::new();
    for (at, (id, value)) in
        pairs(inputs.get("secrets").unwrap_or_default()).into_iter().enumerate()
    {
        let file = folder.join(format!("secret-{at}"));
        write_private(&file, value.as_bytes())
            .map_err(|error| format!("secret `{id}`: {error}"))?;
        words.push(format!("--secret=id={id},src={}", file.display()));
    }
    for line in inputs.lines("secret-files") {
        let (id, file) = line.split_once('=').ok_or_else(|| format!("`{line}` is no secret"))?;
        words.push(format!("--secret=id={id},src={file}"));
    }
    Ok(words)
}

/// Lines `ID=VALUE`; a value of several lines stands with its id between quotes.
fn pairs(text: &str) -> Vec<(String, String)> {
    let (mut pairs, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        let mut entry = line.trim().to_owned();
        if entry.starts_with('"') {
            while (entry.len() == 1 || !entry.ends_with('"'))
                && let Some(more) = lines.next()
            {
                entry.push('\n');
                entry.push_str(more.trim_end());
            }
            entry = entry.trim_matches('"').replace("\"\"", "\"");
        }
        if let Some((id, value)) = entry.split_once('=') {
            pairs.push((id.to_owned(), value.to_owned()));
        }
    }
    pairs
}

fn private_folder(folder: &PathBuf) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_several_lines_are_one() {
        let text = "token=abc\n\"key=line 1\nline 2\"\nempty\n";
        let wanted = [("token", "abc"), ("key", "line 1\nline 2")];
        assert_eq!(pairs(text), wanted.map(|(id, value)| (id.to_owned(), value.to_owned())));
    }
}
