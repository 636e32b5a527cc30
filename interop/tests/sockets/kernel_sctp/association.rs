//! One end of an association on a bare socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use wharf_udp::{
    ReceivedSctp, SCTP, SctpOptions, receive_sctp, send_sctp, set_sctp_options, watch_sctp,
};

use crate::served::SOON;

const OPTIONS: SctpOptions = SctpOptions {
    nodelay: true,
    max_segment: Some(1000),
    streams_out: 7,
    streams_in: 5,
    init_attempts: 3,
    init_timeout: Duration::from_secs(2),
};

/// What one end of an association sends and receives.
pub(super) struct Association {
    /// Tells when it is ready; its protocol is another.
    socket: TcpStream,
    runtime: Runtime,
}

fn socket(domain: Domain) -> Socket {
    let protocol = Some(Protocol::from(SCTP));
    let socket = Socket::new(domain, Type::STREAM, protocol).expect("the kernel's SCTP");
    set_sctp_options(&socket, &OPTIONS).expect("options");
    socket
}

impl Association {
    pub(super) fn connect(to: SocketAddr) -> Self {
        let socket = socket(Domain::for_address(to));
        socket.connect(&to.into()).expect("an association");
        Self::on(socket)
    }

    /// Ends it with an ABORT.
    pub(super) fn abort(self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    fn on(socket: Socket) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let _within = runtime.enter();
        socket.set_nonblocking(true).expect("a socket");
        watch_sctp(&socket).expect("an association");
        Self {
            socket: TcpStream::from_std(socket.into()).expect("a registration"),
            runtime,
        }
    }

    pub(super) fn send(
        &self,
        message: &[u8],
        stream: u16,
        ppid: u32,
        unordered: bool,
    ) -> io::Result<()> {
        let sent = self.socket.async_io(Interest::WRITABLE, || {
            send_sctp(&self.socket, message, stream, ppid, unordered)
        });
        let sent = async { timeout(SOON, sent).await.expect("room") };
        self.runtime.block_on(sent)
    }

    /// The next piece of a message, of at most 4,000 bytes.
    fn piece(&self, buffer: &mut [u8]) -> io::Result<ReceivedSctp> {
        let received = self
            .socket
            .async_io(Interest::READABLE, || receive_sctp(&self.socket, buffer));
        let received = async { timeout(SOON, received).await.expect("a message") };
        self.runtime.block_on(received)
    }

    /// The next message, and what its last piece says of it. Nothing: the end.
    pub(super) fn receive(&self) -> io::Result<(Vec<u8>, ReceivedSctp)> {
        let (mut message, mut buffer) = (Vec::new(), vec![0; 4000]);
        loop {
            let piece = self.piece(&mut buffer)?;
            message.extend_from_slice(&buffer[..piece.length]);
            if piece.complete || piece.length == 0 {
                return Ok((message, piece));
            }
        }
    }
}

#[test]
#[ignore = "needs the kernel's SCTP: interop/vm/run.sh runs it"]
fn messages_keep_their_stream_and_identifier_and_bad_ones_are_refused() {
    let listener = socket(Domain::IPV4);
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("an address");
    listener.listen(1).expect("a listener");
    let address = listener
        .local_addr()
        .ok()
        .and_then(|address| address.as_socket());
    let client = Association::connect(address.expect("an address"));
    let server = Association::on(listener.accept().expect("an association").0);
    client.send(b"first", 4, 0x0102_0304, false).expect("room");
    client.send(&[7; 5000], 0, 46, true).expect("room");
    // Streams are the smaller of what one asks for and the other allows: 0 to 4.
    let (first, told) = server.receive().expect("a message");
    assert_eq!(first, b"first");
    assert_eq!(
        (told.stream, told.ppid, told.unordered),
        (4, 0x0102_0304, false)
    );
    let (second, told) = server.receive().expect("a message");
    assert_eq!(second, [7; 5000]);
    assert_eq!((told.stream, told.ppid, told.unordered), (0, 46, true));
    let refused = server
        .send(b"x", 100, 0, false)
        .expect_err("no such stream");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    drop(client);
    assert_eq!(server.receive().expect("the end").0, b"");
}
