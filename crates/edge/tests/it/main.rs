//! The edge on real sockets: upstreams are threads, clients are plain sockets.
#![forbid(unsafe_code)]

mod answers;
mod bodies;
mod client;
mod contract;
mod drain;
mod durable;
mod guard;
mod lifecycle;
mod limits;
mod numbers;
mod retry;
mod split;
mod upstream;
mod world;
