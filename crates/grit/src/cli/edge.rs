use grit_edge::{Edge, EdgeConfig};

use super::args::Edge as Options;
use super::place::Place;
use crate::exit::{Exit, Failure};

/// Serves until SIGTERM or SIGINT; requests in flight are finished.
pub fn run(options: &Options, place: &Place) -> Result<Exit, Failure> {
    let folder = place.data()?.join("edge");
    grit_host::durable::create_dir_all(&folder)
        .map_err(|error| Failure::because("the edge's folder cannot be made", &error))?;
    let (socket, snapshot) = (folder.join("admin.sock"), folder.join("snapshot"));
    let mut config = EdgeConfig::new(options.listen, socket, snapshot);
    config.threads = options.threads;
    config.takeover = std::time::Duration::from_secs(2);
    let failed = |error: grit_edge::EdgeError| Failure::because("the edge cannot serve", &error);
    let edge = Edge::bind(config).map_err(failed)?;
    tracing::info!(address = %edge.address(), "the edge serves");
    edge.run(super::signals::ended()).map_err(failed)?;
    Ok(Exit::Done)
}
