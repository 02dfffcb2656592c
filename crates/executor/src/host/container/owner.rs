//! What processes left at the engine that are gone, and that nobody comes back for.

use std::io;

use grit_engine::{Address, Engine, EngineError};
use grit_host::ProcessId;

use super::super::{Shared, blocking, chain};
use super::end::SWEEP_MAX;

/// Says whose it is, where it ends with its owner.
const OWNER: &str = "grit.owner";

/// A process, as another one tells whether it is there: its number means something among those
/// that its own system of numbers holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    process: ProcessId,
    numbers: String,
}

impl Owner {
    fn own() -> io::Result<Self> {
        let numbers = std::fs::read_link("/proc/self/ns/pid")?;
        Ok(Self { process: ProcessId::own()?, numbers: numbers.to_string_lossy().into_owned() })
    }

    fn text(&self) -> String {
        let ProcessId { pid, start_time, boot_id } = &self.process;
        format!("{pid}/{start_time}/{boot_id}/{}", self.numbers)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let (pid, start_time) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (boot_id, numbers) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { process: ProcessId { pid, start_time, boot_id }, numbers })
    }

    /// Whether it is certain that it is gone; `near`: the engine is that of this machine alone.
    fn is_gone(&self, own: &Self, near: bool) -> bool {
        let is_of_this_boot = self.process.boot_id == own.process.boot_id;
        self.numbers == own.numbers
            && (is_of_this_boot || near)
            && self.process.is_alive().is_ok_and(|alive| !alive)
    }
}

/// The label of this process.
pub(super) fn label() -> Option<(String, String)> {
    match Owner::own() {
        Ok(own) => Some((OWNER.to_owned(), own.text())),
        Err(error) => {
            tracing::warn!(%error, "what is made at the engine is not labelled with its owner");
            None
        }
    }
}

/// Removes it, once in the life of a runner. What cannot be removed is left.
pub(super) async fn sweep(shared: &Shared, engine: &Engine) {
    let swept = shared.swept.get_or_init(|| async {
        match tokio::time::timeout(SWEEP_MAX, remove(engine)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "containers of the dead could be left");
            }
            Err(_) => tracing::warn!("the engine does not answer; containers may be left"),
        }
    });
    swept.await;
}

async fn remove(engine: &Engine) -> Result<(), EngineError> {
    let near = matches!(engine.address(), Address::Unix(_));
    for text in engine.labelled(OWNER, OWNER).await? {
        let owner = Owner::read(&text);
        let gone = blocking(move || Some(owner?.is_gone(&Owner::own().ok()?, near))).await;
        if gone == Some(true) {
            tracing::info!(owner = text, "removing containers of a process that is gone");
            engine.remove_labelled(&format!("{OWNER}={text}")).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_certainly_gone_is_gone() {
        let own = Owner::own().unwrap();
        assert_eq!(Owner::read(&own.text()).as_ref(), Some(&own));
        assert!(!own.is_gone(&own, true));
        let mut earlier = own.clone();
        earlier.process.start_time -= 1;
        assert!(earlier.is_gone(&own, false), "another had this number before");
        let other = Owner { numbers: "pid:[1]".to_owned(), ..earlier.clone() };
        assert!(!other.is_gone(&own, true), "its number means something elsewhere");
        let mut booted = own.clone();
        booted.process.boot_id = "another".to_owned();
        assert!(booted.is_gone(&own, true));
        assert!(!booted.is_gone(&own, false), "another machine may use that engine");
        for wrong in ["", "1/2/3", "x/2/3/4", "me"] {
            assert_eq!(Owner::read(wrong), None);
        }
    }
}
