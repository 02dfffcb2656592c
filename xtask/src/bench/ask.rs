//! The few HTTP requests that the benchmark itself makes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(10);

/// The body of the answer to a GET.
pub fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // 1.0: the answer ends where the connection does, and comes in one piece.
    ask(&mut stream, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// Puts JSON through a unix socket; the body of the answer.
pub fn put(socket: &Path, path: &str, json: &str) -> Result<String> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = json.len();
    let head = "Host: edge\r\nConnection: close\r\nContent-Type: application/json";
    let request =
        format!("PUT {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{json}");
    ask(&mut stream, &request)
}

fn ask(stream: &mut (impl Read + Write), request: &str) -> Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    body(&answer).map(str::to_owned)
}

fn body(answer: &str) -> Result<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status.starts_with('2'), "answered {status}: {body}");
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_has_a_body() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}").unwrap(), "{}");
        let refused = body("HTTP/1.1 422 Unprocessable\r\n\r\nweights").unwrap_err().to_string();
        assert_eq!(refused, "answered 422: weights");
        assert!(body("HTTP/1.1 200 OK").is_err());
    }
}
