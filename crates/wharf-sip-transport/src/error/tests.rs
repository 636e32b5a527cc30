use std::sync::Arc;
use std::time::Duration;

use wharf::ConnectError;
use wharf::client::Stage;
use wharf_sip::locate::Failure;
use wharf_sip::route::SendFailure;
use wharf_sip::{Transport, UriError};

use super::*;

fn to() -> Destination {
    Destination {
        transport: Transport::Tls,
        address: "192.0.2.1:5061".parse().unwrap(),
    }
}

fn dns(failure: Failure) -> SipError {
    let name = "example.com".parse().unwrap();
    LocateError::Dns { name, failure }.into()
}

fn dial(error: DialError) -> SipError {
    SipError::Dial { to: to(), error }
}

fn late(stage: Stage) -> SipError {
    let limit = Duration::from_secs(5);
    dial(DialError::Connect(Arc::new(ConnectError::Timeout {
        stage,
        limit,
    })))
}

fn server(failure: SendFailure) -> SipError {
    SipError::Server { to: to(), failure }
}

#[test]
fn errors_say_who_must_act() {
    let wrong_name = DialError::WrongName {
        expected: "example.com".to_owned(),
        shown: vec![],
    };
    // Recoverable, timeout, TLS, DNS, WebSocket, connection closed.
    let cases = [
        (LocateError::Uri(UriError::Scheme).into(), "......"),
        (LocateError::NoService.into(), "...d.."),
        (dns(Failure::NxDomain), "...d.."),
        (dns(Failure::ServFail), "r..d.."),
        (dns(Failure::Timeout), "rt.d.."),
        (dial(wrong_name), "..s..."),
        (dial(DialError::NoSubprotocol), "....w."),
        (dial(AttachError::Crowded.into()), "r....."),
        (late(Stage::Tls), "rts..."),
        (late(Stage::Upgrade), "rt..w."),
        (server(SendFailure::TimedOut), "rt...."),
        (server(SendFailure::Reset), "r....c"),
        (server(SendFailure::PortUnreachable), "r....."),
        (SipError::Unavailable { to: to() }, "r....."),
        (SendError::FlowGone.into(), "r....c"),
        (SendError::Full.into(), "r....."),
        (SendError::NoSocket.into(), "......"),
        (SendError::TooLarge(70_000).into(), "......"),
        (PoolError::Full.into(), "r....."),
        (SipError::Throttled(to()), "r....."),
        (EditError::NoVia.into(), "......"),
        (SipError::NotBegun, "......"),
    ];
    for (error, expected) in cases {
        let answers = [
            (error.is_recoverable(), 'r'),
            (error.is_timeout(), 't'),
            (error.is_tls(), 's'),
            (error.is_dns(), 'd'),
            (error.is_websocket(), 'w'),
            (error.is_connection_closed(), 'c'),
        ];
        let answers = answers.map(|(yes, letter)| if yes { letter } else { '.' });
        assert_eq!(answers.iter().collect::<String>(), expected, "{error}");
    }
}
