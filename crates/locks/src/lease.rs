use std::time::Duration;

use grit_ledger::canonical;
use grit_types::{Fence, LeaseId, Principal, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Resource;

/// The version of a record that this program writes.
pub const LEASE_VERSION: u64 = 1;
/// No record is larger, so that a hostile one cannot fill memory.
pub const LEASE_BYTES_MAX: usize = 16 << 10;
/// The greatest fence: what every JSON reader still reads exactly.
pub const FENCE_MAX: Fence = Fence((1 << 53) - 1);
/// The shortest and the longest time for which a lock can be had without renewing it.
pub const TTL_MIN: Duration = Duration::from_secs(1);
pub const TTL_MAX: Duration = Duration::from_secs(30 * 86_400);
pub const REASON_CHARS_MAX: usize = 1_000;

/// The end of the year 9999: what calendars hold.
const MILLIS_MAX: i64 = 253_402_300_799_000;
const HOST_CHARS_MAX: usize = 255;
const CLONE_CHARS_MAX: usize = 100;
const RUN_URL_CHARS_MAX: usize = 2_000;

/// One record of a lock: who has it, or how the last one who had it came to have it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub resource: Resource,
    /// The number of this grant; renewing it keeps it, ending it keeps it.
    pub fence: Fence,
    /// Whoever knows it owns the lease.
    pub id: LeaseId,
    pub owner: Owner,
    pub acquired_at: Timestamp,
    /// When this record was written: later than every record before it.
    pub at: Timestamp,
    /// What its writer's wall clock said: earlier than `at` where the record before it is of a clock that is ahead.
    pub clock: Timestamp,
    pub ttl: Duration,
    /// `at` + `ttl` of the last record that held it.
    pub expires_at: Timestamp,
    pub state: State,
    /// What for; of one that was broken, why.
    pub reason: String,
    /// Who ended it, where that was not its owner.
    pub ended_by: Option<Principal>,
}

/// Who acquired a lease, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub actor: Principal,
    /// Which clone of the repository.
    pub clone: String,
    pub host: String,
    /// Of the CI run that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Held,
    /// By its owner.
    Released,
    /// By somebody who named its id and a reason.
    Broken,
    /// Its time and the grace had passed.
    Expired,
}

/// Bytes that are no record this program can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the record has {0} bytes, more than {LEASE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("the record is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the record has no version")]
    NoVersion,
    #[error("the record has version {found}, and this program reads up to {LEASE_VERSION}")]
    Newer { found: u64 },
    #[error("the record does not have the shape of its version")]
    Shape(#[source] serde_json::Error),
    #[error("the record's {0} is out of range")]
    Range(&'static str),
}

/// The members of version 1; times in milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
struct Version1 {
    v: u64,
    resource: Resource,
    fence: Fence,
    lease: LeaseId,
    owner: Owner,
    acquired_at: Timestamp,
    at: Timestamp,
    /// Where it is not `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<Timestamp>,
    ttl_ms: u64,
    expires_at: Timestamp,
    state: State,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_by: Option<Principal>,
}

impl Lease {
    /// The canonical bytes, version 1: RFC 8785 JSON.
    pub fn encode(&self) -> Vec<u8> {
        let record = Version1 {
            v: LEASE_VERSION,
            resource: self.resource.clone(),
            fence: self.fence,
            lease: self.id,
            owner: self.owner.clone(),
            acquired_at: self.acquired_at,
            at: self.at,
            clock: (self.clock != self.at).then_some(self.clock),
            ttl_ms: u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
            expires_at: self.expires_at,
            state: self.state,
            reason: self.reason.clone(),
            ended_by: self.ended_by.clone(),
        };
        // Strings and numbers only: it always serialises.
        canonical(&serde_json::to_value(record).unwrap_or_default()).into_bytes()
    }

    /// Reads a record of any version up to this program's; a newer one is refused, never guessed,
    /// and so is one whose numbers no Grit writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > LEASE_BYTES_MAX {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(DecodeError::Json)?;
        match value.get("v").and_then(Value::as_u64) {
            Some(1) => {}
            Some(found) => return Err(DecodeError::Newer { found }),
            None => return Err(DecodeError::NoVersion),
        }
        let record: Version1 = serde_json::from_value(value).map_err(DecodeError::Shape)?;
        let lease = Self {
            resource: record.resource,
            fence: record.fence,
            id: record.lease,
            owner: record.owner,
            acquired_at: record.acquired_at,
            at: record.at,
            clock: record.clock.unwrap_or(record.at),
            ttl: Duration::from_millis(record.ttl_ms),
            expires_at: record.expires_at,
            state: record.state,
            reason: record.reason,
            ended_by: record.ended_by,
        };
        lease.check().map_err(DecodeError::Range)?;
        Ok(lease)
    }

    /// Which part of it no Grit would write; checked before writing as well as after reading.
    pub fn check(&self) -> Result<(), &'static str> {
        let time = |time: Timestamp| (0..=MILLIS_MAX).contains(&time.millis());
        let text = |text: &str, max: usize| text.chars().count() <= max;
        let checks = [
            (Fence(1) <= self.fence && self.fence <= FENCE_MAX, "fence"),
            ((TTL_MIN..=TTL_MAX).contains(&self.ttl), "ttl"),
            ([self.acquired_at, self.at, self.expires_at].into_iter().all(time), "time"),
            (self.acquired_at <= self.at, "time of writing"),
            (self.clock <= self.at, "writer's clock"),
            (self.state != State::Held || self.expires_at == self.at.after(self.ttl), "expiry"),
            (text(&self.reason, REASON_CHARS_MAX), "reason"),
            (text(&self.owner.host, HOST_CHARS_MAX), "host"),
            (text(&self.owner.clone, CLONE_CHARS_MAX), "clone"),
            (self.owner.run_url.as_ref().is_none_or(|url| text(url, RUN_URL_CHARS_MAX)), "run URL"),
        ];
        checks.into_iter().find(|(good, _)| !good).map_or(Ok(()), |(_, what)| Err(what))
    }
}

impl State {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Broken => "broken",
            Self::Expired => "expired",
        }
    }
}
