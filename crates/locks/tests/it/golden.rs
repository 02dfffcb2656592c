use grit_locks::{DecodeError, Lease, Owner, State};
use grit_types::{Fence, Timestamp};

use crate::{NOW, lease_id, seconds};

const V1: &[u8] = include_bytes!("../golden/lease-v1.json");

fn lease() -> Lease {
    Lease {
        resource: "deploy:production".parse().unwrap(),
        fence: Fence(7),
        id: lease_id(1),
        owner: Owner {
            actor: "ada@example.com".parse().unwrap(),
            clone: "0011223344556677889a".to_owned(),
            host: "build-7".to_owned(),
            run_url: Some("https://ci.example.com/runs/9".to_owned()),
        },
        acquired_at: Timestamp::from_millis(NOW),
        at: Timestamp::from_millis(NOW + 1_500),
        clock: Timestamp::from_millis(NOW + 1_500),
        ttl: seconds(3_600),
        expires_at: Timestamp::from_millis(NOW + 1_500).after(seconds(3_600)),
        state: State::Held,
        reason: "Release 2.0 – \"fünf\"\n".to_owned(),
        ended_by: None,
    }
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let written = String::from_utf8(lease().encode()).unwrap();
    assert_eq!(written, String::from_utf8_lossy(V1).trim_end());
}

#[test]
fn version_1_reads_back() {
    assert_eq!(Lease::decode(V1).unwrap(), lease());
    let broken = Lease { state: State::Broken, ended_by: Some("bob".parse().unwrap()), ..lease() };
    assert_eq!(Lease::decode(&broken.encode()).unwrap(), broken);
    let behind = Lease { clock: Timestamp::from_millis(NOW - 7_200_000), ..lease() };
    assert_eq!(Lease::decode(&behind.encode()).unwrap(), behind);
}

#[test]
fn a_newer_version_is_refused() {
    let newer = String::from_utf8_lossy(V1).replace("\"v\":1", "\"v\":2");
    let refused = Lease::decode(newer.as_bytes());
    assert!(matches!(refused, Err(DecodeError::Newer { found: 2 })), "{refused:?}");
}

#[test]
fn what_no_grit_writes_is_refused() {
    for bytes in [&b""[..], b"{}", b"[]", b"{\"v\":1}", b"\xff", &[b' '; 20_000]] {
        assert!(Lease::decode(bytes).is_err(), "{bytes:?}");
    }
    let good = String::from_utf8_lossy(V1);
    for (from, to) in [
        ("\"fence\":7", "\"fence\":0"),
        ("\"fence\":7", "\"fence\":9007199254740992"),
        ("\"ttl_ms\":3600000", "\"ttl_ms\":0"),
        ("\"ttl_ms\":3600000", "\"ttl_ms\":99999999999999"),
        ("\"expires_at\":1767326646500", "\"expires_at\":1767326646501"),
        ("\"acquired_at\":1767323045000", "\"acquired_at\":-1"),
        ("deploy:production", "deploy:produ ction"),
        ("lease_", "tok_"),
        ("\"host\":\"build-7\"", &format!("\"host\":\"{}\"", "x".repeat(300))),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(Lease::decode(good.replace(from, to).as_bytes()).is_err(), "{to}");
    }
}
