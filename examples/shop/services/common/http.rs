//! HTTP/1.1 messages (RFC 9110, RFC 9112) without any IO: bytes in, a head or
//! a refusal out; a response in, bytes out.
//!
//! Bodies come with `content-length`; transfer codings are refused. Whatever
//! two readers could understand differently is an error and no guess.

use super::json::Json;

pub const HEAD_BYTES_MAX: usize = 8 * 1024;
pub const TARGET_BYTES_MAX: usize = 2 * 1024;
pub const HEADERS_MAX: usize = 64;
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Where a message cannot be accepted: the status to answer, and the reason.
/// The connection cannot be used any further.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub reason: &'static str,
}

/// A whole request, body included.
#[derive(Debug)]
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
}

/// Everything of a request before its body.
#[derive(Debug)]
pub struct Head {
    /// As sent; methods are case-sensitive.
    pub method: String,
    /// The path of the target, without its query.
    pub path: String,
    #[allow(dead_code, reason = "only the api looks at a header field of its own")]
    pub headers: Headers,
    /// Bytes of body that follow, at most [`BODY_BYTES_MAX`].
    pub body_bytes: usize,
    /// The client may send another request after this one.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl Head {
    /// Parses the head at the start of `bytes` and returns it with its length.
    /// `None`: there is no whole head yet, read on.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Refusal> {
        let Some((lines, used)) = head_lines(bytes)? else {
            return Ok(None);
        };
        let (request_line, header_lines) = lines.split_first().ok_or(BAD_REQUEST_LINE)?;
        let (method, target, version) = request_line_parts(request_line)?;
        let headers = Headers::parse(header_lines)?;
        if version == "HTTP/1.1" && headers.all("host").count() != 1 {
            return Err(Refusal { status: 400, reason: "exactly one host header is required" });
        }
        let head = Self {
            path: target_path(target)?,
            body_bytes: body_bytes(method, &headers)?,
            keep_alive: version == "HTTP/1.1" && !headers.has_token("connection", "close"),
            expects_continue: version == "HTTP/1.1" && headers.has_token("expect", "100-continue"),
            method: method.to_owned(),
            headers,
        };
        Ok(Some((head, used)))
    }
}

/// Splits the head at the start of `bytes` into its lines, and counts its
/// bytes, the empty line included. `None`: incomplete.
pub fn head_lines(bytes: &[u8]) -> Result<Option<(Vec<&str>, usize)>, Refusal> {
    // RFC 9112, 2.2: an empty line before the request line is ignored.
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let window = &bytes[skipped..bytes.len().min(HEAD_BYTES_MAX)];
    let end = window.windows(4).position(|four| four == b"\r\n\r\n");
    let head = &window[..end.map_or(window.len(), |at| at + 2)];
    let bare =
        head.iter().enumerate().any(|(at, &b)| b == b'\n' && (at == 0 || head[at - 1] != b'\r'));
    if bare {
        return Err(Refusal { status: 400, reason: "lines must end with CR LF" });
    }
    let Some(end) = end else {
        return if bytes.len() < HEAD_BYTES_MAX {
            Ok(None)
        } else {
            Err(Refusal { status: 431, reason: "the request head is too large" })
        };
    };
    let text = std::str::from_utf8(&window[..end]);
    let text =
        text.map_err(|_| Refusal { status: 400, reason: "the request head is not UTF-8" })?;
    Ok(Some((text.split("\r\n").collect(), skipped + end + 4)))
}

const BAD_REQUEST_LINE: Refusal = Refusal { status: 400, reason: "the request line is malformed" };

fn request_line_parts(line: &str) -> Result<(&str, &str, &str), Refusal> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BAD_REQUEST_LINE);
    };
    if !is_token(method) || target.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err(BAD_REQUEST_LINE);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal { status: 414, reason: "the request target is too long" });
    }
    match version {
        "HTTP/1.1" | "HTTP/1.0" => Ok((method, target, version)),
        _ if version.starts_with("HTTP/") => {
            Err(Refusal { status: 505, reason: "only HTTP/1.0 and HTTP/1.1 are spoken here" })
        }
        _ => Err(BAD_REQUEST_LINE),
    }
}

/// The path of an origin-form (`/a?b`) or absolute-form (`http://host/a?b`)
/// target.
fn target_path(target: &str) -> Result<String, Refusal> {
    let origin = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    if !origin.starts_with('/') {
        return Err(Refusal { status: 400, reason: "the request target must be a path" });
    }
    Ok(origin.split(['?', '#']).next().unwrap_or(origin).to_owned())
}

fn body_bytes(method: &str, headers: &Headers) -> Result<usize, Refusal> {
    let length = headers.content_length()?;
    if headers.get("transfer-encoding").is_some() {
        return Err(match length {
            Some(_) => Refusal {
                status: 400,
                reason: "content-length and transfer-encoding exclude each other",
            },
            None => Refusal { status: 411, reason: "send the body with a content-length" },
        });
    }
    match length {
        Some(length) if length > BODY_BYTES_MAX => {
            Err(Refusal { status: 413, reason: "the request body is too large" })
        }
        Some(length) => Ok(length),
        None if matches!(method, "POST" | "PUT" | "PATCH") => {
            Err(Refusal { status: 411, reason: "a content-length is required" })
        }
        None => Ok(0),
    }
}

