use std::path::Path;

use grit_executor::HostRunner;
use grit_pipeline::keep::KeptArtifact;
use grit_types::RunId;

use super::Session;
use crate::exit::Failure;

impl Session<'_> {
    /// Hands over what the jobs of a run gave away: into `--artifacts`, else by name only, since it
    /// goes with the run. Several workflows get a folder each.
    pub(super) async fn hand_out(
        &self,
        host: &HostRunner,
        run: RunId,
        workflow: &str,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::because("the artifacts cannot be handed over", &error);
        let Some(folder) = &self.options.artifacts else {
            let all = host.artifacts(run).await.map_err(failed)?;
            if !all.is_empty() {
                let names = names(&all);
                self.ui.status(format!("Artifacts: {names}. `--artifacts FOLDER` keeps them."));
            }
            return Ok(());
        };
        let stem = Path::new(workflow).file_stem().unwrap_or_default();
        let into = match self.wanted.chosen.len() {
            0 | 1 => folder.clone(),
            _ => folder.join(stem),
        };
        let all = host.export_artifacts(run, &into).await.map_err(failed)?;
        if !all.is_empty() {
            self.ui.status(format!("Artifacts in {}: {}.", into.display(), names(&all)));
        }
        Ok(())
    }
}

fn names(all: &[KeptArtifact]) -> String {
    all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
}
