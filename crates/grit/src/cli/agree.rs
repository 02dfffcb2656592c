//! `grit key`, `grit label` and `grit policy`: what the team agrees on, in `refs/grit/meta`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use grit_git::{GitLedger, MetaError};
use grit_issues::shown;
use grit_ledger::{Event, HlcClock, Key, LabelDefinition, MetaEvent, Policy, split};
use grit_types::{Clock, Entropy, Principal, Tenant, chain, format_duration, parse_duration};

use super::place::Place;
use super::sync;
use crate::compose::{OsEntropy, SystemClock};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub verb: KeyVerb,
}

#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Make a key for this clone, and sign with it from now on
    Create {
        /// Where; else in the git folder, which nothing is pushed from
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Tell everybody a public key: the own one, or another's
    Publish {
        /// As in id_ed25519.pub; else that of the key this clone signs with
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Whose; else yours
        #[arg(long)]
        actor: Option<Principal>,
    },
    /// All that were published
    List {
        /// In the form that `git verify-commit` reads (gpg.ssh.allowedSignersFile)
        #[arg(long)]
        allowed_signers: bool,
    },
    /// From now on nothing that it signs counts
    Revoke {
        /// `SHA256:…`, or its beginning
        fingerprint: String,
        /// Nor anything that it ever signed
        #[arg(long)]
        compromised: bool,
    },
}

#[derive(Debug, Args)]
pub struct LabelArgs {
    #[command(subcommand)]
    pub verb: LabelVerb,
}

