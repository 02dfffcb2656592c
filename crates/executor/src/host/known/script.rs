use std::fs;

use grit_pipeline::Conclusion;

use super::{Inputs, Stop};
use crate::host::blocking;
use crate::host::step::Attempt;

/// What a script of `actions/github-script` finds: `core`, `context`, `exec`, `io`, `glob`, `github`.
const SHIM: &str = include_str!("script.js");

/// `actions/github-script`: the script is run by Node. What it asks of the service is not
/// delivered, and fails.
pub(super) async fn run(at: &Attempt, inputs: &Inputs<'_>) -> Result<Conclusion, Stop> {
    let is_lent = at.job.inside().is_some_and(|inside| inside.node);
    if !is_lent && at.find("node").await.is_none() {
        return Err(at.not_installed("node").into());
    }
    let script = inputs.get("script").ok_or_else(|| "github-script needs `script`".to_owned())?;
    let folder = at.job.folder.step(at.spec.index);
    let (shim, body) = (folder.join("github-script.cjs"), folder.join("script.js"));
    let (to, text) = ((shim.clone(), body.clone()), script.to_owned());
    let written =
        blocking(move || fs::write(&to.0, SHIM).and_then(|()| fs::write(&to.1, text))).await;
    written.map_err(|error| format!("write the script: {error}"))?;
    let mut extra = vec![("GRIT_SCRIPT", body.display().to_string())];
    let encoding = inputs.or("result-encoding", "json").to_owned();
    extra.push(("GRIT_RESULT_ENCODING", encoding));
    let words = vec!["node".to_owned(), shim.display().to_string()];
    Ok(at.execute(words, &extra).await?)
}
