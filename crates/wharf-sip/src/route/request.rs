//! Requests: UDP or TCP by size, and what the Via must say (RFC 3261 §18.1.1).

use std::net::{IpAddr, SocketAddr};

use super::SendFailure;
use crate::Transport;

/// The longest payload of a UDP datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
const MAX_DATAGRAM: usize = 65_507;

/// When a request is too long for UDP (RFC 3261 §18.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeSwitch {
    /// Whether long requests go over TCP. Default true, as §18.1.1 has it. Turn it off for an element
    /// that speaks no TCP; datagrams are fragmented then.
    pub enabled: bool,
    /// The longest request that goes over UDP where the path MTU is not known, in bytes. Default 1300.
    pub longest: usize,
    /// Bytes of a known path MTU that are left free. Default 200: a response may be longer than its
    /// request.
    pub reserve: usize,
}

impl Default for SizeSwitch {
    fn default() -> Self {
        Self {
            enabled: true,
            longest: 1300,
            reserve: 200,
        }
    }
}

impl SizeSwitch {
    fn fits(&self, bytes: usize, path_mtu: Option<usize>) -> bool {
        let longest = path_mtu.map_or(self.longest, |mtu| mtu.saturating_sub(self.reserve));
        !self.enabled || bytes <= longest
    }
}

/// One way to send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The transport to send over, and to write into the topmost Via. `UDP` and `TCP` are of one
    /// length, so that a switch does not change the size that led to it. Whether the branch changes
    /// too is the caller's business.
    pub transport: Transport,
    /// Where to.
    pub destination: SocketAddr,
    /// Why this way.
    pub cause: Cause,
    /// The `maddr` to write into the topmost Via: a multicast destination, itself.
    pub maddr: Option<IpAddr>,
    /// The `ttl` to write into the topmost Via, and to send with: 1 for a multicast destination of
    /// IPv4.
    pub ttl: Option<u8>,
}

/// Why an [`Attempt`] is made over its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is the one that was asked for.
    Asked,
    /// TCP, because the request is too long for UDP.
    Size,
    /// UDP again, because the peer does not speak TCP.
    TcpRefused,
}

/// The request is longer than any datagram, and may go over UDP only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes do not fit into a datagram")]
pub struct TooLarge {
    /// Its length.
    pub bytes: usize,
}

/// The ways of one request to one destination: at most two.
///
/// ```
/// use wharf_sip::Transport;
/// use wharf_sip::route::{Cause, RequestRoute, SendFailure, SizeSwitch};
///
/// let to = "192.0.2.1:5060".parse().unwrap();
/// let route = RequestRoute::new(Transport::Udp, to, 1301, None, SizeSwitch::default()).unwrap();
/// assert_eq!(route.first().transport, Transport::Tcp);
/// let again = route.after(SendFailure::Reset).unwrap();
/// assert_eq!((again.transport, again.cause), (Transport::Udp, Cause::TcpRefused));
/// assert_eq!(route.after(SendFailure::TimedOut), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRoute {
    first: Attempt,
    fallback: Option<Attempt>,
    /// The way where the path turns out too narrow for a datagram.
    narrow: Option<Attempt>,
}

impl RequestRoute {
    /// The ways of a request of so many `bytes`. `path_mtu` is that to the destination, where it is
    /// known. Not for responses: they follow their request, whatever their size.
    pub fn new(
        transport: Transport,
        destination: SocketAddr,
        bytes: usize,
        path_mtu: Option<usize>,
        switch: SizeSwitch,
    ) -> Result<Self, TooLarge> {
        let multicast = destination.ip().is_multicast();
        let asked = Attempt {
            transport,
            destination,
            cause: Cause::Asked,
            // §18.1.1: "to a multicast address" a maddr is added, and for IPv4 a ttl of 1.
            maddr: multicast.then_some(destination.ip()),
            ttl: (multicast && destination.is_ipv4()).then_some(1),
        };
        let mut route = Self {
            first: asked,
            fallback: None,
            narrow: None,
        };
        if transport != Transport::Udp {
            return Ok(route);
        }
        let tcp = Attempt {
            transport: Transport::Tcp,
            cause: Cause::Size,
            ..asked
        };
        let fits_at_all = bytes <= MAX_DATAGRAM;
        // TCP has no multicast.
        if multicast || switch.fits(bytes, path_mtu) {
            route.narrow = Some(tcp).filter(|_| switch.enabled && !multicast);
            return if fits_at_all {
                Ok(route)
            } else {
                Err(TooLarge { bytes })
            };
        }
        let udp = Attempt {
            cause: Cause::TcpRefused,
            ..asked
        };
        (route.first, route.fallback) = (tcp, Some(udp).filter(|_| fits_at_all));
        Ok(route)
    }

    /// The way to try first.
    pub fn first(&self) -> Attempt {
        self.first
    }

