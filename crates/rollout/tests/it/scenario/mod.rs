//! What happens, told line by line: what came in, and what followed from it.

mod backward;
mod forward;
mod gates;
mod late;
mod people;

use grit_rollout::slot::Request;

use crate::ground::{request, rolling};
use crate::rig::Rig;

/// v1 with three instances and all traffic.
fn serving() -> Rig {
    Rig::serving(&v1())
}

fn v1() -> Request {
    request("v1", rolling(), 3)
}
