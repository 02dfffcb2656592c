//! The API of a control process, asked from outside.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// A control process, and who asks it.
#[derive(Clone)]
pub struct Api {
    pub server: SocketAddr,
    pub token: String,
}

impl Api {
    pub fn get(&self, path: &str) -> Result<Value> {
        self.call("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call("POST", path, &body.to_string())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let answer = exchange(self.server, method, path, Some(&self.token), body)?;
        serde_json::from_str(&answer).with_context(|| format!("{method} {path}: {answer}"))
    }
}

/// Whether a control process answers there.
pub fn is_well(server: SocketAddr) -> bool {
    exchange(server, "GET", "/healthz", None, "").is_ok()
}

fn exchange(
    server: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Result<String> {
    let mut stream = TcpStream::connect(server).with_context(|| format!("connect {server}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let who = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    // 1.0: the answer ends where the connection does, and comes in one piece.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\n{who}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status.starts_with('2'), "{method} {path} is answered {status}: {body}");
    Ok(body.to_owned())
}
