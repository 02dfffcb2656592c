//! Real processes on this machine: every test launches, watches and ends its own.

mod adoption;
mod launching;
mod stress;
mod terminating;
mod world;
