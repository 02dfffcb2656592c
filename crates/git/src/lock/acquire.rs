//! Having a lock: published, then verified.
//!
//! A record is put behind the last one by compare-and-swap, so of those who want the same resource
//! one gets it. Resources that conflict have refs of their own, so a record counts only once its
//! writer has looked again and found none that excludes it: of two that were published at the same
//! time at least one writer sees the other's, and takes its own back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use grit_locks::{Decision, Lease, Owner, Refusal, Standing, Wish, decide};
use grit_types::{CommitId, LeaseId};

use super::board::{Board, Entry, InTheWay};
use super::kept::Kept;
use super::place::{Move, Place, Published};
use super::sight::Counted;
use super::{Ask, Grant, LockError, Locks, record};
use crate::GitError;

/// How often one attempt starts again because others asked at the same moment.
const RACES_MAX: u32 = 8;
/// How often something is taken back before its end is left to its time.
const WITHDRAWALS_MAX: u32 = 2;
/// How often in a row a remote may not want a record before it never will: a dead push may hold a
/// lock of its own there for a moment.
const REFUSALS_MAX: u32 = 3;
/// More leases that are over than this are for `grit lock gc`.
const TOMBSTONES_MAX: usize = 16;
/// Between two looks of one who waits.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// One call: the lease that it wants, under one id in all its attempts.
struct Attempt<'a> {
    locks: &'a Locks,
    place: &'a Place<'a>,
    ask: &'a Ask,
    key: String,
    lease: LeaseId,
    owner: Owner,
    /// The commits of its records, the last one last.
    written: Vec<CommitId>,
    /// The remote has lost the ref that this clone has seen.
    vanished: bool,
    /// How often the remote did not want a record that nothing stood in the way of.
    refusals: u32,
    kept: Kept,
}

/// How one round ended.
enum Round {
    Granted(Box<Lease>),
    /// Somebody was at the same lock, or at one that it excludes, at the same moment.
    Race,
}

impl Locks {
    /// Waits for the lock up to `ask.wait`; `stop` ends the waiting.
    pub fn acquire(&self, ask: &Ask, stop: &AtomicBool) -> Result<Grant, LockError> {
        let place = self.place()?;
        let deadline = Instant::now() + ask.wait;
        let mut pause = LOOK_EVERY.0;
        let mut attempt = Attempt::new(self, &place, ask)?;
        loop {
            let outcome = attempt.run(stop);
            let Err(error) = outcome else { return outcome };
            let left = deadline.saturating_duration_since(Instant::now());
            let may_pass = matches!(
                error,
                LockError::Held { .. }
                    | LockError::Contended { .. }
                    | LockError::Unreachable { .. }
            );
            if !may_pass || left.is_zero() {
                return Err(error);
            }
            self.rest(self.jittered(pause).min(left), stop)?;
            pause = (pause * 3 / 2).min(LOOK_EVERY.1);
        }
    }

