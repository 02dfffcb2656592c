//! What can be typed after `grit lock`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use grit_locks::{Resource, TTL_MAX, TTL_MIN};
use grit_types::{Fence, LeaseId, format_duration, parse_duration};

#[derive(Debug, ClapArgs)]
pub struct Lock {
    #[command(subcommand)]
    pub verb: LockVerb,
}

#[derive(Debug, Subcommand)]
pub enum LockVerb {
    /// Take a lock; exit 4 says that somebody has it, or what it excludes
    Acquire(Acquire),
    /// Keep this clone's lock for longer
    Renew(Renew),
    /// Give this clone's lock back
    Release(Named),
    /// Who has which lock, and until when
    Status(Status),
    /// Whether a token still counts
    Check(Check),
    /// Run a command under a lock, and end it when the lock is lost
    Run(Run),
    /// Push so that it lands only while this clone has the lock
    Push(Push),
    /// End somebody else's lock, for a reason that is recorded
    Break(Break),
    /// Record the end of the locks whose time has passed
    Gc,
}

/// Which lock: as the only word, or behind `--resource`.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct Named {
    /// KIND:NAME, such as `deploy:production`; `repo:` excludes everything of other clones, `path:`
    /// what overlaps
    #[arg(value_name = "RESOURCE")]
    pub word: Option<Resource>,
    /// The same
    #[arg(long = "resource", value_name = "RESOURCE")]
    pub option: Option<Resource>,
}

impl Named {
    /// The resource; the group demands one.
    pub fn resource(&self) -> Option<&Resource> {
        self.word.as_ref().or(self.option.as_ref())
    }
}

#[derive(Debug, ClapArgs)]
pub struct Acquire {
    #[command(flatten)]
    pub named: Named,
    /// How long it may be kept without renewing: `90` (seconds), `30m`, `2h`
    #[arg(long, default_value = "1h", value_parser = ttl)]
    pub ttl: Duration,
    /// How long to wait for it, where somebody has it
    #[arg(long, default_value = "0", value_parser = parse_duration)]
    pub wait: Duration,
    /// What for; others see it
    #[arg(long, default_value = "")]
    pub reason: String,
}

#[derive(Debug, ClapArgs)]
pub struct Renew {
    #[command(flatten)]
    pub named: Named,
    /// From now on; else as long as before
    #[arg(long, value_parser = ttl)]
    pub ttl: Option<Duration>,
}

#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub struct Status {
    /// Only this one
    #[arg(value_name = "RESOURCE")]
    pub word: Option<Resource>,
    /// The same
    #[arg(long = "resource", value_name = "RESOURCE")]
    pub option: Option<Resource>,
}

#[derive(Debug, ClapArgs)]
pub struct Check {
    #[command(flatten)]
    pub named: Named,
    /// The number of the grant: what `acquire` printed, or GRIT_LOCK_TOKEN
    #[arg(long, value_name = "N", value_parser = fence)]
    pub token: Fence,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    #[arg(long, value_name = "RESOURCE")]
    pub resource: Resource,
    /// It is renewed three times in this time, as long as the command runs
    #[arg(long, default_value = "1h", value_parser = ttl)]
    pub ttl: Duration,
    /// How long to wait for it, where somebody has it
    #[arg(long, default_value = "0", value_parser = parse_duration)]
    pub wait: Duration,
    /// What for; others see it
    #[arg(long, default_value = "")]
    pub reason: String,
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub struct Push {
    #[arg(long, value_name = "RESOURCE")]
    pub resource: Resource,
    /// As `git push` takes them, without patterns
    #[arg(required = true, value_name = "REFSPEC")]
    pub refspecs: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Break {
    /// Its id, as `grit lock status --json` and refusals show it
    #[arg(long, value_name = "ID")]
    pub lease: LeaseId,
    /// Why; it is recorded
    #[arg(long)]
    pub reason: String,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text).map_err(|error| error.to_string())?;
    if (TTL_MIN..=TTL_MAX).contains(&ttl) {
        return Ok(ttl);
    }
    Err(format!("it must be {} to {}", format_duration(TTL_MIN), format_duration(TTL_MAX)))
}

fn fence(text: &str) -> Result<Fence, String> {
    text.parse().map(Fence).map_err(|_| "it is a whole number".to_owned())
}
