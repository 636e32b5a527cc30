//! The messages of RFC 4475 §3 as other programs would send them: what of them arrives above, what is answered
//! and what ends the connection. The table with the reason of each verdict is that of the crate `wharf-sip`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use wharf_sip_transport::{CloseReason, Event, Incoming, Outgoing, Taken, Upper};

use crate::served::{SOON, Served};

/// A message that no file has: when it has arrived, what was sent before it has too.
const LAST: &[u8] =
    b"OPTIONS sip:last SIP/2.0\r\nVia: SIP/2.0/UDP last.example;branch=z9hG4bK1\r\n\r\n";

/// What the layer above is told.
#[derive(Debug, PartialEq)]
enum Told {
    Message(Vec<u8>),
    Closed(CloseReason),
}

/// Answers nothing, and tells the test all.
struct Recorder(Mutex<Sender<Told>>);

impl Recorder {
    fn new() -> (Self, Receiver<Told>) {
        let (sender, receiver) = mpsc::channel();
        (Self(Mutex::new(sender)), receiver)
    }

    fn tell(&self, told: Told) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The test may have seen enough and be over.
        let _ = sender.send(told);
    }
}

impl Upper for Recorder {
    fn message(&self, incoming: &Incoming<'_>, _out: &mut Outgoing<'_>) -> Taken {
        self.tell(Told::Message(incoming.message.to_vec()));
        Taken::Yes
    }

    fn event(&self, event: Event) {
        if let Event::Closed(_, reason) = event {
            self.tell(Told::Closed(reason));
        }
    }
}

/// What is told, up to the one that `is_last`; without it.
fn told(receiver: &Receiver<Told>, is_last: impl Fn(&Told) -> bool) -> (Vec<Vec<u8>>, Told) {
    let mut messages = Vec::new();
    loop {
        let told = receiver.recv_timeout(SOON).expect("to be told");
        if is_last(&told) {
            return (messages, told);
        }
        match told {
            Told::Message(message) => messages.push(message),
            Told::Closed(_) => panic!("{told:?}"),
        }
    }
}

/// The messages by their names.
fn files() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wharf-sip/tests/rfc4475");
    let files = fs::read_dir(folder).expect("the messages");
    let files: BTreeMap<_, _> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("a message"))
        })
        .collect();
    assert_eq!(files.len(), 49);
    files
}

#[test]
fn each_message_gets_its_verdict_as_a_datagram() {
    let (recorder, receiver) = Recorder::new();
    let served = Served::plain(recorder);
    // Not the address of others' ports of SIP, where the answers go.
    let client = UdpSocket::bind("127.0.0.77:0").expect("a socket");
    client.connect(served.address("udp")).expect("a route");
    let mut refused = 0;
    for (name, bytes) in files() {
        client.send(&bytes).expect("sent");
        client.send(LAST).expect("sent");
        let (messages, _) = told(&receiver, |told| *told == Told::Message(LAST.to_vec()));
        // RFC 4475 §3.1.1.8: what is behind the first message is not looked at.
        let whole = if name == "dblreq" {
            &bytes[..300]
        } else {
            &bytes[..]
        };
        match name.as_str() {
            "clerr" | "ncl" | "mcl01" | "baddn" | "bigcode" => {
                assert!(messages.is_empty(), "{name}: {messages:?}");
                refused += 1;
            }
            _ => assert_eq!(messages, [whole], "{name}"),
        }
    }
    let stats = served.sip.stats();
    assert_eq!(stats.refused_head + stats.refused_length, refused);
    // RFC 3261 §18.3: 400 where a request's length is not true; the other two have no head. It goes to the port
    // of sent-by (§18.2.2), which is nobody's.
    assert_eq!(stats.sent, 3);
}

#[test]
fn each_message_gets_its_verdict_on_a_stream() {
    let (recorder, receiver) = Recorder::new();
    let served = Served::plain(recorder);
    for (name, bytes) in files() {
        let answer = talk(served.address("tcp"), &bytes);
        let (messages, end) = told(&receiver, |told| matches!(told, Told::Closed(_)));
        let (count, reason) = match name.as_str() {
            // Five bytes are left over, and are no message.
            "dblreq" => (2, CloseReason::Protocol),
            "clerr" | "baddn" => (0, CloseReason::Incomplete),
            "ncl" | "mcl01" | "inv2543" | "bigcode" => (0, CloseReason::Protocol),
            _ => (1, CloseReason::Peer),
        };
        assert_eq!(
            (messages.len(), end),
            (count, Told::Closed(reason)),
            "{name}"
        );
        for message in messages {
            let stands = bytes.windows(message.len()).any(|part| part == message);
            assert!(stands, "{name}: other bytes");
        }
        let status: &[u8] = match name.as_str() {
            "ncl" | "mcl01" | "inv2543" => b"SIP/2.0 400 ",
            _ => b"",
        };
        assert!(answer.starts_with(status), "{name}: {answer:?}");
        assert_eq!(answer.is_empty(), status.is_empty(), "{name}: {answer:?}");
    }
}

/// What a client hears that sends these bytes and no more.
fn talk(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(to).expect("a connection");
    client.set_read_timeout(Some(SOON)).expect("a timeout");
    client.write_all(bytes).expect("room");
    client.shutdown(Shutdown::Write).expect("a connection");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an orderly end");
    answer
}
