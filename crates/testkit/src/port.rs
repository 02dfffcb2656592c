use std::net::{Ipv4Addr, TcpListener};

/// A port of 127.0.0.1 that nobody listened at a moment ago.
///
/// Another process may take it before the caller does: where the program under test can bind
/// port 0 and tell, let it.
#[track_caller]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a port");
    listener.local_addr().expect("the address of a bound socket").port()
}
