use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use grit_control::ports::SourceError;
use grit_rollout::{Check, CheckOutcome, TargetError, Verifier};
use grit_types::{BoxFuture, EffectId};
use tokio::io::AsyncReadExt;

use super::GitSource;

/// What a check may print before it is cut.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// Runs checks on this machine, each in a checkout of its own.
pub struct HostVerifier {
    pub source: Arc<GitSource>,
    /// Where checkouts are made.
    pub work: PathBuf,
}

impl Verifier for HostVerifier {
    fn verify(
        &self,
        effect: &EffectId,
        check: &Check,
    ) -> BoxFuture<'_, Result<CheckOutcome, TargetError>> {
        let folder = self.work.join(format!("{}-{}", effect.event.short(), effect.index));
        let check = check.clone();
        Box::pin(async move {
            let outcome = match self.check_out(&check, folder.clone()).await {
                Ok(()) => run(&check, &folder).await,
                Err(error) => Err(unable("check the commit out", error)),
            };
            // What stays behind is cleared by the next check of the same effect.
            let _ = tokio::fs::remove_dir_all(&folder).await;
            outcome
        })
    }
}

impl HostVerifier {
    async fn check_out(&self, check: &Check, folder: PathBuf) -> Result<(), SourceError> {
        let (source, check) = (self.source.clone(), check.clone());
        let failed = |action: &str, error: Box<dyn std::error::Error + Send + Sync>| SourceError {
            action: action.to_owned(),
            source: error,
        };
        let work = move || {
            let _ = std::fs::remove_dir_all(&folder);
            let repository = source.open(&check.slot.repo)?;
            let exported = repository.export_tree(&check.commit, &folder);
            exported.map_err(|error| failed("export the commit", error.into()))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(failed("export the commit", error.into())),
        }
    }
}

async fn run(check: &Check, folder: &std::path::Path) -> Result<CheckOutcome, TargetError> {
    let mut command = tokio::process::Command::new("sh");
    command.arg("-c").arg(format!("exec 2>&1\n{}", check.run)).current_dir(folder);
    command.env_clear().envs(kept_environment()).envs(&check.env);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| unable("start `sh`", error))?;
    let mut output = Vec::new();
    let out = child.stdout.take();
    let reading = async {
        if let Some(out) = out {
            // What cannot be read is missing from the evidence, and changes no verdict.
            let _ = out.take(OUTPUT_BYTES_MAX).read_to_end(&mut output).await;
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(check.timeout, reading).await;
    let text = |output: &[u8]| tail(&String::from_utf8_lossy(output));
    match ended {
        Ok(Ok(status)) if status.success() => Ok(CheckOutcome::Passed),
        Ok(Ok(status)) => Ok(CheckOutcome::Failed { exit: status.code(), output: text(&output) }),
        Ok(Err(error)) => Err(unable("wait for the check", error)),
        Err(_) => {
            let output = format!("{}\nit took longer than {:?}", text(&output), check.timeout);
            Ok(CheckOutcome::Failed { exit: None, output })
        }
    }
}

/// The last lines, which say most.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// What programs need to be found and to find their home; nothing of ours.
fn kept_environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let names = ["PATH", "HOME", "LANG", "TMPDIR"];
    names.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)))
}

fn unable(
    action: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> TargetError {
    TargetError::Unable { action: action.to_owned(), source: source.into() }
}
