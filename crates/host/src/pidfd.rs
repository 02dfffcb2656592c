use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::identity::ProcessId;

/// Between two looks at a process on a kernel, or under a filter, without pidfd.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A hold on one process: signals and waits through it cannot reach a later user of the pid.
pub(crate) struct Held {
    id: ProcessId,
    /// `None` where there is no pidfd; then identity is checked right before each use.
    fd: Option<OwnedFd>,
}

impl Held {
    /// `None` if the process is gone.
    pub fn open(id: &ProcessId) -> io::Result<Option<Self>> {
        let Some(pid) = id.raw() else { return Ok(None) };
        let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => Some(fd),
            Err(Errno::SRCH) => return Ok(None),
            // INVAL: the number is a thread's, or the flag is unknown to an old kernel.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
            Err(error) => return Err(error.into()),
        };
        // Only now: the process that has the identity after the open is the one that was opened.
        let held = id.is_alive()?.then(|| Self { id: id.clone(), fd });
        Ok(held)
    }

    /// Whether the signal was delivered; false if the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let sent = match (&self.fd, self.id.raw()) {
            (Some(fd), _) => pidfd_send_signal(fd, signal),
            (None, Some(pid)) if self.id.is_alive()? => rustix::process::kill_process(pid, signal),
            (None, _) => Err(Errno::SRCH),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns once the process has ended, reaped or not.
    pub async fn gone(self) -> io::Result<()> {
        let Some(fd) = self.fd else {
            return poll_until_gone(&self.id).await;
        };
        watched(fd)?.readable().await.map(drop)
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of types that may change their descriptor; an OwnedFd cannot"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

async fn poll_until_gone(id: &ProcessId) -> io::Result<()> {
    while id.is_alive()? {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

impl ProcessId {
    /// Returns once this process has ended, whether or not it is a child of the caller; at once if
    /// it is not there. Its exit status is its parent's to know.
    ///
    /// # Errors
    /// The process cannot be observed, such as for want of file descriptors: it may still run.
    pub fn wait_gone(&self) -> grit_types::BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            match Held::open(self)? {
                Some(held) => held.gone().await,
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kernel without pidfd leaves to go by.
    fn without_pidfd(id: &ProcessId) -> Held {
        Held { id: id.clone(), fd: None }
    }

    #[tokio::test]
    async fn works_without_pidfd() {
        let mut child = tokio::process::Command::new("sleep").arg("600").spawn().unwrap();
        let id = ProcessId::of(child.id().unwrap()).unwrap().unwrap();
        let other = ProcessId { start_time: id.start_time + 1, ..id.clone() };
        assert!(!without_pidfd(&other).signal(Signal::KILL).unwrap());
        assert!(id.is_alive().unwrap());

        assert!(without_pidfd(&id).signal(Signal::KILL).unwrap());
        without_pidfd(&id).gone().await.unwrap();
        child.wait().await.unwrap();
        assert!(!without_pidfd(&id).signal(Signal::KILL).unwrap());
    }
}
