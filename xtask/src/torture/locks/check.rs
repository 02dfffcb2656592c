//! What happened, against what may.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::AddAssign,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    arena::Arena,
    contender::{Clock, Fault, Plan, Story},
};

/// `/proc/uptime` counts in hundredths of a second.
const RESOLUTION_MS: u64 = 20;

/// All rounds of one arena, and how often what happened in them.
#[derive(Default)]
pub struct History {
    rounds: Vec<Round>,
    tally: Tally,
}

/// How often what happened.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    rounds: usize,
    /// Rounds without a holder that lived.
    idle: usize,
    grants: usize,
    takeovers: usize,
    kills: usize,
    stops: usize,
    dawdled: usize,
    wrong_clocks: usize,
    drops: u64,
    away: usize,
    overlaps: usize,
    pub landed: usize,
    pub refused: usize,
    stale: usize,
}

struct Round {
    number: u64,
    resource: String,
    stories: Vec<Story>,
}

/// When somebody had a lock.
struct Hold<'a> {
    round: u64,
    fence: u64,
    lease: &'a str,
    from: u64,
    to: u64,
}

/// A record of the remote.
struct Record {
    commit: String,
    fence: u64,
    lease: String,
    state: String,
    at: i64,
}

impl History {
    pub fn add(
        &mut self,
        number: u64,
        resource: &str,
        plans: &[Plan],
        drops: u64,
        away: bool,
        stories: Vec<Story>,
    ) {
        let count = |is: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| is(plan)).count();
        let told = |is: &dyn Fn(&Story) -> bool| stories.iter().filter(|story| is(story)).count();
        self.tally += Tally {
            rounds: 1,
            grants: told(&|story| story.grant.is_some()),
            kills: told(&|story| story.died.is_some()),
            stops: told(&|story| story.stopped),
            dawdled: count(&|plan| matches!(plan.fault, Fault::Dawdle { .. })),
            wrong_clocks: count(&|plan| plan.clock != Clock::Right),
            drops,
            away: usize::from(away),
            ..Tally::default()
        };
        self.rounds.push(Round { number, resource: resource.to_owned(), stories });
    }

    pub fn so_far(&self) -> String {
        let Tally { grants, kills, stops, wrong_clocks, .. } = self.tally;
        format!("{grants} grants, {kills} killed, {stops} stopped, {wrong_clocks} wrong clocks")
    }

    fn stories(&self) -> impl Iterator<Item = (&Round, &Story)> {
        self.rounds.iter().flat_map(|round| round.stories.iter().map(move |story| (round, story)))
    }

    /// The figures, and what was not as it should be.
    pub fn check(&self, arena: &Arena) -> Result<(Tally, Vec<String>)> {
        let chains = chains(arena)?;
        let mut wrong = Vec::new();
        let mut tally = self.tally;
        tally.takeovers = check_chains(&chains, &mut wrong);
        self.check_grants(&chains, &mut wrong);
        tally.overlaps = self.check_overlaps(&mut wrong);
        tally.idle = self.check_winners(&mut wrong);
        self.check_pushes(arena, &chains, &mut tally, &mut wrong)?;
        arena.git(&arena.remote(), &["fsck", "--strict", "--no-dangling"])?;
        Ok((tally, wrong))
    }

    /// Every grant that was answered stands in the remote's history.
    fn check_grants(&self, chains: &BTreeMap<String, Vec<Record>>, wrong: &mut Vec<String>) {
        for (round, story) in self.stories() {
            let Some(grant) = &story.grant else { continue };
            let of_grant =
                |record: &&Record| record.lease == grant.lease && record.fence == grant.fence;
            if chains.get(&round.resource).and_then(|chain| chain.iter().find(of_grant)).is_none() {
                let (number, fence) = (round.number, grant.fence);
                wrong.push(format!("round {number}: grant {fence} is not in the remote's history"));
            }
        }
    }

    /// In real time, whatever any contender's clock said.
    fn check_overlaps(&self, wrong: &mut Vec<String>) -> usize {
        let mut holds: BTreeMap<&str, Vec<Hold<'_>>> = BTreeMap::new();
        for (round, story) in self.stories() {
            let Some(grant) = &story.grant else { continue };
            let ends = [Some(grant.until), grant.released, story.died];
            let to = ends.into_iter().flatten().min().unwrap_or(grant.until);
            let (fence, lease, from) = (grant.fence, grant.lease.as_str(), grant.from);
            let hold = Hold { round: round.number, fence, lease, from, to };
            holds.entry(&round.resource).or_default().push(hold);
        }
        let mut overlaps = 0;
        for (resource, holds) in &mut holds {
            holds.sort_by_key(|hold| hold.fence);
            for pair in holds.windows(2) {
                let (one, next) = (&pair[0], &pair[1]);
                if next.fence == one.fence {
                    wrong.push(format!("{resource}: {} was granted twice", one.fence));
                }
                if next.from + RESOLUTION_MS < one.to {
                    overlaps += 1;
                    wrong.push(format!(
                        "{resource}: {} of round {} was had until {}, {} of round {} from {} on ({} {})",
                        one.fence, one.round, one.to, next.fence, next.round, next.from, one.lease, next.lease
                    ));
                }
            }
        }
        overlaps
    }

    /// Where somebody lived to the end, somebody had the lock.
    fn check_winners(&self, wrong: &mut Vec<String>) -> usize {
        let mut idle = 0;
        for round in &self.rounds {
            let lived = round.stories.iter().any(|story| story.died.is_none());
            let won =
                round.stories.iter().any(|story| story.grant.is_some() && story.died.is_none());
            if !won {
                idle += 1;
            }
            if lived && !won {
                wrong.push(format!(
                    "round {}: nobody who lived had {}",
                    round.number, round.resource
                ));
            }
        }
        idle
    }

    /// What landed did so together with a record of the lease that it was pushed under.
    fn check_pushes(
        &self,
        arena: &Arena,
        chains: &BTreeMap<String, Vec<Record>>,
        tally: &mut Tally,
        wrong: &mut Vec<String>,
    ) -> Result<()> {
        let tags =
            arena.git(&arena.remote(), &["for-each-ref", "--format=%(refname)", "refs/tags"])?;
        let tags: BTreeSet<&str> = tags.lines().collect();
        let taken = std::fs::read_to_string(arena.remote().join("taken")).unwrap_or_default();
        let under = under(&taken);
        for (round, story) in self.stories() {
            for push in &story.pushes {
                let is_there = tags.contains(push.tag.as_str());
                if !is_there {
                    tally.refused += 1;
                    wrong.extend((push.code == Some(0)).then(|| format!("{} is lost", push.tag)));
                    continue;
                }
                tally.landed += 1;
                if push.code == Some(4) {
                    wrong.push(format!("{} landed and was said not to", push.tag));
                }
                let chain = chains.get(&round.resource).map(Vec::as_slice).unwrap_or_default();
                let record = under
                    .get(push.tag.as_str())
                    .and_then(|commit| chain.iter().find(|record| record.commit == *commit));
                if !record
                    .is_some_and(|record| record.fence == push.fence && record.state == "held")
                {
                    tally.stale += 1;
                    wrong.push(format!("{} landed without its lease", push.tag));
                }
            }
        }
        Ok(())
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.rounds += more.rounds;
        self.idle += more.idle;
        self.grants += more.grants;
        self.takeovers += more.takeovers;
        self.kills += more.kills;
        self.stops += more.stops;
        self.dawdled += more.dawdled;
        self.wrong_clocks += more.wrong_clocks;
        self.drops += more.drops;
        self.away += more.away;
        self.overlaps += more.overlaps;
        self.landed += more.landed;
        self.refused += more.refused;
        self.stale += more.stale;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, idle, grants, takeovers, drops, away, stale, .. } = self;
        writeln!(out, "rounds                  {rounds}, without a holder that lived: {idle}")?;
        writeln!(
            out,
            "grants                  {grants}, of them taken from a dead lease: {takeovers}"
        )?;
        writeln!(out, "killed / stopped        {} / {} past the lease", self.kills, self.stops)?;
        writeln!(out, "dawdled past the lease  {}", self.dawdled)?;
        writeln!(out, "wrong clocks            {} by two hours", self.wrong_clocks)?;
        writeln!(out, "replies to be dropped   {drops}, rounds with the remote away: {away}")?;
        writeln!(out, "two holders at once     {}", self.overlaps)?;
        let (landed, refused) = (self.landed, self.refused);
        write!(
            out,
            "fenced pushes           {landed} landed, {refused} refused, of stale holders landed: {stale}"
        )
    }
}

