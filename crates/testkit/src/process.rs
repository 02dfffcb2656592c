use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

/// A child process that is killed, by its own id, when its test ends in whatever way.
#[derive(Debug)]
pub struct ProcessGuard(Child);

impl ProcessGuard {
    /// Starts `command`.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("start {command:?}: {error}")))
    }

    /// Sends a signal to it alone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("signal a child");
    }
}

impl From<Child> for ProcessGuard {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Deref for ProcessGuard {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for ProcessGuard {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        // It may have ended by itself; std does not signal what it has reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_guard_leaves_no_process() {
        let guard = ProcessGuard::spawn(Command::new("sleep").arg("600"));
        let pid = Pid::from_child(&guard);
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(guard);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
