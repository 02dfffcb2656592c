//! The edge behind its client keeps what every router promises: see `grit_rollout::contract`.

use std::time::Duration;

use grit_rollout::contract;
use grit_types::BoxFuture;

use crate::upstream::{Answer, Upstream};
use crate::world::{World, slot};

/// On a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

fn patiently(world: &World, test: impl Future<Output = ()>) {
    let patience = async { tokio::time::timeout(PATIENCE, test).await };
    world.runtime.block_on(patience).expect("it ends");
}

#[test]
fn the_edge_keeps_it() {
    let world = World::new();
    let client = world.router();
    patiently(&world, contract::router(&client, &slot()));
}

#[test]
fn the_guard_keeps_it() {
    let stable = Upstream::named("stable");
    let failing = Upstream::start(|_| Answer::Reply(500, "no".to_owned()));
    let addresses = [stable.address.to_string(), failing.address.to_string()];
    let world = World::new();
    let router = world.router();
    let fail = || -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut client = world.client();
            (0..10).for_each(|_| drop(client.get("/")));
        })
    };
    let addresses = [addresses[0].as_str(), addresses[1].as_str()];
    patiently(&world, contract::guard(&router, &slot(), addresses, &fail));
}
