//! A client that does exactly what it is told, and nothing again.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A keep-alive connection.
pub struct Client {
    pub stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, b"").unwrap()
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Reply {
        self.request("POST", path, body).unwrap()
    }

    /// A request to `api.production.localhost`.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: api.production.localhost\r\n");
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        text += "\r\n";
        self.send(text.as_bytes())?;
        self.send(body)?;
        self.reply(method == "HEAD")
    }

    /// Sends these bytes and reads one reply.
    pub fn raw(&mut self, text: &str) -> Reply {
        self.send(text.as_bytes()).unwrap();
        self.reply(false).unwrap()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn reply(&mut self, bodyless: bool) -> io::Result<Reply> {
        let (line, headers) = head(&mut self.stream)?;
        let status: u16 = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if !bodyless && status >= 200 && status != 204 && status != 304 {
            reply.body = body(&mut self.stream, &reply.headers)?;
        }
        Ok(reply)
    }

    /// Whether the other end closes without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

pub type Head = (String, Vec<(String, String)>);

/// The first line and the header lines of a message.
pub fn head(stream: &mut impl BufRead) -> io::Result<Head> {
    let line = line(stream)?;
    let mut headers = Vec::new();
    loop {
        let text = self::line(stream)?;
        let Some((name, value)) = text.split_once(':') else { return Ok((line, headers)) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A body by `Content-Length`, in chunks, or none.
pub fn body(stream: &mut impl BufRead, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding") == Some("chunked") {
        while let Some(mut chunk) = chunk(stream)? {
            body.append(&mut chunk);
        }
    } else if let Some(length) = header("content-length") {
        body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body)?;
    }
    Ok(body)
}

/// The next chunk; `None` at the last one.
pub fn chunk(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let size = usize::from_str_radix(&line(stream)?, 16).map_err(io::Error::other)?;
    let mut chunk = vec![0; size];
    stream.read_exact(&mut chunk)?;
    line(stream)?;
    Ok((size > 0).then_some(chunk))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
