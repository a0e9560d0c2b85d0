//! An address that refuses connections.

use std::net::SocketAddr;
use tokio::net::TcpSocket;

/// An address of this machine at which nobody listens, and nobody else can as long as this exists. (A port that was
/// only just free may be another test's server by the time it is tried.)
pub struct Refusing {
    pub address: SocketAddr,
    _bound: TcpSocket,
}

impl Refusing {
    pub fn new() -> Refusing {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Refusing { address: socket.local_addr().unwrap(), _bound: socket }
    }
}
