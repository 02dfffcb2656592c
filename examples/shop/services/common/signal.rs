//! SIGTERM and SIGINT, which the standard library has no word for.

use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;

/// The end of a socket pair that the handler writes to; -1 until one is installed.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// Resolves when this process was asked to stop.
pub struct Termination(UnixStream);

impl Termination {
    /// Takes over SIGTERM and SIGINT for the whole process. From here on they
    /// no longer end it; [`Termination::wait`] returns instead.
    pub fn install() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        // The handler may run until the process ends, so the writing end is
        // never closed.
        WAKE.store(writer.into_raw_fd(), Ordering::Release);
        for number in [SIGTERM, SIGINT] {
            // SAFETY: `signal` is the C library's function of that signature,
            // and `on_signal` does only what a signal handler may do: it loads
            // an atomic and calls write(2).
            let previous = unsafe { signal(number, on_signal) };
            if previous == SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self(reader))
    }

    /// Blocks until the first SIGTERM or SIGINT, also one that came earlier.
    pub fn wait(mut self) -> io::Result<()> {
        self.0.read_exact(&mut [0])
    }
}

const SIG_ERR: usize = usize::MAX;

unsafe extern "C" {
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn write(fd: c_int, bytes: *const u8, count: usize) -> isize;
}

extern "C" fn on_signal(_number: c_int) {
    // SAFETY: write(2) is async-signal-safe and reads one byte of a static.
    // A failure cannot be reported from here, and the socket has room for far
    // more signals than anyone sends.
    unsafe { write(WAKE.load(Ordering::Acquire), b"!".as_ptr(), 1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn raise(number: c_int) -> c_int;
    }

    #[test]
    fn a_signal_wakes_the_waiter_instead_of_ending_the_process() {
        let termination = Termination::install().unwrap();
        for number in [SIGTERM, SIGINT] {
            // SAFETY: raise(3) takes any signal number and only sends it.
            assert_eq!(unsafe { raise(number) }, 0);
        }
        termination.wait().unwrap();
    }
}