/// By tag: the record that moved in the same transaction.
fn under(taken: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    for transaction in taken.split("transaction\n") {
        let moved: Vec<Vec<&str>> =
            transaction.lines().map(|line| line.split_whitespace().collect()).collect();
        let lock = moved
            .iter()
            .find(|words| words.get(2).is_some_and(|name| name.starts_with("refs/grit/lock/")));
        let Some(record) = lock.and_then(|words| words.get(1)) else { continue };
        for words in &moved {
            if let Some(tag) = words.get(2).filter(|name| name.starts_with("refs/tags/")) {
                found.insert(*tag, *record);
            }
        }
    }
    found
}

/// The records of each lock, the first one first.
fn chains(arena: &Arena) -> Result<BTreeMap<String, Vec<Record>>> {
    let mut chains = BTreeMap::new();
    let refs =
        arena.git(&arena.remote(), &["for-each-ref", "--format=%(refname)", "refs/grit/lock"])?;
    for name in refs.lines() {
        let log = ["log", "--reverse", "--topo-order", "--format=%H %B", name];
        let log = arena.git(&arena.remote(), &log)?;
        let mut resource = String::new();
        let mut chain = Vec::new();
        for line in log.lines().filter(|line| !line.is_empty()) {
            let (commit, text) = line.split_once(' ').context("a record without a message")?;
            let record: Value = serde_json::from_str(text)?;
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            resource = text("resource");
            chain.push(Record {
                commit: commit.to_owned(),
                fence: record["fence"].as_u64().context("a record without a fence")?,
                lease: text("lease"),
                state: text("state"),
                at: record["at"].as_i64().context("a record without a time")?,
            });
        }
        chains.insert(resource, chain);
    }
    Ok(chains)
}

/// Numbers grow by one with each lease, times grow with each record. Answers how often a lease followed one that was
/// not given back.
fn check_chains(chains: &BTreeMap<String, Vec<Record>>, wrong: &mut Vec<String>) -> usize {
    let mut takeovers = 0;
    for (resource, chain) in chains {
        for pair in chain.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            let same = one.lease == next.lease;
            if next.fence != one.fence + u64::from(!same) {
                wrong.push(format!("{resource}: {} follows {}", next.fence, one.fence));
            }
            if next.at <= one.at {
                wrong.push(format!("{resource}: a record of {} is not later", next.fence));
            }
            takeovers += usize::from(!same && one.state == "held");
        }
    }
    takeovers
}
