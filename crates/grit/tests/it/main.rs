//! The binary, as people and programs use it: real processes, real repositories, real ports.

mod env;
mod initialising;
mod issuing;
mod running;
mod usage;
