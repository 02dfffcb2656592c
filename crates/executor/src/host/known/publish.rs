//! What was to be published or sent. Nothing of it leaves this machine; it is said, kept beside the
//! step's log, and nothing pretends that it arrived.

use grit_pipeline::Conclusion;
use serde_json::{Value, json};

use super::results::keep;
use super::{Given, Inputs, Stop, matching};
use crate::host::step::Attempt;

/// Releases and messages.
pub(super) async fn run(
    at: &Attempt,
    action: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let (line, what) = match action {
        "softprops/action-gh-release" | "actions/create-release" => {
            release(at, action, inputs).await?
        }
        _ => message(at, action, inputs),
    };
    keep(at, "undelivered.json", &what).await?;
    at.announce("notice", "Not delivered", &line).await?;
    at.say(&format!("Not delivered: {line}")).await?;
    at.summarise(&format!("Not delivered: {line}\n")).await?;
    given.output("delivered", "false");
    Ok(Conclusion::Exited(0))
}

async fn release(at: &Attempt, action: &str, inputs: &Inputs<'_>) -> Result<(String, Value), Stop> {
    let reference = at.variable("GITHUB_REF");
    let pushed = reference.strip_prefix("refs/tags/");
    let tag = inputs.get("tag_name").or(pushed).unwrap_or_default();
    let tag = tag.strip_prefix("refs/tags/").unwrap_or(tag);
    if tag.is_empty() {
        return Err(format!("{action}: a release needs a tag: push one, or give `tag_name`").into());
    }
    let name = inputs.get("name").or_else(|| inputs.get("release_name")).unwrap_or(tag);
    let body = match inputs.get("body_path") {
        Some(path) => {
            let text = at.text_of(path).await?;
            Some(text.ok_or_else(|| format!("there is no `{path}` in the workspace"))?)
        }
        None => inputs.get("body").map(str::to_owned),
    };
    let patterns = inputs.lines("files");
    let files = match patterns.is_empty() {
        true => Vec::new(),
        false => matching(at, patterns.clone()).await?,
    };
    if files.is_empty() && !patterns.is_empty() {
        let text = format!("no file matches {}", patterns.join(", "));
        if inputs.is_on("fail_on_unmatched_files") {
            return Err(text.into());
        }
        at.announce("warning", "Release", &text).await?;
    }
    let draft = if inputs.is_on("draft") { "draft of " } else { "" };
    let with = if files.is_empty() { String::new() } else { format!(" with {}", files.join(", ")) };
    let line = format!("the {draft}release {tag} \"{name}\"{with}");
    let what = json!({
        "v": 1, "kind": "release", "action": action, "tag": tag, "name": name, "body": body,
        "files": files, "draft": inputs.is_on("draft"), "prerelease": inputs.is_on("prerelease"),
    });
    Ok((line, what))
}

fn message(at: &Attempt, action: &str, inputs: &Inputs<'_>) -> (String, Value) {
    let parsed = inputs.get("payload").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let in_payload = parsed.as_ref().and_then(|payload| payload["text"].as_str());
    let status = inputs.get("status").map(|status| format!("the job's status is {status}"));
    let text = inputs.get("text").or(inputs.get("slack-message")).or(in_payload);
    let text = text.map(str::to_owned).or(status).unwrap_or_else(|| "a message".to_owned());
    let channel = inputs.get("channel").or_else(|| inputs.get("channel-id"));
    let to = channel.map(|channel| format!(" to {channel}")).unwrap_or_default();
    let line = format!("a Slack message{to}: {text}");
    let what = json!({
        "v": 1, "kind": "message", "action": action, "service": "slack", "channel": channel,
        "text": text, "status": inputs.get("status"), "payload": inputs.get("payload"),
        "repository": at.variable("GITHUB_REPOSITORY"), "run": at.spec.run,
    });
    (line, what)
}
