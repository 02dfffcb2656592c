use serde::{Deserialize, Serialize};

/// Share of traffic in basis points, 0..=10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const FULL: Self = Self(10_000);

    /// `percent` of 0..=100.
    pub fn from_percent(percent: u8) -> Option<Self> {
        (percent <= 100).then(|| Self(u16::from(percent) * 100))
    }

    /// `basis_points` of 0..=10,000.
    pub fn from_basis_points(basis_points: u16) -> Option<Self> {
        (basis_points <= Self::FULL.0).then_some(Self(basis_points))
    }

    /// `part` of `whole`, rounded down; [`Weight::FULL`] where `part` reaches `whole`.
    pub fn ratio(part: u32, whole: u32) -> Self {
        if part >= whole {
            return Self::FULL;
        }
        let points = u64::from(part) * u64::from(Self::FULL.0) / u64::from(whole);
        Self(u16::try_from(points).unwrap_or(Self::FULL.0))
    }

    /// What is left to others.
    pub fn complement(self) -> Self {
        Self(Self::FULL.0 - self.0)
    }

    /// 0..=10,000.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// 0.0..=100.0.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = String;
    fn try_from(points: u16) -> Result<Self, String> {
        Self::from_basis_points(points).ok_or_else(|| format!("weight {points} is above 10000"))
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_multiple_of(100) {
            write!(f, "{} %", self.0 / 100)
        } else {
            write!(f, "{} %", self.percent())
        }
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// The number of a lease grant; it never goes back, and whoever acts under a lease carries it.
    ///
    /// The fence of a rollout is the number of its deployment in its slot.
    Fence
);
counter!(
    /// What runs in a slot: the number of the deployment that first brought this artifact there.
    Revision
);
counter!(
    /// How many events a stream holds; the expected version of an append.
    Version
);
counter!(
    /// A position in an order: of a journal's events, or of the acts under one fence.
    Sequence
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_weight_and_its_complement_are_all_traffic(points in 0u16..=10_000) {
            let weight = Weight::from_basis_points(points).unwrap();
            prop_assert_eq!(weight.basis_points() + weight.complement().basis_points(), 10_000);
        }

        #[test]
        fn a_ratio_is_full_only_at_the_end(part in 0u32..50, whole in 1u32..50) {
            prop_assert_eq!(Weight::ratio(part, whole) == Weight::FULL, part >= whole);
        }
    }
}
