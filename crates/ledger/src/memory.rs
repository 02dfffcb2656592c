mod journal;
mod ledger;

pub use journal::MemoryJournal;
pub use ledger::MemoryLedger;
