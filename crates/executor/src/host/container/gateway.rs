use grit_engine::{EngineError, Gateway};
use grit_pipeline::{StepAction, StepSpec};

use super::super::job::Job;
use super::super::step::is_cached_build;
use super::super::{Shared, chain};
use super::engine;

/// The network of containers that nobody puts into another.
const DEFAULT: &str = "bridge";

/// Where the step's program reaches this machine, if that is not where processes of it do: in a
/// container. What builds images is taken for one; there it is with the builders that Docker makes.
pub(in super::super) async fn gateway(
    shared: &Shared,
    job: &Job,
    spec: &StepSpec,
) -> Option<Gateway> {
    let is_container = matches!(spec.action, StepAction::Container { .. });
    let kept = job.containers.as_ref();
    if let Some(kept) = kept.filter(|kept| is_container || kept.inside.is_some()) {
        return kept.gateway;
    }
    if !is_container && !is_cached_build(&spec.action) {
        return None;
    }
    match default(shared).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::info!(error = chain(&error), "no network of containers is known");
            None
        }
    }
}

async fn default(shared: &Shared) -> Result<Option<Gateway>, EngineError> {
    engine(shared).await?.gateway(DEFAULT).await
}
