use std::thread;
use std::time::{Duration, Instant};

/// Waits until `condition` holds; panics when it does not before `deadline` has passed.
#[track_caller]
pub fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) {
    eventually_some(deadline, || condition().then_some(()));
}

/// Waits until `attempt` gives something, and gives that; panics when `deadline` passes first.
#[track_caller]
pub fn eventually_some<T>(deadline: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(1);
    loop {
        let last = Instant::now() >= end;
        if let Some(value) = attempt() {
            return value;
        }
        assert!(!last, "it did not happen within {deadline:?}");
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_until_it_holds() {
        let mut calls = 0;
        let value = eventually_some(Duration::from_secs(60), || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "it did not happen within")]
    fn does_not_wait_for_ever() {
        eventually(Duration::from_millis(5), || false);
    }
}
