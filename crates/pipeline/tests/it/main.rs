//! The run of a plan, seen from outside: what is started, in which order, and how it ends.

mod calling;
mod containers;
mod harness;
mod holding;
mod nested;
mod property;
mod run;
mod scale;
mod sealing;
