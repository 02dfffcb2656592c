//! The data plane: what happens on the worker threads.
//!
//! Each thread has its own runtime, listener, view of the routes and pools of connections, and
//! shares with the others only the table it follows and the statistics it alone writes its part
//! of. One protocol lives here, HTTP/1.1; another one would be a sibling of `connection` in front
//! and of `upstream` behind, with `proxy` between them as it is.

mod body;
mod connection;
mod headers;
mod local;
mod proxy;
mod reply;
mod upstream;
mod worker;

pub(crate) use worker::work;
