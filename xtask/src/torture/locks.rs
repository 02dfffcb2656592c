//! Contenders for named locks, each a clone and real processes of a real `grit`: killed, stopped past their lease's
//! time, with clocks two hours off, over a remote that drops replies or is away. What happened is checked afterwards
//! against the remote's own history.

mod arena;
mod check;
mod contender;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};

use super::random::Random;
use crate::{
    repo::Repo,
    tools::{self, Source, Tool},
};
use arena::Arena;
use check::{History, Tally};
use contender::{Clock, Fault, Plan};

/// The time of every lease, and the grace that the clones are configured with.
const TTL: Duration = Duration::from_millis(1_500);
const GRACE: &str = "200ms";
const CONTENDERS: usize = 4;
/// So that a lock whose holder died is asked for again when its lease is over.
const RESOURCES: u64 = 4;
/// So that no arena of one seed does what one of the next seed does.
const SEEDS_APART: u64 = 1_000;

const TOOLS: &[Tool] = &[Tool {
    name: "faketime",
    probe: &["-f", "+0s", "true"],
    source: Source::Debian("faketime"),
    why: "gives processes a wrong clock",
}];

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub rounds: u64,
    /// So many remotes, each with contenders of its own, share the rounds: most of a round is waiting.
    pub arenas: u64,
    /// Of `repo:` against `deploy:`.
    pub races: u64,
    pub seed: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 200, arenas: 1, races: 200, seed: 1, binary: None }
    }
}

/// What the remote goes through in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// So many replies are lost after success.
    drops: u64,
    /// From when it is away, and for how long.
    away: Option<(Duration, Duration)>,
}

