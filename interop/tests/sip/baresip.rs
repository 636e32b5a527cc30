//! baresip: a phone that registers, and keeps its flow alive, over UDP, TCP and TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use wharf_interop::{Kamailio, Process, tool};
use wharf_sip::Transport;

use crate::forwarder::Forwarder;
use crate::pki::Authority;
use crate::responder::Responder;
use crate::served::{SOON, Served, until_within};

/// A running phone, ended when dropped.
pub(crate) struct Baresip {
    process: Process,
    _directory: TempDir,
}

impl Baresip {
    /// Registers `alice` at `to` as RFC 5626 has it; over TLS it believes the certificates of `ca`.
    pub(crate) fn start(to: SocketAddr, transport: &str, ca: &Path) -> Self {
        let directory = TempDir::new().expect("a directory");
        let write = |name: &str, text: String| {
            fs::write(directory.path().join(name), text).expect("a file");
        };
        let ca = ca.display();
        write(
            "config",
            format!(
                "module_path /usr/lib/baresip/modules\nmodule uuid.so\nmodule account.so\n\
                 sip_listen 127.0.0.1:0\nsip_cafile {ca}\nsip_verify_server yes\n"
            ),
        );
        write(
            "accounts",
            format!(
                "<sip:alice@{to};transport={transport}>;auth_pass=none;regint=60;sipnat=outbound;\
                 outbound=\"sip:{to};transport={transport}\"\n"
            ),
        );
        write("uuid", "2f1e8f3c-5a3d-4c39-8f53-3b1c4ed1a0aa".to_owned());
        write("contacts", String::new());
        let mut command = tool("baresip");
        command.args(["-4", "-s", "-v", "-f"]).arg(directory.path());
        Self {
            process: Process::spawn(&command),
            _directory: directory,
        }
    }

    #[track_caller]
    pub(crate) fn is_registered(&self) {
        self.says("200 OK");
    }

    /// Waits for a line with this text: among others, it traces each message.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        self.process.wait_for_line(SOON, |line| line.contains(text));
    }
}

/// RFC 5626 §3.5: CRLFs on a connection, STUN on UDP. A phone whose keep-alive is not answered registers anew
/// (§4.4.1).
#[test]
fn baresip_registers_and_its_keep_alives_are_answered() {
    // Whatever it is told, it lets 16 to 20 seconds pass before a ping.
    const PINGS: Duration = Duration::from_secs(25);
    let ca = Authority::new();
    let registered = [Transport::Udp, Transport::Tcp, Transport::Tls].map(|transport| {
        let (responder, record) = Responder::new();
        let served = Served::all(responder, &ca.issue("127.0.0.1"));
        let name = transport.name().to_ascii_lowercase();
        let phone = Baresip::start(served.address(&name), &name, &ca.file());
        phone.is_registered();
        let seen = record.next();
        assert_eq!(
            (seen.method.as_str(), seen.transport),
            ("REGISTER", transport)
        );
        (served, record, phone)
    });
    for ((served, record, phone), of_connections) in registered.iter().zip([false, true, true]) {
        until_within(PINGS, "keep-alive", || {
            let stats = served.sip.stats();
            let answered = if of_connections {
                stats.pings
            } else {
                stats.stun
            };
            answered > 0
        });
        assert!(record.so_far().is_empty(), "{}", phone.process.output());
    }
}

#[test]
fn baresip_registers_at_kamailio_through_a_forwarder() {
    let ca = Authority::new();
    let kamailio = Kamailio::start();
    for (onward, name) in [
        (Transport::Tcp, "udp"),
        (Transport::Udp, "tcp"),
        (Transport::Ws, "tls"),
    ] {
        let forwarder = Forwarder::new();
        let served = Served::all(forwarder.clone(), &ca.issue("127.0.0.1"));
        let flow = served.dial(onward, kamailio.address(), None, &ca.file());
        forwarder.lead(&served, flow);
        Baresip::start(served.address(name), name, &ca.file()).is_registered();
    }
}
