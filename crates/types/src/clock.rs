use crate::Timestamp;

/// Wall-clock time, for shells only; pure code takes `now` as an argument.
pub trait Clock: Send + Sync {
    /// The current time, to the millisecond.
    fn now(&self) -> Timestamp;
}

/// Randomness, for shells only.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`; for ids and secrets the source must be cryptographic.
    fn fill(&self, bytes: &mut [u8]);

    /// One random number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
