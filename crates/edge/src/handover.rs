//! Listening sockets from an edge to its successor. A socket that is closed resets whoever is in its queue or in the
//! middle of the handshake; one that two processes hold goes on when one of them ends.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Where a successor asks at the admin socket, which then carries descriptors instead of HTTP.
pub(crate) const PATH: &str = "/listeners";
const PROTOCOL: &str = "grit-listeners";
/// As many as the kernel takes in one message (`SCM_MAX_FD`, unix(7)).
const SOCKETS_MAX: usize = 253;
/// How long a predecessor may take: one that hangs keeps nobody from listening.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const HEAD_BYTES_MAX: usize = 4096;

/// Says that what follows on this connection are descriptors.
pub(crate) fn accept<B: Default>() -> hyper::Response<B> {
    let mut response = hyper::Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// Sends the sockets to whoever asked.
pub(crate) async fn give(asked: OnUpgrade, listeners: &[TcpListener]) -> io::Result<()> {
    let upgraded = asked.await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<UnixStream>>()
        .map_err(|_| io::Error::other("the admin interface is not on a unix socket"))?;
    let stream = parts.io.into_inner();
    let sockets: Vec<BorrowedFd<'_>> =
        listeners.iter().take(SOCKETS_MAX).map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    loop {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&sockets));
            let one = [IoSlice::new(b"\n")];
            Ok(sendmsg(&stream, &one, &mut control, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            sent => return sent.map(drop),
        }
    }
}

/// The sockets of the edge that serves from the admin socket, of those that listen at `address`. None: nobody serves
/// there, or not at this address.
pub(crate) fn ask(admin_socket: &Path, address: SocketAddr) -> Vec<TcpListener> {
    let sockets = match exchange(admin_socket) {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::debug!(%error, "no listeners are taken over");
            return Vec::new();
        }
    };
    let listeners = sockets.into_iter().map(TcpListener::from);
    listeners.filter(|listener| listener.local_addr().is_ok_and(|at| at == address)).collect()
}

fn exchange(admin_socket: &Path) -> io::Result<Vec<OwnedFd>> {
    let mut stream = StdUnixStream::connect(admin_socket)?;
    stream.set_read_timeout(Some(ASK_TIMEOUT))?;
    stream.set_write_timeout(Some(ASK_TIMEOUT))?;
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nhost: edge\r\nconnection: upgrade\r\nupgrade: {PROTOCOL}\r\n\r\n"
    );
    io::Write::write_all(&mut stream, request.as_bytes())?;
    let head = head(&mut stream)?;
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(io::Error::other("the edge that serves does not hand over its listeners"));
    }
    receive(&stream)
}

/// Byte by byte, since what comes after it has to be read with its descriptors.
fn head(stream: &mut StdUnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX {
            return Err(io::Error::other("an answer without an end"));
        }
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

fn receive(stream: &StdUnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received);
        }
    }
    Ok(sockets)
}
