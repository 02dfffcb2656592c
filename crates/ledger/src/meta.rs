//! What a team agreed on for its repository: whose keys sign, whether events must be signed, what
//! its labels mean, and how long a lock that is over is left alone.
//!
//! Unlike the ledger it is one line of records with one order, moved at the remote by
//! compare-and-swap: a key that is revoked here and used there must not be a matter of clocks.
//! Records are events in the ledger's envelope. Who checks signatures says whose each is; this
//! decides what that means.
//!
//! The first key is trusted on first use and signs itself. From then on keys and the policy are
//! changed only by records that a key which is in force has signed; under [`Policy::Require`]
//! everything is.

use std::collections::BTreeMap;

use grit_types::Principal;
use serde::{Deserialize, Serialize};

use crate::{AHEAD_MAX, Event, Hlc, PayloadError, join};

/// Whether events must be signed. A clone may be stricter than its team, never less strict.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    #[default]
    Off,
    /// Events without a good signature are marked.
    Warn,
    /// They are left out.
    Require,
}

impl std::str::FromStr for Policy {
    type Err = UnknownPolicy;
    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "require" => Ok(Self::Require),
            other => Err(UnknownPolicy(other.to_owned())),
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Require => "require",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of off, warn and require")]
pub struct UnknownPolicy(String);

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum MetaEvent {
    /// `key` is a line as in `id_ed25519.pub`.
    #[serde(rename = "meta.key_added")]
    KeyAdded { actor: Principal, key: String },
    /// What the key signed before stays good, unless it is compromised.
    #[serde(rename = "meta.key_revoked")]
    KeyRevoked { fingerprint: String, compromised: bool },
    #[serde(rename = "meta.signatures_set")]
    SignaturesSet { policy: Policy },
    #[serde(rename = "meta.label_defined")]
    LabelDefined { name: String, label: LabelDefinition },
    #[serde(rename = "meta.label_removed")]
    LabelRemoved { name: String },
    /// In milliseconds; none: as Grit has it by itself.
    #[serde(rename = "meta.lock_grace_set")]
    LockGraceSet { millis: Option<u64> },
}

/// What a label means. An issue may have labels that nobody defined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelDefinition {
    /// Six hexadecimal digits; may be empty.
    pub color: String,
    pub description: String,
}

/// Somebody's public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    pub actor: Principal,
    /// As in `id_ed25519.pub`.
    pub key: String,
    /// `SHA256:…`
    pub fingerprint: String,
    pub added: Hlc,
    pub revoked: Option<Revoked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Revoked {
    pub at: Hlc,
    /// Nothing that it ever signed counts.
    pub compromised: bool,
}

/// What was agreed on, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    pub signatures: Policy,
    pub keys: Vec<Key>,
    pub labels: BTreeMap<String, LabelDefinition>,
    pub lock_grace_millis: Option<u64>,
}

