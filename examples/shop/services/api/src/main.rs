//! The shop's API: catalogue, carts and checkout, as JSON.
//!
//! Carts live in the memory of one replica and are lost with it. A client that
//! talks to several replicas sends its items along with `POST /checkout`.

mod cart;
mod catalogue;
#[path = "../../common/mod.rs"]
mod common;
mod routes;

use std::process::ExitCode;

use common::service;

const VERSION: &str = include_str!("../VERSION").trim_ascii();

fn main() -> ExitCode {
    let shop = routes::Shop::default();
    service::run("api", VERSION, Ok(Box::new(move |request| shop.answer(request))))
}
