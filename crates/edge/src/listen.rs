use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, per thread.
const BACKLOG: i32 = 1_024;

/// One listener per thread on the same address: the kernel spreads connections over them, and a
/// successor can listen before this edge ends.
pub(crate) fn open(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    let first = one(address)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..threads {
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
