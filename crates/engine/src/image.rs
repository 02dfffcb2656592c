use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use grit_types::BoxFuture;

use crate::login::Login;
use crate::{Engine, EngineError};

/// An image that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// `NAME=VALUE`.
    pub env: Vec<String>,
}

impl Engine {
    /// The image of that name; `None`: it is not on the machine.
    pub fn image<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Image>, EngineError>> {
        Box::pin(async move {
            let found = self.docker.inspect_image(name).await;
            match found.map_err(self.failed(format!("ask for image {name}"))) {
                Ok(found) => Ok(Some(Image {
                    id: found.id.unwrap_or_default(),
                    env: found.config.and_then(|config| config.env).unwrap_or_default(),
                })),
                Err(error) if error.is_absent() => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Fetches an image from its registry, and says how it goes.
    pub fn pull<'a>(
        &'a self,
        name: &'a str,
        login: Option<Login>,
        say: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let options = CreateImageOptionsBuilder::default().from_image(&tagged(name)).build();
            let login = login.map(Login::into_credentials);
            let mut told = Box::pin(self.docker.create_image(Some(options), None, login));
            while let Some(next) = told.next().await {
                let info = next.map_err(self.failed(format!("pull image {name}")))?;
                if let Some(line) = progress(&info) {
                    say(&line);
                }
            }
            Ok(())
        })
    }
}

/// Without a tag an engine would fetch them all.
fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}

/// What is worth a line; the bars of each layer are not.
fn progress(info: &CreateImageInfo) -> Option<String> {
    let status = info.status.as_deref()?;
    let worth = ["Pulling from", "Pull complete", "Digest:", "Status:"];
    if !worth.iter().any(|start| status.starts_with(start)) {
        return None;
    }
    Some(match info.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => format!("{id}: {status}"),
        None => status.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        assert_eq!(tagged("busybox"), "busybox:latest");
        assert_eq!(tagged("127.0.0.1:5000/a/b"), "127.0.0.1:5000/a/b:latest");
        assert_eq!(tagged("a/b:1"), "a/b:1");
        assert_eq!(tagged("a@sha256:0"), "a@sha256:0");
    }
}
