//! What a registry wants to know of who asks.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

/// Of images whose name has no registry.
const DOCKER_HUB: &str = "docker.io";
/// As `docker login` writes that one.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// A user of a registry. Not for people: it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    registry: String,
    user: String,
    password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Login {
    /// Of that user, at the registry of the image.
    pub fn new(image: &str, user: String, password: String) -> Self {
        Self { registry: registry(image).to_owned(), user, password }
    }

    /// What `docker login` left for the image's registry in `FOLDER/config.json`. Blocks.
    pub fn kept(folder: &Path, image: &str) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
        Self::found(&text, image)
    }

    fn found(text: &str, image: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            auths: HashMap<String, Auth>,
        }
        #[derive(Deserialize)]
        struct Auth {
            auth: Option<String>,
        }
        let registry = registry(image);
        let key = if registry == DOCKER_HUB { DOCKER_HUB_KEY } else { registry };
        let config: Config = serde_json::from_str(text).ok()?;
        let auth = config.auths.get(key)?.auth.as_deref()?;
        let plain = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (user, password) = plain.split_once(':')?;
        Some(Self::new(image, user.to_owned(), password.to_owned()))
    }

    pub(crate) fn into_credentials(self) -> DockerCredentials {
        DockerCredentials {
            username: Some(self.user),
            password: Some(self.password),
            serveraddress: Some(self.registry),
            ..Default::default()
        }
    }
}

/// The registry of an image: what stands before the first `/`, if it is an address.
pub fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_under_its_registry() {
        let auth = |plain: &str| STANDARD.encode(plain);
        let text = serde_json::json!({ "auths": {
            "127.0.0.1:5000": { "auth": auth("me:a:b") },
            DOCKER_HUB_KEY: { "auth": auth("hub:pw") },
            "ghcr.io": {},
        }});
        let found = |image| Login::found(&text.to_string(), image).map(|it| (it.user, it.password));
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(found("127.0.0.1:5000/x:1"), pair("me", "a:b"));
        assert_eq!(found("library/busybox"), pair("hub", "pw"));
        assert_eq!(found("busybox"), pair("hub", "pw"));
        assert_eq!(found("ghcr.io/x/y"), None);
    }
}
