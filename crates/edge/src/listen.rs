use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use crate::handover;

/// Connections that wait to be accepted, per thread.
const BACKLOG: i32 = 1_024;

/// At least one listener per thread on the same address: the kernel spreads connections over them. Those of an edge
/// that still serves from the admin socket are taken over, all of them: one that nobody held any more would reset
/// whoever is in its queue.
pub(crate) fn open(
    address: SocketAddr,
    threads: usize,
    admin_socket: &Path,
) -> io::Result<Vec<TcpListener>> {
    let mut listeners = match address.port() {
        // A free port is meant, which is not a predecessor's.
        0 => vec![one(address)?],
        _ => handover::ask(admin_socket, address),
    };
    while listeners.len() < threads {
        let address = listeners.first().map_or(Ok(address), TcpListener::local_addr)?;
        listeners.push(one(address)?);
    }
    Ok(listeners)
}

fn one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
