use grit_ledger::{Cut, Hlc};
use grit_types::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a repository's ledger and its locks were listened to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Counts what was heard; 0: nobody has listened yet.
    pub number: u64,
    /// Where each lane and each lock ended.
    pub cut: Cut,
    /// When somebody began to listen: what happened before starts nothing, however late it comes.
    pub since: Timestamp,
    /// The last that was heard.
    pub latest: Option<Hlc>,
}

/// What a look at the ledger found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hearing {
    /// The look that it goes on from: another one that is behind it as well does not count.
    pub after: u64,
    /// Where lanes and locks end that moved; `None`: they are gone.
    pub moved: Vec<(String, Option<String>)>,
    pub latest: Option<Hlc>,
}

impl Heard {
    pub(super) fn take(&mut self, hearing: &Hearing, at: Timestamp) {
        if self.number == 0 {
            self.since = at;
        }
        self.number = hearing.after + 1;
        for (name, tip) in &hearing.moved {
            match tip {
                Some(tip) => self.cut.insert(name.clone(), tip.clone()),
                None => self.cut.remove(name),
            };
        }
        self.latest = self.latest.max(hearing.latest);
    }
}
