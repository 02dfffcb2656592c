//! Which routes are taken.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use grit_rollout::{Group, Route};
use grit_types::{Revision, Weight};

use crate::stats::WINDOW_MAX;

/// Groups of a route.
const GROUPS_MAX: usize = 64;
/// Endpoints of a route.
const ENDPOINTS_MAX: usize = 1_024;
/// How long a request may be told to take.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

// A turn names its group by one byte.
const _: () = assert!(GROUPS_MAX <= 256);

/// What is wrong with the route, in words; `None` if it can be served.
pub(crate) fn problem(route: &Route) -> Option<String> {
    sizes(route)
        .or_else(|| weights(&route.groups))
        .or_else(|| uniqueness(&route.groups))
        .or_else(|| route.groups.iter().find_map(endpoints))
        .or_else(|| limits(route))
}

/// Where an endpoint listens: an IP address and a port, or `localhost` and a port.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = local.as_deref().unwrap_or(text).parse().ok()?;
    (address.port() != 0).then_some(address)
}

fn sizes(route: &Route) -> Option<String> {
    let endpoints: usize = route.groups.iter().map(|group| group.endpoints.len()).sum();
    if route.groups.len() > GROUPS_MAX {
        return Some(format!("it has more than {GROUPS_MAX} groups"));
    }
    (endpoints > ENDPOINTS_MAX).then(|| format!("it has more than {ENDPOINTS_MAX} endpoints"))
}

fn weights(groups: &[Group]) -> Option<String> {
    let sum: u32 = groups.iter().map(|group| u32::from(group.weight.basis_points())).sum();
    let full = u32::from(Weight::FULL.basis_points());
    if sum != full {
        return Some(format!("its weights sum to {sum} basis points, not to {full}"));
    }
    let starved = |group: &&Group| group.weight > Weight::ZERO && group.endpoints.is_empty();
    let starved = groups.iter().find(starved)?;
    Some(format!("revision {} has a weight and no endpoint", starved.revision))
}

fn uniqueness(groups: &[Group]) -> Option<String> {
    if groups.iter().filter(|group| group.stable).count() > 1 {
        return Some("more than one group is stable".to_owned());
    }
    let mut revisions = BTreeSet::<Revision>::new();
    if let Some(twice) = groups.iter().find(|group| !revisions.insert(group.revision)) {
        return Some(format!("revision {} is in two groups", twice.revision));
    }
    let mut instances = BTreeSet::new();
    let mut all = groups.iter().flat_map(|group| &group.endpoints);
    let twice = all.find(|endpoint| !instances.insert(endpoint.instance))?;
    Some(format!("instance {} is an endpoint twice", twice.instance))
}

fn endpoints(group: &Group) -> Option<String> {
    let bad = group.endpoints.iter().find(|endpoint| address(&endpoint.address).is_none())?;
    Some(format!("`{}` is not an address and a port", bad.address))
}

fn limits(route: &Route) -> Option<String> {
    if route.request_timeout < Duration::from_millis(1) || route.request_timeout > TIMEOUT_MAX {
        return Some("its request timeout is not between 1ms and 24h".to_owned());
    }
    let guard = route.guard.as_ref()?;
    let too_long = guard.window > WINDOW_MAX || guard.window.is_zero();
    too_long.then(|| format!("its guard's window is not between 0s and {}s", WINDOW_MAX.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers() {
        for text in ["127.0.0.1:80", "[::1]:8080", "localhost:1"] {
            assert!(address(text).is_some(), "{text}");
        }
        for text in ["", "127.0.0.1", "127.0.0.1:0", "example.com:80", "localhost:99999", "x"] {
            assert!(address(text).is_none(), "{text}");
        }
    }
}