/// Why a record does not count.
#[derive(Debug, thiserror::Error)]
pub enum MetaRefusal {
    #[error("it is not signed by a key that is in force")]
    Untrusted,
    #[error("the first key does not sign itself")]
    NotItself,
    #[error("its key is none that can be used here")]
    Key,
    #[error("key {0} is known already")]
    Known(String),
    #[error("there is no key {0} in force")]
    NoKey(String),
    #[error("it is the last key in force, and nobody could add another: add one first")]
    LastKey,
    #[error("there are no keys yet that anything could be signed with")]
    NoKeys,
    #[error("the label's {0}")]
    Label(&'static str),
    #[error(transparent)]
    Broken(#[from] PayloadError),
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    #[error("it is not signed")]
    Missing,
    #[error("its signature does not belong to its bytes")]
    Wrong,
    #[error("key {0} is not known here")]
    Unknown(String),
    #[error("key {key} is {owner}'s, and {actor} is said to have acted")]
    NotTheirs { key: String, owner: Principal, actor: Principal },
    #[error("key {0} was not published yet")]
    Early(String),
    #[error("key {0} was revoked before")]
    Revoked(String),
}

impl Meta {
    /// Takes the next record in, or says why it does not count. `signer`: the fingerprint of the
    /// key that signed it; `fingerprint` gives that of a public key's line.
    pub fn apply(
        &mut self,
        event: &Event,
        signer: Option<&str>,
        fingerprint: impl Fn(&str) -> Option<String>,
    ) -> Result<(), MetaRefusal> {
        let record: MetaEvent = join(&event.kind, &event.data)?;
        let signed = signer.is_some_and(|signer| self.in_force(signer).is_some());
        let about_trust = matches!(
            record,
            MetaEvent::KeyAdded { .. }
                | MetaEvent::KeyRevoked { .. }
                | MetaEvent::SignaturesSet { .. }
        );
        let needs_key = about_trust || self.signatures == Policy::Require;
        if needs_key && !self.keys.is_empty() && !signed {
            return Err(MetaRefusal::Untrusted);
        }
        match record {
            MetaEvent::KeyAdded { actor, key } => {
                let fingerprint = fingerprint(&key).ok_or(MetaRefusal::Key)?;
                self.add(Key { actor, key, fingerprint, added: event.hlc, revoked: None }, signer)
            }
            MetaEvent::KeyRevoked { fingerprint, compromised } => {
                self.revoke(&fingerprint, Revoked { at: event.hlc, compromised })
            }
            MetaEvent::SignaturesSet { policy } if self.keys.is_empty() => match policy {
                Policy::Require => Err(MetaRefusal::NoKeys),
                Policy::Off | Policy::Warn => {
                    self.signatures = policy;
                    Ok(())
                }
            },
            MetaEvent::SignaturesSet { policy } => {
                self.signatures = policy;
                Ok(())
            }
            MetaEvent::LabelDefined { name, label } => {
                checked_label(&name, &label).map_err(MetaRefusal::Label)?;
                self.labels.insert(name, label);
                Ok(())
            }
            MetaEvent::LabelRemoved { name } => {
                self.labels.remove(&name);
                Ok(())
            }
            MetaEvent::LockGraceSet { millis } => {
                self.lock_grace_millis = millis;
                Ok(())
            }
        }
    }

    fn add(&mut self, key: Key, signer: Option<&str>) -> Result<(), MetaRefusal> {
        if self.keys.is_empty() && signer != Some(&key.fingerprint) {
            return Err(MetaRefusal::NotItself);
        }
        if self.keys.iter().any(|known| known.fingerprint == key.fingerprint) {
            return Err(MetaRefusal::Known(key.fingerprint));
        }
        self.keys.push(key);
        Ok(())
    }

    fn revoke(&mut self, fingerprint: &str, revoked: Revoked) -> Result<(), MetaRefusal> {
        if self.in_force(fingerprint).is_none() {
            return Err(MetaRefusal::NoKey(fingerprint.to_owned()));
        }
        let others = |key: &&mut Key| key.revoked.is_none() && key.fingerprint != fingerprint;
        if !self.keys.iter_mut().any(|key| others(&key)) {
            return Err(MetaRefusal::LastKey);
        }
        let key = self.keys.iter_mut().find(|key| key.fingerprint == fingerprint);
        key.into_iter().for_each(|key| key.revoked = Some(revoked));
        Ok(())
    }

    fn in_force(&self, fingerprint: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.fingerprint == fingerprint && key.revoked.is_none())
    }

    /// Whether a good signature by that key makes an event its actor's own.
    ///
    /// An event's time is what its author's clock said, so a revocation cannot stop one that is
    /// dated back: whose key is in wrong hands revokes it as compromised.
    pub fn accepts(&self, signer: &str, event: &Event) -> Result<(), SignatureProblem> {
        let text = || signer.to_owned();
        let key = self.keys.iter().find(|key| key.fingerprint == signer);
        let key = key.ok_or_else(|| SignatureProblem::Unknown(text()))?;
        let actor = &event.actor.principal;
        if key.actor != *actor {
            let (owner, actor) = (key.actor.clone(), actor.clone());
            return Err(SignatureProblem::NotTheirs { key: text(), owner, actor });
        }
        let slack = i64::try_from(AHEAD_MAX.as_millis()).unwrap_or(i64::MAX);
        if event.hlc.millis.saturating_add(slack) < key.added.millis {
            return Err(SignatureProblem::Early(text()));
        }
        match key.revoked {
            Some(revoked) if revoked.compromised || event.hlc >= revoked.at => {
                Err(SignatureProblem::Revoked(text()))
            }
            _ => Ok(()),
        }
    }
}

fn checked_label(name: &str, label: &LabelDefinition) -> Result<(), &'static str> {
    let color = &label.color;
    if name.is_empty() || name.len() > 200 || name.trim() != name {
        return Err("name must be 1 to 200 bytes, without white space around it");
    }
    if name.chars().chain(label.description.chars()).any(char::is_control) {
        return Err("name and description must be one line each");
    }
    if label.description.len() > 1_000 {
        return Err("description has more than 1000 bytes");
    }
    if !color.is_empty() && (color.len() != 6 || !color.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err("color must be six hexadecimal digits");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grit_types::{Actor, Tenant};

    use super::*;
    use crate::split;

    fn event(actor: &str, millis: i64, record: &MetaEvent) -> Event {
        let (kind, data) = split(record).unwrap();
        Event {
            kind,
            tenant: Tenant::local(),
            repo: "shop".parse().unwrap(),
            subject: "meta".into(),
            actor: Actor::new(actor.parse().unwrap(), "cli"),
            hlc: Hlc { millis, count: 0 },
            cause: None,
            data,
        }
    }

    fn add(actor: &str, key: &str) -> MetaEvent {
        MetaEvent::KeyAdded { actor: actor.parse().unwrap(), key: key.into() }
    }

    fn revoke(key: &str, compromised: bool) -> MetaEvent {
        MetaEvent::KeyRevoked { fingerprint: key.into(), compromised }
    }

    /// Keys are their own fingerprints here.
    fn apply(meta: &mut Meta, millis: i64, record: &MetaEvent, signer: Option<&str>) -> String {
        let applied = meta.apply(&event("ada", millis, record), signer, |key| Some(key.to_owned()));
        applied.map_or_else(|refusal| refusal.to_string(), |()| "counts".to_owned())
    }

    #[test]
    fn trust_begins_with_the_first_key_and_is_handed_on() {
        let (mut meta, hour) = (Meta::default(), 3_600_000);
        let require = MetaEvent::SignaturesSet { policy: Policy::Require };
        assert!(apply(&mut meta, 0, &require, None).contains("no keys yet"));
        assert!(apply(&mut meta, 0, &add("ada", "A"), None).contains("sign itself"));
        assert!(apply(&mut meta, 0, &add("ada", "A"), Some("E")).contains("sign itself"));
        assert_eq!(apply(&mut meta, hour, &add("ada", "A"), Some("A")), "counts");
        for signer in [None, Some("E")] {
            for record in [add("eve", "E"), revoke("A", false), require.clone()] {
                assert!(apply(&mut meta, hour, &record, signer).contains("not signed by"));
            }
        }
        let label = MetaEvent::LabelRemoved { name: "x".into() };
        assert_eq!(apply(&mut meta, hour, &label, None), "counts");
        assert_eq!(apply(&mut meta, hour, &require, Some("A")), "counts");
        assert!(apply(&mut meta, hour, &label, None).contains("not signed by"));
        assert!(apply(&mut meta, hour, &revoke("A", false), Some("A")).contains("last key"));
        assert_eq!(apply(&mut meta, 2 * hour, &add("bob", "B"), Some("A")), "counts");
        assert_eq!(apply(&mut meta, 3 * hour, &revoke("A", false), Some("B")), "counts");
        assert!(apply(&mut meta, 3 * hour, &add("eve", "E"), Some("A")).contains("not signed by"));
    }

    #[test]
    fn a_key_counts_for_its_actor_from_its_publication_until_it_is_revoked() {
        let (mut meta, hour) = (Meta::default(), 3_600_000);
        apply(&mut meta, hour, &add("ada", "A"), Some("A"));
        apply(&mut meta, hour, &add("bob", "B"), Some("A"));
        apply(&mut meta, 3 * hour, &revoke("A", false), Some("B"));
        let by = |actor: &str, millis| event(actor, millis, &revoke("x", false));
        let accepts = |signer: &str, actor: &str, millis| meta.accepts(signer, &by(actor, millis));
        assert_eq!(accepts("A", "ada", 2 * hour), Ok(()));
        assert_eq!(accepts("A", "ada", hour - 1_000), Ok(()), "clocks differ");
        assert!(matches!(accepts("A", "ada", 0), Err(SignatureProblem::Early(_))));
        assert!(matches!(accepts("A", "ada", 3 * hour), Err(SignatureProblem::Revoked(_))));
        assert!(matches!(accepts("B", "ada", 2 * hour), Err(SignatureProblem::NotTheirs { .. })));
        assert!(matches!(accepts("E", "ada", 2 * hour), Err(SignatureProblem::Unknown(_))));
        apply(&mut meta, 4 * hour, &add("bob", "C"), Some("B"));
        apply(&mut meta, 4 * hour, &revoke("B", true), Some("C"));
        let late = meta.accepts("B", &by("bob", 2 * hour));
        assert!(matches!(late, Err(SignatureProblem::Revoked(_))), "{late:?}");
    }

    #[test]
    fn labels_are_one_line_with_a_color() {
        let define = |name: &str, color: &str| MetaEvent::LabelDefined {
            name: name.into(),
            label: LabelDefinition { color: color.into(), description: "what it means".into() },
        };
        let mut meta = Meta::default();
        for (name, color) in [("", ""), (" x", ""), ("a\nb", ""), ("x", "red"), ("x", "12345g")] {
            assert_ne!(apply(&mut meta, 0, &define(name, color), None), "counts", "{name} {color}");
        }
        assert_eq!(apply(&mut meta, 0, &define("bug", "d73a4a"), None), "counts");
        assert_eq!(meta.labels.len(), 1);
        apply(&mut meta, 0, &MetaEvent::LabelRemoved { name: "bug".into() }, None);
        assert_eq!(meta.labels.len(), 0);
    }
}