    /// Sleeps, unless told to stop.
    fn rest(&self, duration: Duration, stop: &AtomicBool) -> Result<(), LockError> {
        let until = Instant::now() + duration;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(LockError::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Between a half and the whole of it, so that those who met do not meet again.
    pub(super) fn jittered(&self, duration: Duration) -> Duration {
        let part = u32::try_from(self.entropy.next_u64() % 512).unwrap_or(0);
        duration * (512 + part) / 1_024
    }
}

impl<'a> Attempt<'a> {
    fn new(locks: &'a Locks, place: &'a Place<'a>, ask: &'a Ask) -> Result<Self, LockError> {
        let lease = LeaseId::new(locks.clock.now(), &*locks.entropy);
        let until = Counted::now().after(ask.ttl);
        Ok(Self {
            locks,
            place,
            ask,
            key: ask.resource.key(),
            lease,
            owner: locks.owner()?,
            written: Vec::new(),
            vanished: false,
            refusals: 0,
            kept: Kept::new(&ask.resource, lease, until),
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> Result<Grant, LockError> {
        for race in 1..=RACES_MAX {
            match self.round()? {
                Round::Granted(lease) => return self.grant(*lease),
                Round::Race => {}
            }
            let pause = Duration::from_millis(40) * race;
            self.locks.rest(self.locks.jittered(pause), stop)?;
        }
        Err(LockError::Contended { wanted: self.ask.resource.clone() })
    }

    fn round(&mut self) -> Result<Round, LockError> {
        if self.written.is_empty() {
            let until = Counted::now().after(self.ask.ttl);
            self.kept = self.kept.clone().until(until);
        }
        let mut board = Board::look(self.locks, self.place)?;
        if let Some(own) = self.own(&mut board)? {
            // An answer was lost, and the request was not.
            return self.verify(board, own);
        }
        let (in_the_way, over) = board.conflicts(&self.ask.resource, &self.owner.clone)?;
        if let Some(in_the_way) = in_the_way {
            return Err(self.held(in_the_way));
        }
        let next = self.decide(&mut board)?;
        let moves = self.moves(&mut board, &next, over)?;
        self.locks.shelf().put(&self.kept)?;
        match self.place.publish(&moves, &[])? {
            Published::Accepted => self.verify(board, next),
            Published::Rejected { why } | Published::PayloadRejected { why } => {
                self.rejected(board, why)?;
                Ok(Round::Race)
            }
            Published::Unknown(error) => {
                // Whether it got through, the next look shows; if there is none, nothing is had.
                tracing::warn!(%error, "the answer to a request for a lock was lost");
                let mut board = Board::look(self.locks, self.place)?;
                match self.own(&mut board)? {
                    Some(own) => self.verify(board, own),
                    None => self.unanswered(error),
                }
            }
        }
    }

    /// The last record, where it is ours.
    fn own(&self, board: &mut Board) -> Result<Option<Lease>, LockError> {
        let entry = board.entry(&self.key)?;
        let own = entry.filter(|entry| self.written.contains(&entry.tip));
        Ok(own.map(|entry| entry.lease.clone()))
    }

    fn decide(&self, board: &mut Board) -> Result<Lease, LockError> {
        let wish = Wish::Acquire {
            resource: self.ask.resource.clone(),
            lease: self.lease,
            owner: self.owner.clone(),
            ttl: self.ask.ttl,
            reason: self.ask.reason.clone(),
        };
        let moment = board.moment(&self.key);
        let tip = board.entry(&self.key)?.map(|entry| &entry.lease);
        match decide(tip, &wish, &moment, self.locks.settings.rules) {
            Ok(Decision::Write(lease) | Decision::Already(lease)) => Ok(lease),
            Err(Refusal::Held { lease, standing }) => {
                Err(self.held(InTheWay { lease: *lease, standing }))
            }
            Err(_) => Err(LockError::Exhausted { resource: self.ask.resource.clone() }),
        }
    }

    /// Ours, and the ends of those in the way whose time has passed: their holders' pushes must
    /// not land any more.
    fn moves(
        &mut self,
        board: &mut Board,
        next: &Lease,
        over: Vec<Entry>,
    ) -> Result<Vec<Move>, LockError> {
        let expected = board.entry(&self.key)?.map(|entry| entry.tip.clone());
        let new = record::write(&self.place.repository.objects(), next, expected.as_ref())?;
        self.written.push(new.clone());
        let expected = expected.filter(|_| !self.vanished);
        let mut moves = vec![Move { name: self.place.ref_name(&self.key)?, expected, new }];
        for entry in over.into_iter().take(TOMBSTONES_MAX) {
            moves.extend(self.locks.tombstone(self.place, &entry)?.map(|(ended, _)| ended));
        }
        Ok(moves)
    }

    /// Somebody was faster; or the remote does not want it, and then it never will.
    fn rejected(&mut self, board: Board, why: String) -> Result<(), LockError> {
        let now = self.place.list()?;
        let seen = board.entries.get(&self.key).map(|entry| &entry.tip);
        self.vanished = seen.is_some() && !now.contains_key(&self.key) && !self.vanished;
        let raced = now.get(&self.key) != seen || !board.is_like(&now, &self.key);
        self.locks.shelf().remove(&self.ask.resource, self.lease);
        self.renamed();
        self.refusals = if raced { 0 } else { self.refusals + 1 };
        if self.refusals < REFUSALS_MAX {
            return Ok(());
        }
        Err(LockError::Rejected { remote: self.place.name().to_owned(), why })
    }

    /// A request whose answer was lost, and which did not get through; a remote that lets everybody
    /// look and nobody push may answer each so.
    fn unanswered(&mut self, error: GitError) -> Result<Round, LockError> {
        self.refusals += 1;
        if self.refusals < REFUSALS_MAX {
            return Ok(Round::Race);
        }
        Err(super::place::unreachable(self.place.name(), error))
    }

    /// Whether what was published is still there, and nothing that excludes it is.
    fn verify(&mut self, board: Board, own: Lease) -> Result<Round, LockError> {
        let verified = self.is_alone(board);
        match verified {
            // One that took all its time to come is of no use.
            Ok(true) if self.kept.left().is_some_and(|left| !left.is_zero()) => {
                Ok(Round::Granted(Box::new(own)))
            }
            Ok(_) => {
                self.withdraw();
                Ok(Round::Race)
            }
            Err(error) => {
                self.withdraw();
                Err(error)
            }
        }
    }

    fn is_alone(&self, board: Board) -> Result<bool, LockError> {
        let listed = self.place.list()?;
        if !listed.get(&self.key).is_some_and(|tip| self.written.contains(tip)) {
            return Ok(false);
        }
        if board.is_like(&listed, &self.key) {
            return Ok(true);
        }
        let mut board = Board::look(self.locks, self.place)?;
        let (in_the_way, over) = board.conflicts(&self.ask.resource, &self.owner.clone)?;
        Ok(in_the_way.is_none() && over.is_empty() && self.own(&mut board)?.is_some())
    }

    /// Takes back what was published. Where that fails its time ends it, and this clone still
    /// knows it, so that it can be released.
    fn withdraw(&mut self) {
        for attempt in 1..=WITHDRAWALS_MAX {
            match self.locks.end(self.place, &self.ask.resource, self.lease) {
                Ok(_) => {
                    self.locks.shelf().remove(&self.ask.resource, self.lease);
                    break;
                }
                Err(LockError::Unreachable { .. }) if attempt < WITHDRAWALS_MAX => {
                    thread::sleep(self.locks.jittered(Duration::from_millis(100)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a lease that was not granted is left to its time");
                    break;
                }
            }
        }
        self.renamed();
    }

    /// The next record is another lease: the one that was taken back stays ended.
    fn renamed(&mut self) {
        self.lease = LeaseId::new(self.locks.clock.now(), &*self.locks.entropy);
        self.kept = Kept::new(&self.ask.resource, self.lease, Counted::now().after(self.ask.ttl));
        self.written.clear();
    }

    fn grant(&mut self, lease: Lease) -> Result<Grant, LockError> {
        let kept = self.kept.clone().granted();
        self.locks.shelf().put(&kept)?;
        self.locks.shelf().keep_only(&self.ask.resource, self.lease);
        Ok(Grant { lease, scope: self.place.scope(), left: kept.left() })
    }

    /// Also forgets the request, unless an answer to it may still be on its way.
    fn held(&self, InTheWay { lease, standing }: InTheWay) -> LockError {
        if self.written.is_empty() {
            self.locks.shelf().remove(&self.ask.resource, self.lease);
        }
        let here = lease.owner.clone == self.owner.clone;
        let wanted = self.ask.resource.clone();
        LockError::Held { wanted, lease: Box::new(lease), standing, here }
    }
}

impl Locks {
    /// The record that ends a lease whose time has passed; none when it has not.
    pub(super) fn tombstone(
        &self,
        place: &Place<'_>,
        entry: &Entry,
    ) -> Result<Option<(Move, Lease)>, LockError> {
        if grit_locks::standing(&entry.lease, &entry.moment, self.settings.rules) != Standing::Over
        {
            return Ok(None);
        }
        let wish = Wish::Expire { by: self.who.actor.clone() };
        let ended = decide(Some(&entry.lease), &wish, &entry.moment, self.settings.rules);
        let Ok(Decision::Write(ended)) = ended else { return Ok(None) };
        let new = record::write(&place.repository.objects(), &ended, Some(&entry.tip))?;
        let name = place.ref_name(&ended.resource.key())?;
        Ok(Some((Move { name, expected: Some(entry.tip.clone()), new }, ended)))
    }
}
