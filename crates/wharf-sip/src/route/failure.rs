//! Why a message did not arrive, as far as a transport can know (RFC 3261 §18.4).

/// Why an attempt to send has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendFailure {
    /// The peer reset the connection, or refused it: nobody listens there.
    #[error("the peer refused or reset the connection")]
    Reset,
    /// ICMP: nobody listens on that port.
    #[error("the port is unreachable")]
    PortUnreachable,
    /// ICMP: the host does not speak that protocol.
    #[error("the protocol is unreachable")]
    ProtocolUnreachable,
    /// ICMP: no way leads to the host or its network, or somebody on it forbids the traffic.
    #[error("the host or its network is unreachable")]
    Unreachable,
    /// ICMP: the datagram had a header that was not understood.
    #[error("the datagram was refused for its header")]
    ParameterProblem,
    /// ICMP: the datagram was longer than the path takes.
    #[error("the datagram was longer than the path takes")]
    TooBig,
    /// No connection, or no way to go on, in time.
    #[error("it took too long")]
    TimedOut,
    /// Anything else: a certificate, a protocol error, an error of this host.
    #[error("the transport failed")]
    Other,
}

impl SendFailure {
    /// What an ICMP message says of the datagram that it quotes; `None` for one that says nothing
    /// final, such as source quench and TTL exceeded, which "SHOULD be ignored" (RFC 3261 §18.4).
    /// Types and codes are those of RFC 792 and RFC 1122 §3.2.2.1.
    pub fn from_icmp(icmp_type: u8, code: u8) -> Option<Self> {
        match (icmp_type, code) {
            (3, 2) => Some(Self::ProtocolUnreachable),
            (3, 3) => Some(Self::PortUnreachable),
            (3, 4) => Some(Self::TooBig),
            (3, _) => Some(Self::Unreachable),
            (12, _) => Some(Self::ParameterProblem),
            _ => None,
        }
    }

    /// The same for ICMPv6 (RFC 4443 §3).
    pub fn from_icmpv6(icmp_type: u8, code: u8) -> Option<Self> {
        match (icmp_type, code) {
            (1, 4) => Some(Self::PortUnreachable),
            (1, _) => Some(Self::Unreachable),
            (2, _) => Some(Self::TooBig),
            // §3.4: an unrecognized next header is what IPv4 calls an unreachable protocol.
            (4, 1) => Some(Self::ProtocolUnreachable),
            (4, _) => Some(Self::ParameterProblem),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SendFailure::{
        ParameterProblem, PortUnreachable, ProtocolUnreachable, TooBig, Unreachable,
    };
    use super::*;

    #[test]
    fn e1_what_icmp_reports_is_a_failure() {
        let v4 = [
            ((3, 0), Unreachable),
            ((3, 1), Unreachable),
            ((3, 2), ProtocolUnreachable),
            ((3, 3), PortUnreachable),
            ((3, 4), TooBig),
            ((3, 13), Unreachable),
            ((12, 0), ParameterProblem),
        ];
        for ((icmp_type, code), expected) in v4 {
            assert_eq!(
                SendFailure::from_icmp(icmp_type, code),
                Some(expected),
                "{icmp_type} {code}"
            );
        }
        let v6 = [
            ((1, 0), Unreachable),
            ((1, 3), Unreachable),
            ((1, 4), PortUnreachable),
            ((2, 0), TooBig),
            ((4, 0), ParameterProblem),
            ((4, 1), ProtocolUnreachable),
        ];
        for ((icmp_type, code), expected) in v6 {
            assert_eq!(
                SendFailure::from_icmpv6(icmp_type, code),
                Some(expected),
                "{icmp_type} {code}"
            );
        }
    }

    #[test]
    fn e2_source_quench_and_time_exceeded_are_ignored() {
        for (icmp_type, code) in [(4, 0), (11, 0), (11, 1), (5, 0), (0, 0)] {
            assert_eq!(
                SendFailure::from_icmp(icmp_type, code),
                None,
                "{icmp_type} {code}"
            );
        }
        for (icmp_type, code) in [(3, 0), (3, 1), (128, 0), (137, 0)] {
            assert_eq!(
                SendFailure::from_icmpv6(icmp_type, code),
                None,
                "{icmp_type} {code}"
            );
        }
    }
}
