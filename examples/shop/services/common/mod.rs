//! What both services are made of: HTTP messages, a small server, JSON,
//! SIGTERM, and the fault switch. Nothing here knows what the shop sells.
//!
//! Both services include this folder as a module, so that each of them builds
//! with a single `rustc` call and without a library beside the standard one.

pub mod connection;
pub mod fault;
pub mod http;
pub mod json;
pub mod server;
pub mod service;
pub mod signal;
