//! sipsak: an OPTIONS over UDP and TCP, with all that it checks of an answer.

use wharf_interop::{Process, tool};
use wharf_sip::Transport;

use crate::responder::Responder;
use crate::served::{SOON, Served};

#[test]
fn an_options_over_udp_and_tcp_is_answered() {
    for (listener, transport) in [("udp", Transport::Udp), ("tcp", Transport::Tcp)] {
        let (responder, record) = Responder::new();
        let served = Served::plain(responder);
        let mut command = tool("sipsak");
        let target = format!("sip:ping@{}", served.address(listener));
        command.args(["-vvv", "--transport", listener, "-s", &target]);
        let finished = Process::spawn(&command).finish(SOON);
        assert!(finished.status.success(), "{}", finished.output);
        assert!(
            finished.output.contains("SIP/2.0 200 OK"),
            "{}",
            finished.output
        );
        let seen = record.next();
        assert_eq!(
            (seen.method.as_str(), seen.transport),
            ("OPTIONS", transport)
        );
    }
}