#[derive(Debug, Subcommand)]
pub enum LabelVerb {
    /// What labels mean, for everybody
    List,
    Define {
        name: String,
        /// Six hexadecimal digits
        #[arg(long, default_value = "")]
        color: String,
        #[arg(long, default_value = "", allow_hyphen_values = true)]
        description: String,
    },
    Remove {
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// Whether events must be signed: off, warn or require
    #[arg(long)]
    pub signatures: Option<Policy>,
    /// How long a lock that is over is left alone; `default`: as Grit has it by itself
    #[arg(long, value_name = "TIME")]
    pub lock_grace: Option<String>,
}

pub fn key(verb: &KeyVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    match verb {
        KeyVerb::Create { file } => create(&ledger, file.as_deref(), place, ui),
        KeyVerb::Publish { key, actor } => {
            let key = match key {
                Some(file) => std::fs::read_to_string(file).map_err(|error| {
                    Failure::because(&format!("read `{}`", file.display()), &error)
                })?,
                None => own_key(&ledger)?,
            };
            let actor = actor.clone().unwrap_or_else(|| place.actor().principal);
            let key = key.trim().to_owned();
            record(&ledger, &MetaEvent::KeyAdded { actor, key }, place, ui)
        }
        KeyVerb::List { allowed_signers } => list(&ledger, *allowed_signers, ui),
        KeyVerb::Revoke { fingerprint, compromised } => {
            let fingerprint = find(&ledger, fingerprint)?;
            let compromised = *compromised;
            record(&ledger, &MetaEvent::KeyRevoked { fingerprint, compromised }, place, ui)
        }
    }
}

fn create(
    ledger: &GitLedger,
    file: Option<&Path>,
    place: &Place,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let folder = ledger.repository().common_dir().join("grit");
    let file = match file {
        Some(file) => std::path::absolute(file)
            .map_err(|error| Failure::because("the key's file has no place", &error))?,
        None => folder.join("signing-key"),
    };
    if file.exists() {
        let message = format!("`{}` is there already", file.display());
        return Err(Failure::new(Exit::Conflict, "exists", message).hint("`--file FILE`"));
    }
    let comment = place.actor().principal.to_string();
    let line = ledger
        .create_key(&file, &comment, &OsEntropy)
        .map_err(|error| Failure::because("no key", &error))?;
    ui.status("This clone signs with it from now on; `grit key publish` tells everybody.");
    let fingerprint = GitLedger::fingerprint(&line);
    let data = serde_json::json!({ "file": file, "key": line, "fingerprint": fingerprint });
    ui.data(&data, |_| format!("{line}\n"));
    Ok(Exit::Done)
}

fn own_key(ledger: &GitLedger) -> Result<String, Failure> {
    let key = ledger.signing_key().map_err(|error| Failure::because("no key", &error))?;
    key.ok_or_else(|| {
        Failure::new(Exit::Environment, "no_key", "this clone signs with no key")
            .hint("`grit key create`, or `git config grit.signingKey FILE`")
    })
}

fn agreed(ledger: &GitLedger) -> Result<std::sync::Arc<grit_git::Agreed>, Failure> {
    let failed = |error| Failure::because("what was agreed on cannot be read", &error);
    ledger.agreed().map_err(failed)
}

fn find(ledger: &GitLedger, beginning: &str) -> Result<String, Failure> {
    let agreed = agreed(ledger)?;
    let matches = |key: &&Key| {
        let bare = key.fingerprint.trim_start_matches("SHA256:");
        key.fingerprint == beginning || (beginning.len() >= 4 && bare.starts_with(beginning))
    };
    let found: Vec<&Key> = agreed.meta.keys.iter().filter(matches).collect();
    let failure = |exit, code, message| {
        Err(Failure::new(exit, code, message).hint("`grit key list` shows their fingerprints"))
    };
    match found[..] {
        [key] => Ok(key.fingerprint.clone()),
        [] => failure(Exit::NotFound, "key", format!("no key is `{}`", shown(beginning, 80))),
        _ => {
            failure(Exit::Usage, "ambiguous", format!("`{}` may be several", shown(beginning, 80)))
        }
    }
}

fn list(ledger: &GitLedger, allowed_signers: bool, ui: &Ui) -> Result<Exit, Failure> {
    let agreed = agreed(ledger)?;
    ui.data(&agreed.meta.keys, |keys| {
        if allowed_signers {
            let counts = |key: &&Key| key.revoked.is_none_or(|revoked| !revoked.compromised);
            return keys.iter().filter(counts).map(signer_line).collect();
        }
        if !ui.is_terminal() {
            return keys.iter().map(|key| format!("{}\n", key.fingerprint)).collect();
        }
        let row = |key: &Key| {
            let state = match key.revoked {
                None => "in force".to_owned(),
                Some(revoked) if revoked.compromised => "compromised".to_owned(),
                Some(revoked) => format!("until {}", revoked.at.timestamp()),
            };
            let added = key.added.timestamp().to_string();
            vec![key.fingerprint.clone(), key.actor.to_string(), added, state]
        };
        table(&["KEY", "WHOSE", "SINCE", "STATE"], &keys.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

/// ssh-keygen(1), ALLOWED SIGNERS.
fn signer_line(key: &Key) -> String {
    let words: Vec<&str> = key.key.split_whitespace().take(2).collect();
    format!("{} namespaces=\"git,grit\" {}\n", key.actor, words.join(" "))
}

pub fn label(verb: &LabelVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    match verb {
        LabelVerb::List => {
            let agreed = agreed(&ledger)?;
            ui.data(&agreed.meta.labels, |labels| {
                if !ui.is_terminal() {
                    return labels.keys().map(|name| format!("{name}\n")).collect();
                }
                let row = |(name, label): (&String, &LabelDefinition)| {
                    vec![shown(name, 80), label.color.clone(), shown(&label.description, 80)]
                };
                table(&["LABEL", "COLOR", "MEANS"], &labels.iter().map(row).collect::<Vec<_>>())
            });
            Ok(Exit::Done)
        }
        LabelVerb::Define { name, color, description } => {
            let color = color.trim_start_matches('#').to_ascii_lowercase();
            let label = LabelDefinition { color, description: description.clone() };
            record(&ledger, &MetaEvent::LabelDefined { name: name.clone(), label }, place, ui)
        }
        LabelVerb::Remove { name } => {
            let known = agreed(&ledger)?;
            let known = known.meta.labels.keys().map(String::as_str);
            super::named::known("no label is defined as", name, known)
                .map_err(|failure| failure.hint("`grit label list`"))?;
            record(&ledger, &MetaEvent::LabelRemoved { name: name.clone() }, place, ui)
        }
    }
}

pub fn policy(options: &PolicyArgs, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    if let Some(policy) = options.signatures {
        record(&ledger, &MetaEvent::SignaturesSet { policy }, place, ui)?;
    }
    if let Some(text) = &options.lock_grace {
        let millis = match text.as_str() {
            "default" => None,
            text => Some(millis(text)?),
        };
        record(&ledger, &MetaEvent::LockGraceSet { millis }, place, ui)?;
    }
    if options.signatures.is_some() || options.lock_grace.is_some() {
        return Ok(Exit::Done);
    }
    let agreed = agreed(&ledger)?;
    let failed = |error| Failure::because("what was agreed on cannot be read", &error);
    let here = ledger.policy().map_err(failed)?;
    let data = serde_json::json!({
        "signatures": agreed.meta.signatures,
        "signaturesHere": here,
        "lockGraceMillis": agreed.meta.lock_grace_millis,
    });
    ui.data(&data, |_| {
        let grace = agreed.meta.lock_grace_millis.map(Duration::from_millis);
        let grace = grace.map_or("default".to_owned(), format_duration);
        format!("signatures: {} (here: {here})\nlock grace: {grace}\n", agreed.meta.signatures)
    });
    Ok(Exit::Done)
}

fn millis(text: &str) -> Result<u64, Failure> {
    let time = parse_duration(text)
        .map_err(|error| Failure::new(Exit::Usage, "usage", error.to_string()))?;
    Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn record(ledger: &GitLedger, record: &MetaEvent, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    // A record is an enum tagged by its kind: it always splits.
    let (kind, data) = split(record).expect("a record has a kind");
    let mut salt = [0; 4];
    OsEntropy.fill(&mut salt);
    let (mut clock, now) = (HlcClock::salted(u32::from_le_bytes(salt)), SystemClock.now());
    if let Some(latest) = agreed(ledger)?.latest {
        clock.hear(latest, now);
    }
    let event = Event {
        kind,
        tenant: Tenant::local(),
        repo: place.repo_name()?,
        subject: "meta".to_owned(),
        actor: place.actor(),
        hlc: clock.tick(now),
        cause: None,
        data,
    };
    let everywhere = ledger.agree(&event).map_err(|error| refused(&error, ledger))?;
    if !everywhere {
        ui.status("No remote is configured: this counts in this repository only.");
    }
    ui.data(&serde_json::json!({ "id": event.id() }), |_| String::new());
    Ok(Exit::Done)
}

fn refused(error: &MetaError, ledger: &GitLedger) -> Failure {
    match error {
        MetaError::Refused(_) => Failure::new(Exit::Refused, "refused", chain(error))
            .hint("`grit key list`; a key in force signs with `git config grit.signingKey FILE`"),
        MetaError::Ledger(error) => sync::failure(error, None, ledger.repository()),
    }
}
