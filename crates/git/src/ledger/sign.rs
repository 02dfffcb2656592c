//! Signatures of events, in the format of OpenSSH (PROTOCOL.sshsig).
//!
//! An event has two. The one that counts for Grit is over the event's canonical bytes, in the
//! namespace `grit`, in the commit's header `gritsig`: a commit that is put behind another parent
//! carries it along, and any clone checks it against the keys in `refs/grit/meta`. The other is
//! git's own, `gpgsig`, over the commit: `git verify-commit` checks it, and it goes when the commit
//! is moved, because it would be wrong.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use gix::config::file::{Metadata, includes, init};
use gix::config::{File, Source};
use grit_ledger::SignatureProblem;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::durable;
use crate::error::{Doing, Reading};
use crate::spawn::ssh_keygen;
use crate::{GitError, Repository};

/// What signatures of events are for, so that none for something else can be passed off as one.
pub(super) const EVENT: &str = "grit";
/// Git's own, for commits.
pub(super) const COMMIT: &str = "git";

/// No key file is larger.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// What a clone signs with.
#[derive(Debug)]
pub(super) enum Signer {
    /// A key that lies open in a file.
    Here(Box<PrivateKey>),
    /// A key that only `ssh-keygen` can use, alone or with the agent, by the file that names it.
    Elsewhere { file: PathBuf, fingerprint: Option<String> },
}

/// Which key to sign with.
pub(super) enum Wanted {
    /// `grit.signingKey`.
    Always(String),
    /// `user.signingKey`, where `gpg.format` is `ssh`: only where signatures are asked for.
    WhenAsked(String),
}

/// What the configuration of the repository and of its user says.
pub(super) fn wanted(repository: &Repository) -> Option<Wanted> {
    let local = repository.local();
    let local = local.config_snapshot();
    let user = of_user();
    let setting = |name: &str| {
        let own = local.string(name).map(|value| value.to_string());
        own.or_else(|| Some(user.as_ref()?.string(name)?.to_string()))
    };
    if let Some(key) = setting("grit.signingKey") {
        return Some(Wanted::Always(key));
    }
    let is_ssh = setting("gpg.format").is_some_and(|format| format == "ssh");
    setting("user.signingKey").filter(|_| is_ssh).map(Wanted::WhenAsked)
}

/// The configuration of the machine and of the user. What git was built with is left out: only a
/// run of git tells where that is.
fn of_user() -> Option<File> {
    let paths = [Source::System, Source::Git, Source::User].into_iter().filter_map(|source| {
        let path = source.storage_location(&mut |name| std::env::var_os(name))?;
        let (path, trust) = (path.is_file().then_some(path)?, gix::sec::Trust::Full);
        Some(Metadata { path: Some(path), source, level: 0, trust })
    });
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let includes = includes::Options::follow_without_conditional(home.as_deref());
    let options = init::Options { includes, ..init::Options::default() };
    File::from_paths_metadata(paths, options).ok().flatten()
}

impl Signer {
    /// The key that a setting names: a file, private or public, or a public key itself behind
    /// `key::`.
    pub(super) fn open(repository: &Repository, setting: &str) -> Result<Self, GitError> {
        if let Some(line) = setting.strip_prefix("key::") {
            let file = repository.common_dir().join("grit/signing.pub");
            durable::create_folders(durable::parent(&file))?;
            durable::replace(&file, format!("{line}\n").as_bytes(), 0o600)?;
            return Ok(Self::Elsewhere { file, fingerprint: fingerprint(line) });
        }
        let file = expanded(setting);
        let text = read_key(&file)?;
        let public = public_half(&file);
        match PrivateKey::from_openssh(&text) {
            Ok(key) if !key.is_encrypted() && is_ed25519(&key) => Ok(Self::Here(Box::new(key))),
            // The agent may have it, and knows it by its public half.
            Ok(key) => {
                let fingerprint = Some(key.fingerprint(HashAlg::Sha256).to_string());
                let file = if key.is_encrypted() && public.exists() { public } else { file };
                Ok(Self::Elsewhere { file, fingerprint })
            }
            Err(_) => {
                let line = fingerprint(&text).or_else(|| fingerprint(&read_key(&public).ok()?));
                Ok(Self::Elsewhere { file, fingerprint: line })
            }
        }
    }

