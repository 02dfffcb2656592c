//! A world in which the control plane lives: one seed, one history, the same bytes every time.

mod carry;
mod edge;
mod journal;
mod oracle;
mod people;
mod rng;
mod runs;
mod scenario;
mod store;
mod tally;
mod target;
mod world;

pub use tally::Tally;

/// What became of a world.
pub struct Outcome {
    /// Of everything that happened in it, in order.
    pub digest: u64,
    pub tally: Tally,
    /// The promise that was broken.
    pub violation: Option<String>,
    /// The last inputs, oldest first.
    pub trace: Vec<String>,
}

/// Simulates the world of a seed until it comes to rest, and keeps the last lines of its trace.
pub fn simulate(seed: u64, trace_max: usize) -> Outcome {
    world::World::new(seed, trace_max).run()
}
