//! How leases look: as JSON, and to people.

use grit_git::{Grant, LockView, Scope};
use grit_locks::{Lease, Standing};
use grit_types::format_duration;
use serde_json::{Value, json};

/// Everything of a record that a program may want.
pub fn lease(lease: &Lease) -> Value {
    json!({
        "resource": lease.resource,
        "fence": lease.fence,
        "lease": lease.id,
        "state": lease.state,
        "owner": lease.owner,
        "acquired_at": lease.acquired_at.rfc3339(),
        "expires_at": lease.expires_at.rfc3339(),
        "ttl_ms": u64::try_from(lease.ttl.as_millis()).unwrap_or(u64::MAX),
        "reason": lease.reason,
        "ended_by": lease.ended_by,
    })
}

/// A lease that was just had or renewed.
pub fn grant(grant: &Grant) -> Value {
    let mut value = lease(&grant.lease);
    value["scope"] = match &grant.scope {
        Scope::Remote(name) => json!({ "remote": name }),
        Scope::Local => json!("local"),
    };
    value
}

/// A lock as it stands now.
pub fn lock(view: &LockView) -> Value {
    let mut value = lease(&view.lease);
    value["standing"] = json!(standing(view.standing));
    value["here"] = json!(view.here);
    value
}

/// In a word.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Free => "free",
        Standing::Held => "held",
        Standing::Grace { .. } => "grace",
        Standing::Doubtful { .. } => "doubtful",
        Standing::Over => "expired",
    }
}

/// `ada on build-7 (https://…)`, safe for a terminal.
pub fn holder(lease: &Lease) -> String {
    let mut text = lease.owner.actor.to_string();
    if !lease.owner.host.is_empty() {
        text.push_str(&format!(" on {}", safe(&lease.owner.host)));
    }
    if let Some(url) = &lease.owner.run_url {
        text.push_str(&format!(" ({})", safe(url)));
    }
    text
}

/// Since when and until when, and what that means now.
pub fn times(lease: &Lease, now: Standing) -> String {
    let since = lease.acquired_at;
    let until = lease.expires_at;
    match now {
        Standing::Free => format!("{} since {}", lease.state.as_str(), lease.at),
        Standing::Held => format!("since {since} until {until}"),
        Standing::Over => format!("since {since}; its time was over at {until}"),
        Standing::Grace { until: free } => {
            format!(
                "since {since}; its time was over at {until}, others may have it from {free} on"
            )
        }
        Standing::Doubtful { left, .. } => format!(
            "since {since} until {until}; clocks disagree, so others may have it only once it was \
             watched for {} more",
            format_duration(left)
        ),
    }
}

/// Text that somebody else wrote, without what would act on a terminal or reorder its line.
pub fn safe(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if acts(c) { '\u{fffd}' } else { c }).collect()
}