/// Header fields in the order they came; names are lowercase.
#[derive(Debug)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn parse(lines: &[&str]) -> Result<Self, Refusal> {
        if lines.len() > HEADERS_MAX {
            return Err(Refusal { status: 431, reason: "too many header fields" });
        }
        lines.iter().map(|line| header(line)).collect::<Result<_, _>>().map(Self)
    }

    /// The first value of the field `name` (lowercase).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// True when a comma-separated field holds `token`, in whatever case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// RFC 9110, 8.6: digits only, and repeated ones must agree.
    pub fn content_length(&self) -> Result<Option<usize>, Refusal> {
        let malformed = Refusal { status: 400, reason: "the content-length is malformed" };
        let mut lengths = self.all("content-length");
        let Some(first) = lengths.next() else {
            return Ok(None);
        };
        let digits_only = !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit());
        if !digits_only || lengths.any(|other| other != first) {
            return Err(malformed);
        }
        // A number of more digits than a usize holds is too large for any limit.
        Ok(Some(first.parse().unwrap_or(usize::MAX)))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

fn header(line: &str) -> Result<(String, String), Refusal> {
    let malformed = Refusal { status: 400, reason: "a header field is malformed" };
    match line.split_once(':') {
        // A name that is no token includes the folded line and `name :`, both
        // of which have been used to smuggle requests past proxies.
        Some((name, value))
            if is_token(name) && !value.bytes().any(|b| b.is_ascii_control() && b != b'\t') =>
        {
            Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
        }
        _ => Err(malformed),
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// An answer; the server adds length, version and connection handling.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(status: u16, body: &Json) -> Self {
        let body = format!("{body}\n").into_bytes();
        Self { status, content_type: "application/json", headers: Vec::new(), body }
    }

    /// `{"error":{"status":…,"message":…}}`, the shape of every error here.
    pub fn error(status: u16, message: &str) -> Self {
        let error = Json::object([
            ("status", Json::from(u32::from(status))),
            ("message", Json::from(message)),
        ]);
        Self::json(status, &Json::object([("error", error)]))
    }

    pub fn method_not_allowed(allowed: &str) -> Self {
        let mut response = Self::error(405, &format!("this path allows {allowed}"));
        response.headers.push(("allow", allowed.to_owned()));
        response
    }

    /// The bytes to send. `head_only` answers a HEAD request: the same head,
    /// no body.
    pub fn encode(&self, version: &str, close: bool, head_only: bool) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
             x-shop-version: {version}\r\n",
            self.status,
            reason_phrase(self.status),
            self.content_type,
            self.body.len(),
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        // RFC 9112, 4: the phrase may be empty.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(Head, usize)>, Refusal> {
        Head::parse(text.as_bytes())
    }

    fn refused(text: &str) -> u16 {
        parse(text).expect_err(text).status
    }

    #[test]
    fn a_request_is_read_up_to_its_body() {
        let text = "POST /cart?x=1 HTTP/1.1\r\nHost: a\r\nX-Session:  s1 \r\n\
                    Content-Length: 2\r\n\r\n{}GET";
        let (head, used) = parse(text).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.path.as_str(), head.body_bytes),
            ("POST", "/cart", 2)
        );
        assert_eq!(head.headers.get("x-session"), Some("s1"));
        assert!(head.keep_alive && !head.expects_continue);
        assert_eq!(&text[used..], "{}GET");
    }

    #[test]
    fn every_prefix_of_a_head_is_incomplete() {
        let text = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for end in 0..text.len() {
            assert!(parse(&text[..end]).unwrap().is_none(), "{:?}", &text[..end]);
        }
        assert!(parse(text).unwrap().is_some());
    }

    #[test]
    fn connections_are_kept_as_the_client_says() {
        let keeps = |text| parse(text).unwrap().unwrap().0.keep_alive;
        assert!(keeps("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nhost: a\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    }

    #[test]
    fn absolute_targets_and_leading_empty_lines_are_accepted() {
        let (head, _) = parse("\r\nGET http://shop.localhost/a?b HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(head.path, "/a");
        assert_eq!(
            parse("GET http://shop HTTP/1.1\r\nhost: a\r\n\r\n").unwrap().unwrap().0.path,
            "/"
        );
    }

    #[test]
    fn malformed_heads_are_refused() {
        let bad = [
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "G\u{e9}T / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\n\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.1\nhost: a\n\n",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\0\r\n\r\n",
            "GET x HTTP/1.1\r\nhost: a\r\n\r\n",
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n",
            "GET / SMTP\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        ];
        for text in bad {
            assert_eq!(refused(text), 400, "{text:?}");
        }
    }

    #[test]
    fn limits_have_their_own_status() {
        let head = |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        assert_eq!(refused(&head("POST /", "")), 411);
        assert_eq!(refused(&head("POST /", "transfer-encoding: chunked\r\n")), 411);
        assert_eq!(refused(&head("POST /", "content-length: 65537\r\n")), 413);
        assert_eq!(refused(&head("POST /", "content-length: 99999999999999999999999\r\n")), 413);
        assert_eq!(refused(&head(&format!("GET /{}", "a".repeat(TARGET_BYTES_MAX)), "")), 414);
        assert_eq!(refused(&head("GET /", &"a: b\r\n".repeat(HEADERS_MAX))), 431);
        assert_eq!(refused(&head("GET /", &format!("a: {}\r\n", "b".repeat(HEAD_BYTES_MAX)))), 431);
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), 505);
    }

    #[test]
    fn a_response_carries_length_version_and_close() {
        let response = Response::error(404, "no such product");
        let text = String::from_utf8(response.encode("1.2.3", true, false)).unwrap();
        let body = "{\"error\":{\"status\":404,\"message\":\"no such product\"}}\n";
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"));
        assert!(
            text.contains("\r\nx-shop-version: 1.2.3\r\n")
                && text.contains("\r\nconnection: close\r\n")
        );
        assert!(text.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
        assert!(text.ends_with(&format!("\r\n\r\n{body}")));
        let head = String::from_utf8(response.encode("1.2.3", false, true)).unwrap();
        assert!(head.ends_with("\r\n\r\n") && !head.contains("connection:"));
    }
}
