//! The names under which DNS knows the transports of SIP: NAPTR services and SRV labels.

use crate::Transport;

/// The services of NAPTR records (RFC 3263 §4.1, RFC 4168 §5, RFC 7118 §8.5). A service in `SIPS` is the
/// transport over TLS.
const SERVICES: [(&str, Transport); 7] = [
    ("SIP+D2U", Transport::Udp),
    ("SIP+D2T", Transport::Tcp),
    ("SIPS+D2T", Transport::Tls),
    ("SIP+D2S", Transport::Sctp),
    ("SIPS+D2S", Transport::TlsSctp),
    ("SIP+D2W", Transport::Ws),
    ("SIPS+D2W", Transport::Wss),
];

/// The labels of SRV records (RFC 3263 §4.2, RFC 4168 §5), the one to ask for first in front. Those of
/// WebSockets over TLS differ in practice: RFC 7118 registers no SRV label of its own.
const LABELS: [(Transport, &[&str]); 7] = [
    (Transport::Udp, &["_sip._udp"]),
    (Transport::Tcp, &["_sip._tcp"]),
    (Transport::Tls, &["_sips._tcp"]),
    (Transport::Sctp, &["_sip._sctp"]),
    (Transport::TlsSctp, &["_sips._sctp"]),
    (Transport::Ws, &["_sip._ws"]),
    (Transport::Wss, &["_sips._ws", "_sips._wss"]),
];

/// The transport that a NAPTR service stands for; none for a service that is not one of SIP's.
pub(super) fn transport_of(service: &str) -> Option<Transport> {
    let known = SERVICES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(service));
    known.map(|&(_, transport)| transport)
}

/// The labels to put before a domain to ask for this transport: each in its turn until one has
/// records.
pub(super) fn labels_of(transport: Transport) -> &'static [&'static str] {
    let known = LABELS.iter().find(|(of, _)| *of == transport);
    known.map_or(&[], |&(_, labels)| labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_has_a_service_and_labels() {
        for transport in Transport::ALL {
            assert!(
                SERVICES.iter().any(|&(_, of)| of == transport),
                "{transport}"
            );
            assert!(!labels_of(transport).is_empty(), "{transport}");
        }
        // What is asked of a sips URI is what leads to TLS.
        for (service, transport) in SERVICES {
            assert_eq!(
                service.starts_with("SIPS+"),
                transport.is_secure(),
                "{service}"
            );
        }
        for (transport, labels) in LABELS {
            let secure = labels.iter().all(|label| label.starts_with("_sips."));
            assert_eq!(secure, transport.is_secure(), "{transport}");
        }
    }

    #[test]
    fn services_are_known_in_any_case_and_nothing_else_is() {
        assert_eq!(transport_of("sips+d2t"), Some(Transport::Tls));
        for other in ["", "SIP", "SIP+D2X", "SIPS+D2U", "E2U+sip", "SIP+D2T+X"] {
            assert_eq!(transport_of(other), None, "{other}");
        }
    }
}
