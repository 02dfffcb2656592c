//! Launches one command and then waits to be killed: a controller for tests of adoption.
//!
//! `grit-host-controller SHIM RECORD LOG MARKER_VALUE COMMAND [ARG...]`
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;

use grit_host::{Marker, Output, Shim, Spec, launch};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let mut args = std::env::args_os().skip(1);
    let mut next = || args.next().ok_or("too few arguments");
    let shim = Shim::at(next()?);
    let record = PathBuf::from(next()?);
    let log = PathBuf::from(next()?);
    let value = next()?.into_string().map_err(|_| "marker is not UTF-8")?;
    let spec = Spec::new(next()?, Marker::new("GRIT_TEST", value)?)
        .args(args.collect::<Vec<OsString>>())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output(Output::File(log))
        .synced();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let _launched = launch(spec, &record, &shim).await?;
        std::future::pending().await
    })
}
