use grit_engine::{Engine, EngineError, Login};

use super::super::blocking;
use super::EngineConfig;

/// Sees that the image is on the machine: one that is there already is not fetched again.
pub(super) async fn ensure(
    engine: &Engine,
    config: &EngineConfig,
    image: &str,
    credentials: Option<&(String, String)>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), EngineError> {
    if engine.image(image).await?.is_some() {
        return Ok(());
    }
    let login = match credentials {
        Some((user, password)) => Some(Login::new(image, user.clone(), password.clone())),
        None => kept(config, image).await,
    };
    engine.pull(image, login, say).await
}

async fn kept(config: &EngineConfig, image: &str) -> Option<Login> {
    let (folder, image) = (config.logins.clone()?, image.to_owned());
    blocking(move || Login::kept(&folder, &image)).await
}
