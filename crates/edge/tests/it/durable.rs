//! What was answered is there after a restart; what cannot be kept is not followed.

use std::sync::atomic::Ordering::SeqCst;

use grit_edge::{EdgeError, SnapshotError};
use grit_rollout::RouterError;

use crate::upstream::Upstream;
use crate::world::{With, World, route};

#[test]
fn a_restart_serves_the_last_snapshot() {
    let upstream = Upstream::named("one");
    let mut world = World::new();
    let observed = world.apply(&route(3, 4).stable(1, 100, &[upstream.address]));
    world.restart();
    assert_eq!(world.client().get("/").text(), "one");
    assert_eq!(world.observed(), observed);
    let older = world.try_apply(&route(3, 3).stable(1, 100, &[upstream.address]));
    assert!(matches!(older, Err(RouterError::Stale { .. })));
}

#[test]
fn a_route_that_is_not_stored_is_not_followed() {
    let (old, new) = (Upstream::named("old"), Upstream::named("new"));
    let mut world = World::new();
    let before = world.apply(&route(1, 1).stable(1, 100, &[old.address]));
    world.full.store(true, SeqCst);
    let change = route(1, 2).stable(2, 100, &[new.address]);
    let refused = world.try_apply(&change);
    assert!(matches!(refused, Err(RouterError::Storage { .. })), "{refused:?}");
    assert_eq!(world.client().get("/").text(), "old");
    assert_eq!(world.observed(), before);
    world.full.store(false, SeqCst);
    world.apply(&change);
    assert_eq!(world.client().get("/").text(), "new");
    world.restart();
    assert_eq!(world.client().get("/").text(), "new");
}

#[test]
fn a_disk_that_is_really_full_leaves_the_old_snapshot_whole() {
    // Nothing can be written beside it: the folder is gone.
    let upstream = Upstream::named("one");
    let world = World::with(|config| {
        let folder = config.snapshot.with_file_name("routes");
        std::fs::create_dir(&folder).unwrap();
        config.snapshot = folder.join("snapshot");
    });
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let folder = world.folder().join("routes");
    std::fs::rename(&folder, world.folder().join("away")).unwrap();
    let refused = world.try_apply(&route(1, 2).stable(1, 100, &[upstream.address]));
    assert!(matches!(refused, Err(RouterError::Storage { .. })), "{refused:?}");
    std::fs::rename(world.folder().join("away"), &folder).unwrap();
    world.apply(&route(1, 2).stable(1, 100, &[upstream.address]));
}

#[test]
fn a_damaged_or_newer_snapshot_is_not_served() {
    let upstream = Upstream::named("one");
    let mut world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    world.stop();
    let bytes = std::fs::read(&world.config.snapshot).unwrap();
    std::fs::write(&world.config.snapshot, &bytes[..bytes.len() / 2]).unwrap();
    let refused = world.start();
    let damaged = matches!(refused, Err(EdgeError::Snapshot(SnapshotError::Damaged { .. })));
    assert!(damaged, "{refused:?}");
    std::fs::write(&world.config.snapshot, b"{\"v\":2}\n{}\n").unwrap();
    let refused = world.start();
    let newer = matches!(refused, Err(EdgeError::Snapshot(SnapshotError::Newer { found: 2, .. })));
    assert!(newer, "{refused:?}");
    std::fs::write(&world.config.snapshot, &bytes).unwrap();
    world.start().unwrap();
    assert_eq!(world.client().get("/").text(), "one");
}

#[test]
fn two_edges_never_serve_from_one_snapshot() {
    let world = World::new();
    assert!(matches!(world.bind().map(|_| ()), Err(EdgeError::Held { .. })));
    // The one that was there is not disturbed.
    assert_eq!(world.state().slots, []);
}

#[test]
fn only_this_user_may_administer() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let mode = std::fs::metadata(&world.config.admin_socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_older_fence_is_refused() {
    let (old, new) = (Upstream::named("old"), Upstream::named("new"));
    let mut world = World::new();
    let followed = world.apply(&route(7, 1).stable(2, 100, &[new.address]));
    let older = route(6, 99).stable(1, 100, &[old.address]);
    for _ in 0..2 {
        let refused = world.try_apply(&older);
        assert!(
            matches!(refused, Err(RouterError::Stale { current, .. }) if current.0 == 7),
            "{refused:?}"
        );
        assert_eq!(world.client().get("/").text(), "new");
        assert_eq!(world.observed(), followed);
        // The fence is as durable as the route.
        world.restart();
    }
}
