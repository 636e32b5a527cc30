//! The numbers of an association, checked once before the first packet.

use std::time::Duration;

/// How associations are made and what they may take.
///
/// An idle association takes about 8 KB; a busy one at most about `receive_window` + `send_queue` more, where a peer
/// that pretends to end can make the window count twice, and one that sends its data in pieces of a few bytes can make
/// the received part several times that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Streams the peer may send on; the peer may ask for fewer. Default 64, 1 to 65,535.
    pub streams_in: u16,
    /// Streams to send on; the peer may grant fewer. Default 64, 1 to 65,535.
    pub streams_out: u16,
    /// How often an INIT or COOKIE ECHO is sent again before the attempt fails (RFC 9260 §16
    /// `Max.Init.Retransmits`). Default 8.
    pub init_attempts: u32,
    /// How long the first INIT waits for an answer; the wait doubles each time. Default 1 s.
    pub init_timeout: Duration,
    /// How long nothing is heard of the peer, while it owes an answer, before it counts as gone. An idle peer has
    /// two heartbeats' time more. Default 60 s, at least 1 s. (RFC 9260 §8.1 counts retransmissions instead.)
    pub peer_timeout: Duration,
    /// The largest message sent or taken, in bytes: a peer that sends a larger one is cut off. Default 256 KiB.
    pub max_message: usize,
    /// Bytes received and not yet taken by the reader; the peer sends no more than that. Default 1 MiB, at least
    /// 8 KiB and 1.25 times `max_message`.
    pub receive_window: usize,
    /// Bytes sent and not yet acknowledged; [`send`](crate::Association::send) says
    /// [`Full`](crate::SendError::Full) beyond it. Default 1 MiB, at least `max_message`.
    pub send_queue: usize,
    /// How long a path is idle before a HEARTBEAT (RFC 9260 §8.3). Default 30 s; zero: none.
    pub heartbeat: Duration,
    /// The largest SCTP packet, in bytes, without UDP and IP headers. Default 1,200, which fits every IPv6 path;
    /// 512 to 65,000.
    pub mtu: usize,
    /// An association without a message in either direction for so long is shut down. Default none.
    pub autoclose: Option<Duration>,
    /// Whether large messages may be cut up so that they do not hold up others (RFC 8260, used when the peer
    /// offers it too). Default true.
    pub interleaving: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            streams_in: 64,
            streams_out: 64,
            init_attempts: 8,
            init_timeout: Duration::from_secs(1),
            peer_timeout: Duration::from_mins(1),
            max_message: 256 << 10,
            receive_window: 1 << 20,
            send_queue: 1 << 20,
            heartbeat: Duration::from_secs(30),
            mtu: 1200,
            autoclose: None,
            interleaving: true,
        }
    }
}

/// An option outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} is {given}: {allowed}")]
pub struct OptionError {
    /// The field of [`Options`].
    pub option: &'static str,
    /// Its value.
    pub given: String,
    /// What it may be.
    pub allowed: String,
}

impl Options {
    /// Every option outside its range.
    pub fn problems(&self) -> Vec<OptionError> {
        let mut problems = Vec::new();
        let mut demand = |good: bool, option, given: String, allowed: String| {
            if !good {
                problems.push(OptionError {
                    option,
                    given,
                    allowed,
                });
            }
        };
        let streams = [
            ("streams_in", self.streams_in),
            ("streams_out", self.streams_out),
        ];
        for (option, given) in streams {
            demand(given > 0, option, given.to_string(), "1 to 65535".into());
        }
        demand(
            self.init_attempts <= 100,
            "init_attempts",
            self.init_attempts.to_string(),
            "0 to 100".into(),
        );
        demand(
            (Duration::from_millis(10)..=Duration::from_mins(1)).contains(&self.init_timeout),
            "init_timeout",
            format!("{:?}", self.init_timeout),
            "10 ms to 60 s".into(),
        );
        demand(
            self.peer_timeout >= Duration::from_secs(1),
            "peer_timeout",
            format!("{:?}", self.peer_timeout),
            "at least 1 s".into(),
        );
        demand(
            (1..=16 << 20).contains(&self.max_message),
            "max_message",
            self.max_message.to_string(),
            "1 byte to 16 MiB".into(),
        );
        let window = (self.max_message.saturating_mul(5) / 4).max(8 << 10);
        demand(
            (window..=1 << 30).contains(&self.receive_window),
            "receive_window",
            self.receive_window.to_string(),
            format!("{window} (1.25 times max_message, at least 8 KiB) to 1 GiB"),
        );
        demand(
            (self.max_message..=1 << 30).contains(&self.send_queue),
            "send_queue",
            self.send_queue.to_string(),
            format!("{} (max_message) to 1 GiB", self.max_message),
        );
        demand(
            (512..=65_000).contains(&self.mtu),
            "mtu",
            self.mtu.to_string(),
            "512 to 65000 bytes".into(),
        );
        if let Some(autoclose) = self.autoclose {
            demand(
                autoclose >= Duration::from_millis(100),
                "autoclose",
                format!("{autoclose:?}"),
                "at least 100 ms".into(),
            );
        }
        problems
    }

    /// The same in the engine's words.
    pub(crate) fn engine(&self, local_port: u16, remote_port: u16) -> dcsctp::api::Options {
        dcsctp::api::Options {
            local_port,
            remote_port,
            announced_maximum_incoming_streams: self.streams_in,
            announced_maximum_outgoing_streams: self.streams_out,
            mtu: self.mtu,
            max_message_size: self.max_message,
            max_receiver_window_buffer_size: self.receive_window,
            // The bound is kept by `Association::send`, which also counts what is sent but not acknowledged.
            max_send_buffer_size: self.send_queue + 1,
            per_stream_send_queue_limit: self.send_queue + 1,
            t1_init_timeout: self.init_timeout,
            t1_cookie_timeout: self.init_timeout,
            max_init_retransmits: Some(self.init_attempts),
            // `Liveness` knows when a peer is gone.
            max_retransmissions: None,
            // Nobody waits longer than this for a lost packet, or for a window that has opened.
            rto_max: Duration::from_secs(10),
            rtt_max: Duration::from_secs(10),
            max_timer_backoff_duration: Some(Duration::from_secs(10)),
            heartbeat_interval: self.heartbeat,
            // Messages are never given up on, so the extension that tells a peer about it is not offered.
            enable_partial_reliability: false,
            enable_message_interleaving: self.interleaving,
            // `Packet::parse` has checked it already.
            disable_checksum_verification: true,
            ..dcsctp::api::Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_every_bad_value_is_named() {
        assert_eq!(Options::default().problems(), []);
        let bad = Options {
            streams_in: 0,
            streams_out: 0,
            init_attempts: 101,
            init_timeout: Duration::ZERO,
            peer_timeout: Duration::ZERO,
            max_message: 0,
            receive_window: 0,
            send_queue: usize::MAX,
            mtu: 100,
            autoclose: Some(Duration::ZERO),
            ..Options::default()
        };
        let named: Vec<_> = bad
            .problems()
            .iter()
            .map(|problem| problem.option)
            .collect();
        let all = [
            "streams_in",
            "streams_out",
            "init_attempts",
            "init_timeout",
            "peer_timeout",
            "max_message",
            "receive_window",
            "send_queue",
            "mtu",
            "autoclose",
        ];
        assert_eq!(named, all);
        let text = bad.problems()[8].to_string();
        assert_eq!(text, "mtu is 100: 512 to 65000 bytes");
    }
}
