use std::collections::BTreeMap;

use grit_types::CommitId;
use serde::{Deserialize, Serialize};

/// The commits that actions of others are taken at: `grit.lock`, at the root of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    pins: BTreeMap<String, Pin>,
}

/// One of them, by `OWNER/REPO@REF`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub commit: CommitId,
    /// Where it was found.
    pub from: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    v: u64,
    actions: BTreeMap<String, Pin>,
}

const VERSION: u64 = 1;

impl Pins {
    pub const FILE: &str = "grit.lock";

    /// Nothing is pinned where there is no text.
    ///
    /// # Errors
    /// For people; what a newer version wrote is refused.
    pub fn read(text: Option<&str>) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let Some(text) = text else { return Ok(Self::default()) };
        if let Ok(Version { v }) = serde_json::from_str(text)
            && v > VERSION
        {
            return Err(format!("{} is of version {v}, newer than {VERSION}", Self::FILE));
        }
        let file: Result<File, _> = serde_json::from_str(text);
        let file = file.map_err(|error| format!("{} is damaged: {error}", Self::FILE))?;
        Ok(Self { pins: file.actions })
    }

    pub fn get(&self, action: &str) -> Option<&Pin> {
        self.pins.get(action)
    }

    pub fn set(&mut self, action: &str, pin: Pin) {
        self.pins.insert(action.to_owned(), pin);
    }

    pub fn text(&self) -> String {
        let file = File { v: VERSION, actions: self.pins.clone() };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Whether what is there now is what was pinned; nothing pinned is no answer.
    ///
    /// # Errors
    /// It is another commit: for people, with both.
    pub fn check(&self, action: &str, now: &CommitId, from: &str) -> Result<bool, String> {
        match self.get(action) {
            None => Ok(false),
            Some(pin) if pin.commit == *now => Ok(true),
            Some(pin) => Err(format!(
                "`{action}` is pinned to {} in {}, and is {now} at {from} now. Where that is \
                 right, `grit pipeline pin {action}` takes it",
                pin.commit,
                Self::FILE
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_held_to() {
        let commit = |digit: &str| CommitId::try_from(digit.repeat(40)).unwrap();
        let mut pins = Pins::read(None).unwrap();
        assert_eq!(pins.check("o/r@v1", &commit("1"), "x"), Ok(false));
        pins.set("o/r@v1", Pin { commit: commit("1"), from: "x".to_owned() });
        let read = Pins::read(Some(&pins.text())).unwrap();
        assert_eq!(read, pins);
        assert_eq!(read.check("o/r@v1", &commit("1"), "x"), Ok(true));
        let refused = read.check("o/r@v1", &commit("2"), "x").unwrap_err();
        assert!(
            refused.contains(&"1".repeat(40)) && refused.contains(&"2".repeat(40)),
            "{refused}"
        );
        assert!(Pins::read(Some("{\"v\":2}")).unwrap_err().contains("newer"));
        assert!(Pins::read(Some("{}")).unwrap_err().contains("damaged"));
    }
}
