//! The index seen from outside: it says what the ledger holds, whatever happens to either.

mod broken;
mod equal;
mod world;
