//! Talking to the control process.

use std::path::Path;

use bytes::Bytes;
use grit_server::Problem;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::compose::{DataFolder, OsEntropy};
use crate::exit::{Exit, Failure};
use grit_types::{Entropy, chain};

/// What asks twice with one key gets one answer.
const KEY: &str = "Idempotency-Key";
/// An answer is never larger than this.
const ANSWER_BYTES_MAX: usize = 64 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A control process, and who we are there.
#[derive(Clone, Debug)]
pub struct Client {
    /// `HOST:PORT`.
    address: String,
    token: String,
}

impl Client {
    /// The server at `address`, asked with `token`.
    pub fn new(address: impl Into<String>, token: impl Into<String>) -> Self {
        Self { address: address.into(), token: token.into() }
    }

    /// By `--server`/GRIT_SERVER and GRIT_TOKEN, else by the data folder's serve.json; a
    /// GRIT_TOKEN always says who asks.
    pub fn find(server: Option<&str>, data: &Path) -> Result<Self, Failure> {
        let token = std::env::var("GRIT_TOKEN").ok().filter(|token| !token.is_empty());
        if let Some(server) = server {
            let token = token.ok_or_else(|| {
                Failure::new(Exit::Usage, "no_token", "a server is named, and no token is given")
                    .hint("set GRIT_TOKEN")
            })?;
            let address = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
            return Ok(Self::new(address, token));
        }
        let file = DataFolder::serve_file(data)?;
        Ok(Self::new(file.server.to_string(), token.unwrap_or(file.token)))
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(Method::GET, path, &(), None).await
    }

    /// `POST` of a JSON body.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(Method::POST, path, body, None).await
    }

    /// `POST` of what must be done once: under a key of its own, and asked again with the same one
    /// where the connection is lost before the answer.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let mut bytes = [0; 16];
        OsEntropy.fill(&mut bytes);
        let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.json(Method::POST, path, body, Some(&key)).await
    }

    /// `POST` of a JSON body, whose answer tells nothing more.
    pub async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        self.call(Method::POST, path, encoded(body)?.into(), None).await.map(drop)
    }

    /// `PUT` or `DELETE`, whose answer tells nothing more.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), Failure> {
        self.call(method, path, encoded(body)?.into(), None).await.map(drop)
    }

    /// `GET` of bytes as they are.
    pub async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.call(Method::GET, path, Bytes::new(), None).await
    }

    /// `GET` of as many bytes as there are, into a file; answers how many.
    pub async fn download(&self, path: &str, to: &Path) -> Result<u64, Failure> {
        let unreachable = |error: BoxError| {
            let cause = chain(error.as_ref());
            Failure::environment(format!("downloading from {} failed: {cause}", self.address))
        };
        self.copy(path, to).await.map_err(unreachable)?
    }

    async fn copy(&self, path: &str, to: &Path) -> Result<Result<u64, Failure>, BoxError> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(HOST, &self.address)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(Bytes::new()))?;
        let copied = async move {
            let mut response = sender.send_request(request).await?;
            let status = response.status();
            if !status.is_success() {
                let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
                return Ok(Err(failure(status.as_u16(), &body.to_bytes())));
            }
            let (mut file, mut size) = (tokio::fs::File::create(to).await?, 0);
            while let Some(frame) = response.frame().await {
                if let Ok(bytes) = frame?.into_data() {
                    size += bytes.len() as u64;
                    file.write_all(&bytes).await?;
                }
            }
            file.flush().await?;
            Ok(Ok(size))
        };
        tokio::pin!(copied, connection);
        tokio::select! {
            answer = &mut copied => answer,
            ended = &mut connection => {
                ended?;
                copied.await
            }
        }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let body = if method == Method::GET { vec![] } else { encoded(body)? };
        let bytes = self.call(method, path, body.into(), key).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::environment(format!(
                "the server at {} answers something else: {error}",
                self.address
            ))
            .hint("is it a Grit of another version?")
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<Bytes, Failure> {
        let ask = || self.exchange(method.clone(), path, body.clone(), key);
        let mut answer = ask().await;
        if answer.is_err() && key.is_some() {
            answer = ask().await;
        }
        let (status, bytes) = answer.map_err(|error| {
            Failure::environment(format!(
                "the control process at {} cannot be reached: {}",
                self.address,
                chain(error.as_ref())
            ))
            .hint("`grit up` starts one")
        })?;
        if status.is_success() { Ok(bytes) } else { Err(failure(status.as_u16(), &bytes)) }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<(hyper::StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address)
            .header(AUTHORIZATION, format!("Bearer {}", self.token));
        let request = key.into_iter().fold(request, |request, key| request.header(KEY, key));
        let request = request.body(Full::new(body))?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body.to_bytes()))
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => {
                ended?;
                exchange.await
            }
        }
    }
}

fn encoded(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body)
        .map_err(|error| Failure::new(Exit::Bug, "bug", format!("a request has no form: {error}")))
}

/// The exit status that a problem comes to.
fn failure(status: u16, bytes: &[u8]) -> Failure {
    let exit = match status {
        401 | 403 => Exit::Refused,
        404 => Exit::NotFound,
        409 => Exit::Conflict,
        400 | 413 | 422 => Exit::Usage,
        503 | 507 => Exit::Environment,
        _ => Exit::Bug,
    };
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => Failure {
            exit,
            code: problem.code,
            message: problem.detail,
            hint: problem.hint,
            details: None,
        },
        Err(_) => Failure::new(exit, "http", format!("the server answers {status}")),
    }
}
