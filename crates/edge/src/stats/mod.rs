//! Counters without locks: one writer per shard, readers merge.

mod book;
mod histogram;
mod series;

pub(crate) use book::Book;
pub(crate) use histogram::Latencies;
pub(crate) use series::{Counts, Outcome, Series, Shard, WINDOW_MAX, second_of};
