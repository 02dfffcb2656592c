//! What this clone has seen of the locks, and what that says about clocks.
//!
//! Two things are kept from look to look. For each lease since when it has been seen unchanged, by
//! the clock that counts from boot and is never set: a lease that was watched for its whole time is
//! over, whatever any wall clock says. And when the last look was, by both clocks: a record that
//! came after that look and says to be older than it shows that two wall clocks disagree, and two
//! looks between which the wall clock went another way than the counting one show that it was set.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use grit_locks::{Doubt, Lease, Moment, SLACK, State};
use grit_types::{CommitId, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::GitError;
use crate::durable::Temporary;
use crate::error::Doing;

const VERSION: u32 = 1;

/// A point on the clock that counts from boot, sleep included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    boot: String,
    millis: u64,
}

impl Counted {
    pub(super) fn now() -> Self {
        // One boot ends where another begins; a system that does not tell has one for ever.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let millis = seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
        Self { boot: boot.trim().to_owned(), millis }
    }

    pub(super) fn after(&self, duration: Duration) -> Self {
        let more = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { boot: self.boot.clone(), millis: self.millis.saturating_add(more) }
    }

    /// From `earlier` to this, zero where that is later; none across a boot.
    pub(super) fn since(&self, earlier: &Self) -> Option<Duration> {
        let same = self.boot == earlier.boot;
        same.then(|| Duration::from_millis(self.millis.saturating_sub(earlier.millis)))
    }
}

/// When a look began, by both clocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Look {
    pub(super) counted: Counted,
    pub(super) wall: Timestamp,
}

/// A lease that was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seen {
    tip: CommitId,
    since: Counted,
    doubt: Option<SeenDoubt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SeenDoubt {
    Disagreed,
    Set,
}

/// The file: what was seen at one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sight {
    v: u32,
    /// The remote, or nothing for the repository itself.
    place: String,
    last: Look,
    seen: BTreeMap<String, Seen>,
}

impl Sight {
    /// What was written last; none where nothing was, or nothing that can be read: then nothing is
    /// known, and the next look begins anew.
    pub(super) fn read(path: &Path, place: &str) -> Option<Self> {
        let sight: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (sight.v == VERSION && sight.place == place).then_some(sight)
    }

    /// Not synced: after a power cut it is of another boot.
    pub(super) fn write(&self, path: &Path) -> Result<(), GitError> {
        let folder = crate::durable::parent(path);
        let (mut file, temporary) = Temporary::create(folder, "tmp_sight_", 0o600)?;
        serde_json::to_writer(&mut file, self)
            .map_err(std::io::Error::from)
            .doing("write", path)?;
        temporary.rename(path)
    }

    /// What is known after a look that began at `look` and was over at `now`.
    pub(super) fn next<'a>(
        before: Option<&Self>,
        place: &str,
        look: Look,
        now: &Counted,
        tips: impl Iterator<Item = (&'a String, &'a CommitId, &'a Lease)>,
    ) -> Self {
        let last = before.map(|before| &before.last);
        let last = last.filter(|last| last.counted.boot == look.counted.boot);
        let was_set = last.is_some_and(|last| was_set(last, &look));
        let mut seen = BTreeMap::new();
        for (key, tip, lease) in tips.filter(|(_, _, lease)| lease.state == State::Held) {
            let known = before.and_then(|before| before.seen.get(key));
            let known = known.filter(|known| known.tip == *tip && known.since.boot == now.boot);
            let set = was_set.then_some(SeenDoubt::Set);
            let next = match known {
                Some(known) => Seen { doubt: known.doubt.or(set), ..known.clone() },
                None => {
                    let older = last.is_some_and(|last| last.wall.since(lease.clock) > SLACK);
                    let doubt = set.or(older.then_some(SeenDoubt::Disagreed));
                    Seen { tip: tip.clone(), since: now.clone(), doubt }
                }
            };
            seen.insert(key.clone(), next);
        }
        Self { v: VERSION, place: place.to_owned(), last: look, seen }
    }

    /// What is known about time for the lock of `key`.
    pub(super) fn moment(
        &self,
        key: &str,
        wall: Timestamp,
        now: &Counted,
        trusted: bool,
    ) -> Moment {
        let seen = self.seen.get(key);
        let doubt = seen.and_then(|seen| seen.doubt).map(|doubt| match doubt {
            SeenDoubt::Disagreed => Doubt::Disagreed,
            SeenDoubt::Set => Doubt::Set,
        });
        Moment {
            now: wall,
            watched: seen.and_then(|seen| now.since(&seen.since)).unwrap_or_default(),
            doubt: doubt.or((!trusted).then_some(Doubt::Untrusted)),
        }
    }
}

