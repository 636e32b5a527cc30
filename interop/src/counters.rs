//! What the daemon says it has done: its metrics.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::Daemon;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many answers the end of all streams may take.
const LOOKS: usize = 2_000;

/// The daemon's metrics at one moment.
#[derive(Debug)]
pub struct Counters {
    text: String,
}

impl Counters {
    /// Fetches them from `port` of 127.0.0.1. Panics when the daemon does not answer.
    pub(crate) fn read(port: u16) -> Self {
        let mut connection =
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the metrics' listener");
        connection
            .set_read_timeout(Some(PATIENCE))
            .expect("a read timeout");
        connection
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut text = String::new();
        connection.read_to_string(&mut text).expect("an answer");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        Self { text }
    }

    /// The counters of a daemon whose stream clients have all gone. Panics when they never have.
    #[must_use]
    pub fn after_all_streams(daemon: &Daemon) -> Self {
        (0..LOOKS)
            .map(|_| daemon.counters())
            .find(|counters| counters.get("wharf_streams") == 0)
            .expect("all streams end")
    }

    /// The value of a metric without labels. Panics when there is none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let value = self.text.lines().find_map(|line| {
            let (metric, value) = line.split_once(' ')?;
            (metric == name).then_some(value)
        });
        let number = value.and_then(|value| value.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in:\n{}", self.text))
    }

    /// Asserts that stream clients have sent exactly `messages` to peers, that as many came back, and
    /// that nothing was dropped on either way: each frame from a client, be it a request or a message
    /// that a peer returns, has led to one to a client.
    pub fn assert_relayed(&self, messages: u64) {
        let to_peers = self.get("wharf_to_peer_packets_total");
        // From one client to another of the same worker no datagram leaves.
        let across = self.get("wharf_handed_across_total");
        assert_eq!(to_peers + across, messages);
        assert_eq!(self.get("wharf_peer_packets_total"), to_peers);
        let frames = self.get("wharf_stream_frames_total");
        assert!(frames > messages, "{frames}");
        assert_eq!(self.get("wharf_to_stream_frames_total"), frames);
        assert_eq!(self.get("wharf_stream_dropped_total"), 0);
        assert_eq!(self.get("wharf_kernel_drops_total"), 0);
    }
}
