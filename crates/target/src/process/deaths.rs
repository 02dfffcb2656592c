use std::time::Duration;

/// When an instance that died is started again.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// Before the first restart; doubled with each further one.
    pub first_delay: Duration,
    pub max_delay: Duration,
    /// Ready for so long, it counts as never having died.
    pub settled_after: Duration,
    /// So many deaths without being ready in between, and it is not started again.
    pub deaths_max: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(30),
            settled_after: Duration::from_secs(60),
            deaths_max: 5,
        }
    }
}

/// What is known of an instance's deaths.
#[derive(Debug)]
pub(super) struct Deaths {
    policy: RestartPolicy,
    in_a_row: u32,
    pub(super) unready: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    StartAfter(Duration),
    GiveUp,
}

impl Deaths {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, in_a_row: 0, unready: 0 }
    }

    /// One more; `ready_for`: how long it had been ready, `None` if it never was in this life.
    pub(super) fn count(&mut self, ready_for: Option<Duration>) -> Next {
        self.unready = if ready_for.is_some() { 0 } else { self.unready + 1 };
        if ready_for.is_some_and(|lived| lived >= self.policy.settled_after) {
            self.in_a_row = 0;
        }
        if self.unready >= self.policy.deaths_max {
            return Next::GiveUp;
        }
        let delay = self.policy.first_delay.saturating_mul(1 << self.in_a_row.min(20));
        self.in_a_row += 1;
        Next::StartAfter(delay.min(self.policy.max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deaths() -> Deaths {
        Deaths::new(RestartPolicy::default())
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut deaths = deaths();
        let short = Some(Duration::from_secs(1));
        let delays: Vec<u64> = (0..9)
            .map(|_| match deaths.count(short) {
                Next::StartAfter(delay) => delay.as_millis().try_into().unwrap(),
                Next::GiveUp => panic!("it was ready each time"),
            })
            .collect();
        assert_eq!(delays, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000]);
        let settled = deaths.count(Some(Duration::from_secs(60)));
        assert_eq!(settled, Next::StartAfter(Duration::from_millis(200)));
    }

    #[test]
    fn gives_up_after_deaths_without_being_ready_in_between() {
        let mut deaths = deaths();
        for _ in 0..4 {
            assert!(matches!(deaths.count(None), Next::StartAfter(_)));
        }
        assert!(matches!(deaths.count(Some(Duration::ZERO)), Next::StartAfter(_)));
        for _ in 0..4 {
            assert!(matches!(deaths.count(None), Next::StartAfter(_)));
        }
        assert_eq!(deaths.count(None), Next::GiveUp);
    }

    #[test]
    fn a_great_many_deaths_do_not_overflow() {
        let policy = RestartPolicy { first_delay: Duration::MAX, ..RestartPolicy::default() };
        let mut deaths = Deaths::new(policy);
        for _ in 0..100 {
            let next = deaths.count(Some(Duration::ZERO));
            assert_eq!(next, Next::StartAfter(Duration::from_secs(30)));
        }
    }
}