/// # Errors
/// A tool is missing, or a part does not start.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    tools::need(TOOLS)?;
    let grit = repo.grit(settings.binary.as_deref())?;
    let (arenas, seed) = (settings.arenas, settings.seed);
    println!("seed {seed}, {arenas} x {CONTENDERS} contenders, leases of {TTL:?}, grace {GRACE}");
    let faketime = arena::faketime()?;
    let make = |_| Arena::make(grit.clone(), faketime.clone(), CONTENDERS, GRACE);
    let arenas: Vec<Arena> = (0..arenas).map(make).collect::<Result<_>>()?;
    let (tally, mut wrong) = contests(&arenas, settings)?;
    ensure!(
        tally.landed > 0 && tally.refused > 0,
        "nothing landed, or nothing was refused: too few rounds"
    );
    println!("{tally}");
    wrong.extend(races(&arenas[0], settings.races)?);
    for line in &wrong {
        println!("WRONG: {line}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rounds, dealt to the arenas in turn; an arena has what happens to it from the seed and its number.
fn contests(arenas: &[Arena], settings: &Settings) -> Result<(Tally, Vec<String>)> {
    thread::scope(|scope| {
        let deal = |(arena, number)| scope.spawn(move || share(arena, number, settings));
        let running: Vec<_> = arenas.iter().zip(0..).map(deal).collect();
        let mut all = (Tally::default(), Vec::new());
        for thread in running {
            let ended = thread.join().map_err(|_| anyhow!("an arena's thread panicked"))?;
            let (tally, wrong) = ended?;
            all.0 += tally;
            all.1.extend(wrong);
        }
        Ok(all)
    })
}

/// One arena's rounds.
fn share(arena: &Arena, number: u64, settings: &Settings) -> Result<(Tally, Vec<String>)> {
    let mut random = Random::new(settings.seed.wrapping_mul(SEEDS_APART).wrapping_add(number));
    let mut history = History::default();
    let step = usize::try_from(settings.arenas)?;
    for (done, round) in (0u64..).zip((number..settings.rounds).step_by(step)) {
        let plans: Vec<Plan> = (0..CONTENDERS).map(|_| plan(&mut random)).collect();
        let weather = weather(&mut random);
        let resource = format!("deploy:r{}", done % RESOURCES);
        contest(arena, round, &resource, &plans, weather, &mut history)?;
        if (done + 1) % 25 == 0 {
            println!("arena {number}, {} rounds: {}", done + 1, history.so_far());
        }
    }
    history.check(arena)
}

fn plan(random: &mut Random) -> Plan {
    let millis = |random: &mut Random, from, to| Duration::from_millis(random.between(from, to));
    let fault = match random.between(0, 100) {
        0..15 => Fault::Kill { after: millis(random, 0, 900), children: false },
        15..25 => Fault::Kill { after: millis(random, 0, 900), children: true },
        25..40 => Fault::Stop { after: millis(random, 0, 700), pause: TTL + TTL / 3 },
        40..50 => Fault::Dawdle { pause: TTL + TTL / 3 },
        _ => Fault::None,
    };
    let clock = match random.between(0, 100) {
        0..15 => Clock::Ahead,
        15..30 => Clock::Behind,
        _ => Clock::Right,
    };
    Plan { fault, clock }
}

fn weather(random: &mut Random) -> Weather {
    let drops = match random.between(0, 4) {
        0 => random.between(1, 4),
        _ => 0,
    };
    let away = (random.between(0, 8) == 0).then(|| {
        let from = Duration::from_millis(random.between(0, 500));
        (from, Duration::from_millis(random.between(200, 1_200)))
    });
    Weather { drops, away }
}

/// One round: all want the same lock; it is over when one that lives has had it and is done.
fn contest(
    arena: &Arena,
    round: u64,
    resource: &str,
    plans: &[Plan],
    weather: Weather,
    history: &mut History,
) -> Result<()> {
    arena.drop_replies(weather.drops)?;
    let (barrier, over) = (Barrier::new(plans.len() + 1), AtomicBool::new(false));
    let stories = thread::scope(|scope| -> Result<Vec<_>> {
        let (barrier, over) = (&barrier, &over);
        let contenders: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(number, plan)| {
                scope.spawn(move || {
                    barrier.wait();
                    let story = contender::run(arena, number, round, resource, *plan, over);
                    if story.as_ref().is_ok_and(|story| story.is_done()) {
                        over.store(true, Ordering::Relaxed);
                    }
                    story
                })
            })
            .collect();
        barrier.wait();
        if let Some((from, pause)) = weather.away {
            thread::sleep(from);
            arena.away(pause)?;
        }
        let ended = contenders.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a contender's thread panicked")))
        });
        ended.collect()
    })?;
    arena.drop_replies(0)?;
    history.add(round, resource, plans, weather.drops, weather.away.is_some(), stories);
    Ok(())
}

/// Two clones, one for all and one for a part, at the same moment; again and again.
fn races(arena: &Arena, races: u64) -> Result<Vec<String>> {
    let wants = ["repo:release", "deploy:production"];
    let (mut both, mut one, mut none) = (0, 0, 0);
    for _ in 0..races {
        let barrier = Barrier::new(wants.len());
        let had = thread::scope(|scope| -> Result<usize> {
            let barrier = &barrier;
            let contenders: Vec<_> = wants
                .iter()
                .enumerate()
                .map(|(number, resource)| {
                    scope.spawn(move || {
                        barrier.wait();
                        arena.quiet(number, &["lock", "acquire", resource, "--ttl", "60s"])
                    })
                })
                .collect();
            let mut had = 0;
            for thread in contenders {
                let ended = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
                had += usize::from(ended? == Some(0));
            }
            Ok(had)
        })?;
        match had {
            0 => none += 1,
            1 => one += 1,
            _ => both += 1,
        }
        for (number, resource) in wants.iter().enumerate() {
            arena.quiet(number, &["lock", "release", resource])?;
        }
    }
    println!("repo: against deploy:   {races} races: both {both}, exactly one {one}, none {none}");
    let mut wrong = Vec::new();
    wrong.extend((both > 0).then(|| format!("both were held {both} times")));
    wrong.extend((none > 0).then(|| format!("nobody had it {none} times")));
    Ok(wrong)
}
