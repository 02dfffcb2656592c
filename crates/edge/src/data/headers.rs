//! Which header lines go on, and which end here (RFC 9110, section 7.6.1).

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, Entry, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Between the client and the edge, or the edge and an endpoint; never through. `Expect` too: the
/// edge itself tells the client to go on.
static HOP_BY_HOP: [HeaderName; 8] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, EXPECT];

/// Takes out what is meant for the next hop only.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let hop_by_hop = headers.keys().filter(|name| HOP_BY_HOP.contains(name));
    let mut ending: Vec<HeaderName> = hop_by_hop.cloned().collect();
    if ending.contains(&CONNECTION) {
        ending.extend(listed(headers));
    }
    for name in ending {
        headers.remove(name);
    }
}

/// Says who asked, for what, and how. What a client claims about hops before it stays in front.
pub(crate) fn forwarded(headers: &mut HeaderMap, client: &HeaderValue) {
    match headers.entry(FORWARDED_FOR) {
        Entry::Vacant(none) => {
            none.insert(client.clone());
        }
        Entry::Occupied(mut before) if before.get().is_empty() => {
            before.insert(client.clone());
        }
        Entry::Occupied(mut before) => {
            let chain = [before.get().as_bytes(), b", ", client.as_bytes()].concat();
            before.insert(HeaderValue::from_bytes(&chain).unwrap_or_else(|_| client.clone()));
        }
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// The names in `Connection`, except those that no sender may take away, and `keep-alive`, which
/// ends here anyway and is mostly all there is.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_connection_lists_ends_here() {
        let mut found = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "x-other,host,content-length"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("x-kept", "1"),
            ("host", "h"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
        ]);
        strip(&mut found);
        let kept = headers(&[("x-kept", "1"), ("host", "h"), ("content-length", "3")]);
        assert_eq!(found, kept);
    }

    #[test]
    fn the_client_is_added_behind_what_it_claims() {
        let mut found = headers(&[("host", "h:80"), ("x-forwarded-for", "9.9.9.9")]);
        forwarded(&mut found, &HeaderValue::from_static("127.0.0.1"));
        assert_eq!(found["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
        assert_eq!(found["x-forwarded-host"], "h:80");
        assert_eq!(found["x-forwarded-proto"], "http");
    }
}
