//! What leaves: outputs of the core, staged for sockets and streams.

use std::ops::Range;

use wharf_turn::{Output, Reply, ToClient, ToPeer, Transport};
use wharf_udp::{Datagram, Outgoing, Piece, Turn, Via};

use crate::counters::Counters;
use crate::dtls::Sessions;
use crate::relays;
use crate::streams::Streams;

/// The input of the core that an output is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// None that has bytes to relay.
    Nothing,
    /// A datagram, sent on from where it was received.
    Datagram(&'a Datagram<'a>),
    /// A frame of a stream or a message of DTLS, copied into the datagram that it becomes.
    Copied {
        bytes: &'a [u8],
        /// The TOS or traffic class octet that it has come with; 0 from a stream.
        tos: u8,
    },
}

impl Source<'_> {
    /// A part of it, as bytes.
    fn bytes(&self, part: &Range<usize>) -> &[u8] {
        let bytes = match self {
            Source::Nothing => &[],
            Source::Datagram(datagram) => datagram.payload,
            Source::Copied { bytes, .. } => bytes,
        };
        bytes.get(part.clone()).unwrap_or_default()
    }

    /// A part of it, by its place.
    fn piece(&self, part: &Range<usize>) -> Option<Piece> {
        match self {
            Source::Datagram(datagram) if !part.is_empty() => Some(datagram.piece(part.clone())),
            _ => None,
        }
    }

    /// The TOS or traffic class octet that it has come with.
    fn tos(&self) -> u8 {
        match self {
            Source::Datagram(datagram) => datagram.tos,
            Source::Copied { tos, .. } => *tos,
            Source::Nothing => 0,
        }
    }
}

/// What is staged for streams, the sessions of DTLS, and room to put datagrams together.
pub(crate) struct Outbound {
    pub(crate) streams: Streams,
    /// `None` where it is not spoken.
    pub(crate) dtls: Option<Sessions>,
    /// Header, payload and padding of what goes to a client in one piece.
    joined: Vec<u8>,
}

impl Outbound {
    pub(crate) fn new(dtls: Option<Sessions>) -> Self {
        Self {
            streams: Streams::default(),
            dtls,
            joined: Vec::new(),
        }
    }

    /// Stages an output of the core.
    pub(crate) fn stage(
        &mut self,
        turn: &mut Turn<'_>,
        output: Output<'_>,
        source: Source<'_>,
        counters: &Counters,
    ) {
        match output {
            Output::Dropped(reason) => counters.dropped(reason),
            Output::Waiting => {}
            Output::ToPeer(to) => stage_to_peer(turn, &to, source),
            Output::ToClient(to) => self.stage_to_client(turn, &to, source, counters),
            Output::Reply(reply) => self.stage_reply(turn, &reply, counters),
        }
    }

    fn stage_to_client(
        &mut self,
        turn: &mut Turn<'_>,
        to: &ToClient<'_>,
        source: Source<'_>,
        counters: &Counters,
    ) {
        if to.path.transport.is_stream() {
            let padding = &[0; 3][..to.padding];
            let parts = [to.header, source.bytes(&to.payload), padding];
            return self.streams.stage_data(to.path, parts, counters);
        }
        let in_one_piece =
            matches!(source, Source::Copied { .. }) || to.path.transport == Transport::Dtls;
        if in_one_piece {
            self.joined.clear();
            self.joined.extend_from_slice(to.header);
            self.joined.extend_from_slice(source.bytes(&to.payload));
            let length = self.joined.len() + to.padding;
            self.joined.resize(length, 0);
        }
        if to.path.transport == Transport::Dtls {
            if let Some(dtls) = &mut self.dtls {
                dtls.send(turn, to.path, &self.joined, source.tos(), counters);
            }
            return;
        }
        let mut outgoing = Outgoing {
            from: Some(to.path.server.ip()),
            tos: source.tos(),
            header: to.header,
            piece: source.piece(&to.payload),
            padding: to.padding,
            ..Outgoing::to(to.path.client)
        };
        if in_one_piece {
            outgoing.header = &self.joined;
            outgoing.padding = 0;
        }
        turn.send(Via::Listener(to.path.listener), &outgoing);
    }

    fn stage_reply(&mut self, turn: &mut Turn<'_>, reply: &Reply<'_>, counters: &Counters) {
        counters.replied(reply);
        let Reply { path, bytes, .. } = reply;
        if path.transport.is_stream() {
            return self.streams.stage_reply(path, bytes, counters);
        }
        if path.transport == Transport::Dtls {
            if let Some(dtls) = &mut self.dtls {
                dtls.send(turn, path, bytes, 0, counters);
            }
            return;
        }
        let outgoing = Outgoing {
            from: Some(path.server.ip()),
            header: bytes,
            ..Outgoing::to(path.client)
        };
        turn.send(Via::Listener(path.listener), &outgoing);
    }
}

fn stage_to_peer(turn: &mut Turn<'_>, to: &ToPeer, source: Source<'_>) {
    let copied = match source {
        Source::Copied { .. } => source.bytes(&to.payload),
        _ => &[],
    };
    let outgoing = Outgoing {
        tos: source.tos(),
        // RFC 8656 §11.2: with DF or not at all.
        dont_fragment: to.dont_fragment,
        header: copied,
        piece: source.piece(&to.payload),
        ..Outgoing::to(to.peer)
    };
    turn.send(Via::Own(relays::key(to.relay)), &outgoing);
}