    /// The way to try when the first one has ended so: UDP after all, where TCP was chosen for the
    /// size and the peer does not speak it; TCP, where the path turns out too narrow for a datagram
    /// (§18.1.1). Otherwise the destination has failed.
    pub fn after(&self, failure: SendFailure) -> Option<Attempt> {
        match failure {
            SendFailure::Reset | SendFailure::ProtocolUnreachable => self.fallback,
            SendFailure::TooBig => self.narrow,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(transport: Transport, bytes: usize, path_mtu: Option<usize>) -> RequestRoute {
        let destination = "192.0.2.1:5060".parse().unwrap();
        RequestRoute::new(
            transport,
            destination,
            bytes,
            path_mtu,
            SizeSwitch::default(),
        )
        .unwrap()
    }

    #[test]
    fn c1_a_long_request_goes_over_tcp() {
        let cases = [
            (1300, None, Transport::Udp),
            (1301, None, Transport::Tcp),
            (1300, Some(1500), Transport::Udp),
            (1301, Some(1500), Transport::Tcp),
            (8800, Some(9000), Transport::Udp),
            (8801, Some(9000), Transport::Tcp),
            (1080, Some(1280), Transport::Udp),
            (1081, Some(1280), Transport::Tcp),
            (1, Some(100), Transport::Tcp),
        ];
        for (bytes, path_mtu, expected) in cases {
            let first = route(Transport::Udp, bytes, path_mtu).first();
            assert_eq!(first.transport, expected, "{bytes} {path_mtu:?}");
            let switched = expected == Transport::Tcp;
            assert_eq!(first.cause == Cause::Size, switched, "{bytes} {path_mtu:?}");
        }
    }

    #[test]
    fn c1_only_udp_is_switched() {
        for transport in Transport::ALL.into_iter().filter(|one| one.is_reliable()) {
            let route = route(transport, 100_000, Some(1500));
            assert_eq!(route.first().transport, transport);
            assert_eq!(route.first().cause, Cause::Asked);
            assert_eq!(route.after(SendFailure::Reset), None, "{transport}");
        }
    }

    #[test]
    fn c2_a_peer_without_tcp_gets_it_over_udp() {
        let long = route(Transport::Udp, 2000, None);
        for failure in [SendFailure::Reset, SendFailure::ProtocolUnreachable] {
            let again = long.after(failure).unwrap();
            assert_eq!(
                (again.transport, again.cause),
                (Transport::Udp, Cause::TcpRefused)
            );
            assert_eq!(again.destination, long.first().destination);
        }
        let others = [
            SendFailure::TimedOut,
            SendFailure::Unreachable,
            SendFailure::Other,
        ];
        assert!(
            others
                .into_iter()
                .all(|failure| long.after(failure).is_none())
        );
        // One that was not switched has no second way, and one that fits no datagram neither.
        assert_eq!(
            route(Transport::Udp, 1300, None).after(SendFailure::Reset),
            None
        );
        assert!(
            route(Transport::Udp, 65_507, None)
                .after(SendFailure::Reset)
                .is_some()
        );
        assert_eq!(
            route(Transport::Udp, 65_508, None).after(SendFailure::Reset),
            None
        );
    }

    #[test]
    fn c4_a_multicast_destination_is_named_in_the_via() {
        let route = |to: &str, bytes| {
            let to = to.parse().unwrap();
            RequestRoute::new(Transport::Udp, to, bytes, None, SizeSwitch::default())
        };
        let first = route("224.0.1.75:5060", 5000).unwrap().first();
        assert_eq!(first.transport, Transport::Udp, "TCP has no multicast");
        assert_eq!(
            (first.maddr, first.ttl),
            (Some([224, 0, 1, 75].into()), Some(1))
        );
        let first = route("[ff02::1]:5060", 100).unwrap().first();
        assert_eq!(
            (first.maddr, first.ttl),
            (Some("ff02::1".parse().unwrap()), None)
        );
        let first = route("192.0.2.1:5060", 100).unwrap().first();
        assert_eq!((first.maddr, first.ttl), (None, None));
        assert_eq!(
            route("224.0.1.75:5060", 65_508),
            Err(TooLarge { bytes: 65_508 })
        );
    }

    #[test]
    fn c1_a_datagram_that_the_path_is_too_narrow_for_goes_over_tcp() {
        let again = route(Transport::Udp, 1300, None)
            .after(SendFailure::TooBig)
            .unwrap();
        assert_eq!(
            (again.transport, again.cause),
            (Transport::Tcp, Cause::Size)
        );
        assert_eq!(
            route(Transport::Udp, 1301, None).after(SendFailure::TooBig),
            None
        );
        assert_eq!(
            route(Transport::Tls, 1300, None).after(SendFailure::TooBig),
            None
        );
        let to = "224.0.1.75:5060".parse().unwrap();
        let multicast = RequestRoute::new(Transport::Udp, to, 9, None, SizeSwitch::default());
        assert_eq!(multicast.unwrap().after(SendFailure::TooBig), None);
    }

    #[test]
    fn the_switch_can_be_turned_off_up_to_the_longest_datagram() {
        let off = SizeSwitch {
            enabled: false,
            ..SizeSwitch::default()
        };
        let to = "192.0.2.1:5060".parse().unwrap();
        let route = |bytes| RequestRoute::new(Transport::Udp, to, bytes, Some(1500), off);
        let longest = route(65_507).unwrap();
        assert_eq!(longest.first().transport, Transport::Udp);
        assert_eq!(longest.after(SendFailure::TooBig), None);
        assert_eq!(route(65_508), Err(TooLarge { bytes: 65_508 }));
    }
}
