//! An edge by itself: `edge --listen 127.0.0.1:7780 --admin /run/edge/admin.sock --threads 1`.
//!
//! What is routed is kept beside the admin socket, in `snapshot`. Routes are put there with
//! `curl --unix-socket ADMIN -X PUT -d @route.json http://edge/routes`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::PathBuf;

use grit_edge::{EdgeConfig, run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = "127.0.0.1:7780".parse()?;
    let mut admin = PathBuf::from("admin.sock");
    let mut threads = 1;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--listen" => listen = value.parse()?,
            "--admin" => admin = PathBuf::from(value),
            "--threads" => threads = value.parse()?,
            _ => return Err(format!("{name} is not known").into()),
        }
    }
    let snapshot = admin.with_file_name("snapshot");
    let mut config = EdgeConfig::new(listen, admin, snapshot);
    config.threads = threads;
    // Ends when it is killed: what is routed is safe on disk.
    run(config, std::future::pending())?;
    Ok(())
}
