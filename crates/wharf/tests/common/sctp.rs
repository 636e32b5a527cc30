//! A client of SCTP over UDP that drives the engine itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use wharf_sctp::{Association, Cookies, Options};

/// What every wait ends after.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The associations of one UDP endpoint.
pub(crate) struct Peer {
    pub socket: UdpSocket,
    pub associations: Vec<Association>,
    /// Every packet received.
    pub seen: Vec<Vec<u8>>,
    /// Throws away what comes.
    pub deaf: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the engine takes the time as it is"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn message(stream: u16, ppid: u32, length: usize) -> wharf_sctp::Message {
    wharf_sctp::Message {
        stream,
        ppid,
        payload: vec![ppid as u8; length].into(),
        ..wharf_sctp::Message::default()
    }
}

impl Peer {
    /// Begins an association from each of these SCTP ports.
    pub(crate) async fn new(server: SocketAddr, ports: &[u16], options: &Options) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server).await.unwrap();
        let begin = |port: &u16| {
            let cookies = Cookies::new([3; 32], now(), Duration::from_mins(1));
            let ports = (*port, server.port());
            Association::connect(now(), server, ports, options.clone(), cookies)
        };
        Self {
            socket,
            associations: ports.iter().map(begin).collect(),
            seen: Vec::new(),
            deaf: false,
        }
    }

    /// Moves packets until `done`.
    pub(crate) async fn until(&mut self, mut done: impl FnMut(&mut [Association]) -> bool) {
        let all = async {
            let mut buffer = vec![0; 65_536];
            while !done(&mut self.associations) {
                let mut due = now() + PATIENCE;
                self.send().await;
                for association in &self.associations {
                    due = due.min(association.deadline().unwrap_or(due));
                }
                let wait = due.saturating_duration_since(now());
                let received = tokio::time::timeout(wait, self.socket.recv(&mut buffer)).await;
                if let Ok(Ok(length)) = received {
                    self.seen.push(buffer[..length].to_vec());
                }
                for association in &mut self.associations {
                    if let (Ok(Ok(length)), false) = (&received, self.deaf) {
                        // For the one whose ports it has.
                        let _ = association.handle_packet(now(), &buffer[..*length]);
                    }
                    association.handle_timeout(now());
                }
            }
            // The last words.
            self.send().await;
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap();
    }

    async fn send(&mut self) {
        for association in &mut self.associations {
            while let Some(packet) = association.poll_packet() {
                self.socket.send(&packet).await.unwrap();
            }
        }
    }

    pub(crate) async fn connected(&mut self) {
        let connected = |all: &mut [Association]| all.iter().all(Association::is_connected);
        self.until(connected).await;
    }
}
