//! The binary, as people and programs use it: real processes, real repositories, real ports.

mod asking;
mod attaching;
mod boarding;
mod demonstrating;
mod env;
mod exchanging;
mod filling;
mod indexing;
mod initialising;
mod issuing;
mod living;
mod locking;
mod misbehaving;
mod quick_start;
mod reaching;
mod refusing;
mod reporting;
mod running;
mod serving;
mod signing;
mod syncing;
mod tracking;
mod usage;
