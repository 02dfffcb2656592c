use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// Tries for a port that nobody else was given: each try asks the system for a free one.
const TRIES_MAX: u32 = 100;

/// The ports that were handed to instances. An instance binds its port only some time after it was
/// told, and meanwhile the system would give the same one again.
#[derive(Clone, Default)]
pub(super) struct Ports(Arc<Mutex<BTreeSet<u16>>>);

/// A port of 127.0.0.1 that no other instance is given; free again when this is dropped.
pub(super) struct Reserved {
    number: u16,
    ports: Ports,
}

impl Ports {
    /// The wanted port if it is free, else another.
    pub(super) fn reserve(&self, wanted: Option<u16>) -> io::Result<Reserved> {
        if let Some(number) = wanted
            && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            && let Some(reserved) = self.take(number)
        {
            return Ok(reserved);
        }
        for _ in 0..TRIES_MAX {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            if let Some(reserved) = self.take(listener.local_addr()?.port()) {
                return Ok(reserved);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no port of 127.0.0.1 is free"))
    }

    /// The port that an adopted instance has; `None` if another has it.
    pub(super) fn take(&self, number: u16) -> Option<Reserved> {
        let inserted = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        inserted.then(|| Reserved { number, ports: self.clone() })
    }
}

impl Reserved {
    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.ports.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_port_is_given_unless_it_is_taken() {
        let ports = Ports::default();
        let first = ports.reserve(None).unwrap();
        let other = ports.reserve(Some(first.number())).unwrap();
        assert_ne!(first.number(), other.number());
        let number = first.number();
        drop(first);
        assert_eq!(ports.reserve(Some(number)).unwrap().number(), number);
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let bound = stranger.local_addr().unwrap().port();
        assert_ne!(ports.reserve(Some(bound)).unwrap().number(), bound);
    }
}
