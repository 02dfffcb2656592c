//! The shop's web front: HTML pages, filled from the API at `API_URL`.

mod api;
mod client;
#[path = "../../common/mod.rs"]
mod common;
mod page;
mod routes;

use std::env;
use std::process::ExitCode;

use client::{ApiUrl, Client};
use common::service::{self, Handler, StartError};

const VERSION: &str = include_str!("../VERSION").trim_ascii();

fn main() -> ExitCode {
    service::run("web", VERSION, handler())
}

fn handler() -> Result<Handler, StartError> {
    let url = env::var("API_URL");
    let url = url.map_err(|_| {
        StartError::misconfigured("API_URL is not set; try: API_URL=http://127.0.0.1:8081")
    })?;
    let url = ApiUrl::parse(&url)
        .map_err(|problem| StartError::misconfigured(format!("API_URL: {problem}")))?;
    let front = routes::Front::new(Client::new(url));
    Ok(Box::new(move |request| front.answer(request)))
}
