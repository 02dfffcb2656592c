//! The order in which groups take turns.

/// Which group takes which turn, for weights that sum to the length of a cycle times their
/// greatest common divisor: 90 and 10 of 100 give nine turns and one.
///
/// Tijdeman's solution of the chairman assignment problem (Discrete Mathematics 32, 1980): after
/// any number of turns each of n groups has had its share to within 1 - 1/(2n - 2) of a turn. So
/// there are no bursts: with two groups, any run of turns is within one of the ideal split.
///
/// At most 256 weights; their sum is at most 10,000. No positive weight: no turns.
pub(crate) fn turns(weights: &[u32]) -> Box<[u8]> {
    let divisor = weights.iter().fold(0, |a, &b| gcd(a, b));
    if divisor == 0 {
        return Box::default();
    }
    let shares: Vec<Share> = weights
        .iter()
        .zip(0u8..=u8::MAX)
        .filter(|(weight, _)| **weight > 0)
        .map(|(weight, group)| Share { group, weight: i64::from(weight / divisor), taken: 0 })
        .collect();
    cycle(shares)
}

struct Share {
    group: u8,
    weight: i64,
    taken: i64,
}

fn cycle(mut shares: Vec<Share>) -> Box<[u8]> {
    let total: i64 = shares.iter().map(|share| share.weight).sum();
    // Everything is scaled by 2n - 2, which keeps the bound 1/(2n - 2) an integer.
    let scale = (2 * i64::try_from(shares.len()).unwrap_or(1) - 2).max(1);
    let next = |turn: i64, shares: &[Share]| -> usize {
        let lag = |share: &Share| scale * (turn * share.weight - total * share.taken);
        let deadline = |share: &Share| scale * total * (share.taken + 1) - total;
        (0..shares.len())
            .filter(|&i| lag(&shares[i]) >= total)
            .min_by(|&a, &b| {
                let (a, b) = (&shares[a], &shares[b]);
                (deadline(a) * b.weight).cmp(&(deadline(b) * a.weight))
            })
            .unwrap_or(0)
    };
    (1..=total)
        .map(|turn| {
            let chosen = next(turn, &shares);
            shares[chosen].taken += 1;
            shares[chosen].group
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Weights in basis points that sum to 10,000.
    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0u32..100, 1..6).prop_filter_map("no weight", |parts| {
            let sum: u32 = parts.iter().sum();
            let mut weights: Vec<u32> =
                parts.iter().map(|part| part * 10_000 / sum.max(1)).collect();
            weights[0] += 10_000 - weights.iter().sum::<u32>();
            (sum > 0).then_some(weights)
        })
    }

    fn count(turns: &[u8], group: usize) -> usize {
        turns.iter().filter(|turn| usize::from(**turn) == group).count()
    }

    proptest! {
        #[test]
        fn a_cycle_holds_exactly_the_weights(weights in weights()) {
            let turns = turns(&weights);
            for (group, weight) in weights.iter().enumerate() {
                prop_assert_eq!(count(&turns, group) * 10_000, *weight as usize * turns.len());
            }
        }

        #[test]
        fn every_beginning_is_within_one_turn_of_the_split(weights in weights()) {
            let turns = turns(&weights);
            let mut taken = vec![0u32; weights.len()];
            for (length, turn) in (1u32..).zip(turns.iter()) {
                taken[usize::from(*turn)] += 1;
                for (taken, weight) in taken.iter().zip(&weights) {
                    let ideal = f64::from(length) * f64::from(*weight) / 10_000.0;
                    prop_assert!((f64::from(*taken) - ideal).abs() < 1.0);
                }
            }
        }

        #[test]
        fn with_two_groups_every_window_is_within_one_turn(
            canary in 0u32..=10_000, at in 0usize..10_000, length in 1usize..10_000,
        ) {
            let turns = turns(&[10_000 - canary, canary]);
            let window = (at..at + length).filter(|i| turns[i % turns.len()] == 1).count();
            let ideal = length as f64 * f64::from(canary) / 10_000.0;
            prop_assert!((window as f64 - ideal).abs() <= 1.0 + 1e-9, "{window} of {ideal}");
        }
    }

    #[test]
    fn no_weight_has_no_turns() {
        assert!(turns(&[]).is_empty());
        assert!(turns(&[0, 0]).is_empty());
        assert_eq!(*turns(&[0, 10_000]), [1]);
    }
}
