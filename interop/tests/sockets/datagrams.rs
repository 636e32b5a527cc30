//! socat over UDP and over Unix datagrams, with flows and with single datagrams. Its UDP sockets are
//! connected: an answer from another address than the one that was asked does not reach it.

use tempfile::TempDir;
use wharf::{BoxError, Builder, Datagrams, Listen, Messages, Udp, Unixgram};
use wharf_interop::{Process, tool};

use crate::served::{SOON, Served};

/// Says `ahoy` to `address` by socat; the answers that come within a second of that.
fn socat(address: &str) -> String {
    let mut command = tool("socat");
    command.args(["-t", "1", "STDIO", address]);
    let client = Process::spawn_with_input(&command, b"ahoy\n").finish(SOON);
    client.output
}

pub(crate) async fn flow(mut messages: Messages) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        messages.send(message?).await?;
    }
    Ok(())
}

pub(crate) async fn single(mut datagrams: Datagrams) -> Result<(), BoxError> {
    while let Some(datagram) = datagrams.recv().await {
        datagrams.reply(&datagram, datagram.payload()).await?;
    }
    Ok(())
}

type Shape = fn(Builder, Listen) -> Builder;

const SHAPES: [Shape; 2] = [
    |builder, listen| builder.listen_messages("it", listen, flow),
    |builder, listen| builder.listen_datagrams("it", listen, single),
];

#[test]
fn udp_answers_come_from_the_address_that_was_asked() {
    for shape in SHAPES {
        let served = Served::start(|builder, _| shape(builder, Udp::bind("[::]:0")));
        let port = served.address().port();
        for place in [
            format!("UDP4:127.0.0.1:{port}"),
            format!("UDP4:127.0.0.9:{port}"),
            format!("UDP6:[::1]:{port}"),
        ] {
            assert_eq!(socat(&place), "ahoy\n", "{place}");
        }
        let stats = served.finish();
        assert_eq!((stats.datagrams_delivered, stats.datagrams_sent), (3, 3));
    }
}

#[test]
fn unix_peers_with_a_name_are_answered() {
    let directory = TempDir::new().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    for shape in SHAPES {
        let server = path("it.sock");
        let served = Served::start(|builder, _| shape(builder, Unixgram::bind(&server)));
        let place = format!("UNIX-SENDTO:{server},bind={}", path("client.sock"));
        assert_eq!(socat(&place), "ahoy\n");
        assert_eq!(served.finish().datagrams_delivered, 1);
    }
}