/// Whether the wall clock went another way between two looks of one boot than the counting one.
fn was_set(last: &Look, look: &Look) -> bool {
    let counted = look.counted.millis.saturating_sub(last.counted.millis);
    let counted = i64::try_from(counted).unwrap_or(i64::MAX);
    let wall = look.wall.millis().saturating_sub(last.wall.millis());
    let slack = u64::try_from(SLACK.as_millis()).unwrap_or(u64::MAX);
    // Clocks drift, and are slewed by up to a two-thousandth.
    wall.saturating_sub(counted).unsigned_abs()
        > slack.saturating_add(counted.unsigned_abs() / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_locks::{Owner, Resource};
    use grit_types::{Fence, LeaseId};

    const KEY: &str = "k";

    fn counted(millis: u64) -> Counted {
        Counted { boot: "b".to_owned(), millis }
    }

    fn look(millis: u64, wall: i64) -> Look {
        Look { counted: counted(millis), wall: Timestamp::from_millis(wall) }
    }

    fn lease(at: i64) -> Lease {
        let at = Timestamp::from_millis(at);
        let resource: Resource = "deploy:a".parse().unwrap();
        Lease {
            resource,
            fence: Fence(1),
            id: LeaseId::derived(at, b"x"),
            owner: Owner {
                actor: "ada".parse().unwrap(),
                clone: "c".to_owned(),
                host: String::new(),
                run_url: None,
            },
            acquired_at: at,
            at,
            clock: at,
            ttl: Duration::from_secs(60),
            expires_at: at.after(Duration::from_secs(60)),
            state: State::Held,
            reason: String::new(),
            ended_by: None,
        }
    }

    fn tip(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// Looks at `tips`, at this counted and wall time.
    fn next(before: Option<&Sight>, millis: u64, wall: i64, seen: &[(char, i64)]) -> Sight {
        let key = KEY.to_owned();
        let tips: Vec<_> = seen.iter().map(|(digit, at)| (tip(*digit), lease(*at))).collect();
        let tips = tips.iter().map(|(tip, lease)| (&key, tip, lease));
        Sight::next(before, "origin", look(millis, wall), &counted(millis + 10), tips)
    }

    fn moment(sight: &Sight, millis: u64) -> Moment {
        sight.moment(KEY, Timestamp::from_millis(0), &counted(millis), true)
    }

    #[test]
    fn a_lease_is_watched_from_the_end_of_the_first_look_on() {
        let first = next(None, 1_000, 500_000, &[('a', 499_000)]);
        let second = next(Some(&first), 9_000, 508_000, &[('a', 499_000)]);
        assert_eq!(moment(&second, 9_010).watched, Duration::from_secs(8));
        assert_eq!(moment(&second, 9_010).doubt, None);
        let renewed = next(Some(&second), 10_000, 509_000, &[('b', 508_900)]);
        assert_eq!(moment(&renewed, 10_010).watched, Duration::ZERO);
        assert_eq!(
            renewed.moment(KEY, Timestamp::from_millis(0), &counted(1), false).doubt,
            Some(Doubt::Untrusted)
        );
    }

    #[test]
    fn a_new_record_that_is_older_than_the_last_look_shows_a_wrong_clock() {
        let first = next(None, 1_000, 7_200_000, &[]);
        let second = next(Some(&first), 2_000, 7_201_000, &[('a', 1_500)]);
        assert_eq!(moment(&second, 2_010).doubt, Some(Doubt::Disagreed));
        let third = next(Some(&second), 3_000, 7_202_000, &[('a', 1_500)]);
        assert_eq!(moment(&third, 3_010).doubt, Some(Doubt::Disagreed), "it stays");
        let slow_push = next(Some(&first), 2_000, 7_201_000, &[('a', 7_198_500)]);
        assert_eq!(moment(&slow_push, 2_010).doubt, None);
    }

    #[test]
    fn a_clock_that_was_set_between_two_looks_is_noticed() {
        let first = next(None, 1_000, 500_000, &[('a', 499_000)]);
        let ahead = next(Some(&first), 2_000, 7_701_000, &[('a', 499_000)]);
        assert_eq!(moment(&ahead, 2_010).doubt, Some(Doubt::Set));
        let back = next(Some(&ahead), 3_000, 502_000, &[('a', 499_000)]);
        assert_eq!(moment(&back, 3_010).doubt, Some(Doubt::Set));
        let new = next(Some(&back), 4_000, 503_000, &[('b', 502_500)]);
        assert_eq!(moment(&new, 4_010).doubt, None, "a record that came since is comparable");
    }

    #[test]
    fn another_boot_begins_anew() {
        let first = next(None, 100_000, 500_000, &[('a', 499_000)]);
        let mut other = look(1_000, 900_000);
        other.counted.boot = "c".to_owned();
        let now = other.counted.after(Duration::from_millis(5));
        let (key, tip, lease) = (KEY.to_owned(), tip('a'), lease(499_000));
        let second =
            Sight::next(Some(&first), "origin", other, &now, [(&key, &tip, &lease)].into_iter());
        let seen = second.moment(KEY, Timestamp::from_millis(0), &now, true);
        assert_eq!((seen.watched, seen.doubt), (Duration::ZERO, None));
        assert_eq!(now.since(&counted(1)), None);
    }
}