    pub(super) fn fingerprint(&self) -> Option<String> {
        match self {
            Self::Here(key) => Some(key.fingerprint(HashAlg::Sha256).to_string()),
            Self::Elsewhere { fingerprint, .. } => fingerprint.clone(),
        }
    }

    /// The public half, as in `id_ed25519.pub`.
    pub(super) fn public_line(&self) -> Result<String, GitError> {
        match self {
            Self::Here(key) => {
                key.public_key().to_openssh().reading(|| "the signing key".to_owned())
            }
            Self::Elsewhere { file, .. } => {
                let text = read_key(file)?;
                match fingerprint(&text) {
                    Some(_) => Ok(text.trim().to_owned()),
                    None => read_key(&public_half(file)).map(|text| text.trim().to_owned()),
                }
            }
        }
    }

    /// In PEM form.
    pub(super) fn sign(&self, namespace: &str, bytes: &[u8]) -> Result<String, GitError> {
        match self {
            Self::Here(key) => key
                .sign(namespace, HashAlg::Sha512, bytes)
                .and_then(|signature| signature.to_pem(LineEnding::LF))
                .reading(|| "what the signing key says".to_owned()),
            Self::Elsewhere { file, .. } => {
                let words = ["-q", "-Y", "sign", "-n", namespace, "-f"].map(OsStr::new);
                let args = [&words[..], &[file.as_os_str()]].concat();
                let pem = ssh_keygen(&args, bytes.to_vec())?;
                String::from_utf8(pem).reading(|| "what ssh-keygen says".to_owned())
            }
        }
    }
}

/// The fingerprint of the key that signed these bytes.
pub(super) fn signer(pem: Option<&str>, bytes: &[u8]) -> Result<String, SignatureProblem> {
    let pem = pem.ok_or(SignatureProblem::Missing)?;
    let signature = SshSig::from_pem(pem).map_err(|_| SignatureProblem::Wrong)?;
    let key = PublicKey::from(signature.public_key().clone());
    key.verify(EVENT, bytes, &signature).map_err(|_| SignatureProblem::Wrong)?;
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

/// The fingerprint of a public key's line.
pub(super) fn fingerprint(line: &str) -> Option<String> {
    let key = PublicKey::from_openssh(line.trim()).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}

/// A new key in a file of its own, and its public half beside it; answers that one's line.
pub(super) fn create(file: &Path, seed: &[u8; 32], comment: &str) -> Result<String, GitError> {
    let what = || "the new key".to_owned();
    if file.exists() {
        return Err(GitError::Exists { path: file.to_owned() });
    }
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(seed));
    let key = PrivateKey::new(pair, comment).reading(what)?;
    let (text, line) =
        (key.to_openssh(LineEnding::LF).reading(what)?, key.public_key().to_openssh());
    let line = line.reading(what)?;
    durable::create_folders(durable::parent(file))?;
    durable::replace(&public_half(file), format!("{line}\n").as_bytes(), 0o644)?;
    durable::replace(file, text.as_bytes(), 0o600)?;
    Ok(line)
}

fn is_ed25519(key: &PrivateKey) -> bool {
    matches!(key.key_data(), KeypairData::Ed25519(_))
}

fn public_half(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn read_key(file: &Path) -> Result<String, GitError> {
    let bytes = fs::metadata(file).doing("read", file)?.len();
    if bytes > KEY_BYTES_MAX {
        let what = format!("key `{}`", file.display());
        return Err(GitError::TooLarge { what, bytes, limit: KEY_BYTES_MAX });
    }
    fs::read_to_string(file).doing("read", file)
}
