//! Why a connection was not opened.

use std::io;
use std::sync::Arc;

use wharf::ConnectError;
use wharf::client::{AttemptError, Stage};
use wharf::tls::HandshakeError as TlsError;
use wharf::websocket::client::HandshakeError as UpgradeError;
use wharf_sip::route::SendFailure;
use wharf_sip::{Domain, Transport};

use crate::AttachError;

/// Why a connection was not opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No connections are opened over this transport: UDP has none, and SCTP (RFC 4168) is not made.
    #[error("no connections are opened over {0}")]
    NotSupported(Transport),
    /// There is no certificate for this domain of ours in [`DialOptions::identities`](crate::DialOptions).
    #[error("no certificate to show on behalf of {0}")]
    NoIdentity(Domain),
    /// The address was not reached, or a handshake failed.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// The certificate of the server cannot be read.
    #[error("the certificate of the server cannot be read")]
    Unidentified,
    /// The certificate of the server is good, and for others (RFC 5922 §7.3).
    #[error("the server has not proven to be {expected}")]
    WrongName {
        /// The domain or address that it should have proven.
        expected: String,
        /// The domains that it has proven.
        shown: Vec<Domain>,
    },
    /// The server has not agreed to the subprotocol `sip` (RFC 7118 §4).
    #[error("the WebSocket server does not speak SIP")]
    NoSubprotocol,
    /// The layer has not taken the connection.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

impl From<ConnectError> for DialError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Arc::new(error))
    }
}

impl DialError {
    /// What it means for a request that was to go over the connection: whether UDP is worth a try in place of
    /// TCP (RFC 3261 §18.1.1), and what is reported (§18.4).
    pub fn failure(&self) -> SendFailure {
        match self {
            Self::Connect(error) => of_connect(error),
            _ => SendFailure::Other,
        }
    }

    /// Whether the address has failed, for whomever it is asked. What is a matter of this element is not, such
    /// as too many connections; and neither is a certificate, which may be good for another domain.
    pub(crate) fn is_of_the_address(&self) -> bool {
        self.failure() != SendFailure::Other || matches!(self, Self::NoSubprotocol)
    }

    /// Whether the connection timed out: while it was made, or in a handshake.
    pub fn is_timeout(&self) -> bool {
        self.failure() == SendFailure::TimedOut
    }

    /// Whether it is a matter of TLS: a handshake or a certificate.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Unidentified | Self::WrongName { .. } | Self::NoIdentity(_) => true,
            Self::Connect(error) => matches!(
                **error,
                ConnectError::Tls { .. }
                    | ConnectError::TlsOptions(_)
                    | ConnectError::Timeout {
                        stage: Stage::Tls,
                        ..
                    }
            ),
            _ => false,
        }
    }

    /// Whether it is a matter of the WebSocket's upgrade.
    pub fn is_websocket(&self) -> bool {
        match self {
            Self::NoSubprotocol => true,
            Self::Connect(error) => matches!(
                **error,
                ConnectError::Upgrade(_)
                    | ConnectError::Timeout {
                        stage: Stage::Upgrade,
                        ..
                    }
            ),
            _ => false,
        }
    }

    /// Whether the same attempt may succeed later on. A certificate that is refused stays what it is
    /// (RFC 5922 §7.3), and so do options.
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Attach(AttachError::Crowded) => true,
            Self::Connect(error) => match &**error {
                ConnectError::Url(_) | ConnectError::Draining | ConnectError::TlsOptions(_) => {
                    false
                }
                ConnectError::Tls { source, .. } => {
                    matches!(source, TlsError::Closed | TlsError::Io(_))
                }
                _ => true,
            },
            _ => false,
        }
    }
}

fn of_connect(error: &ConnectError) -> SendFailure {
    match error {
        ConnectError::Unreachable { attempts, .. } => match attempts.last().map(|one| &one.error) {
            Some(AttemptError::Timeout(_)) => SendFailure::TimedOut,
            Some(AttemptError::Io(error)) => of_io(error),
            _ => SendFailure::Other,
        },
        ConnectError::Timeout { .. } => SendFailure::TimedOut,
        ConnectError::Io(error)
        | ConnectError::Proxy(error)
        | ConnectError::Tls {
            source: TlsError::Io(error),
            ..
        }
        | ConnectError::Upgrade(UpgradeError::Io(error)) => of_io(error),
        _ => SendFailure::Other,
    }
}

/// What the kernel says of a connection, and of the ICMP messages that have ended it (RFC 1122 §4.2.3.9).
fn of_io(error: &io::Error) -> SendFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => SendFailure::Reset,
        io::ErrorKind::TimedOut => SendFailure::TimedOut,
        // EACCES and EPERM: a firewall of this host forbids the traffic.
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::PermissionDenied => SendFailure::Unreachable,
        // ICMP type 3 code 2.
        _ if error.raw_os_error() == Some(libc::ENOPROTOOPT) => SendFailure::ProtocolUnreachable,
        _ => SendFailure::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wharf::Endpoint;
    use wharf::client::Attempt;

    use super::*;

    fn unreachable(error: AttemptError) -> DialError {
        let address = Endpoint::Unix(None);
        DialError::from(ConnectError::Unreachable {
            target: "h".into(),
            attempts: vec![Attempt { address, error }],
        })
    }

    #[test]
    fn c2_e3_what_the_kernel_says_has_its_meaning() {
        for (code, expected) in [
            (libc::ECONNREFUSED, SendFailure::Reset),
            (libc::ECONNRESET, SendFailure::Reset),
            (libc::ENOPROTOOPT, SendFailure::ProtocolUnreachable),
            (libc::EHOSTUNREACH, SendFailure::Unreachable),
            (libc::ENETUNREACH, SendFailure::Unreachable),
            (libc::EPERM, SendFailure::Unreachable),
            (libc::ETIMEDOUT, SendFailure::TimedOut),
            (libc::EMFILE, SendFailure::Other),
        ] {
            let error = unreachable(AttemptError::Io(io::Error::from_raw_os_error(code)));
            assert_eq!(error.failure(), expected, "{error}");
            assert!(error.is_recoverable());
        }
        let error = unreachable(AttemptError::Timeout(Duration::from_secs(1)));
        assert!(error.is_timeout());
    }

    #[test]
    fn a_certificate_failure_is_not_recoverable() {
        let expected = "example.com".into();
        let shown = Vec::new();
        let error = DialError::WrongName { expected, shown };
        assert!(error.is_tls() && !error.is_recoverable());
        assert_eq!(error.failure(), SendFailure::Other);
        assert!(DialError::NoSubprotocol.is_websocket());
    }
}
