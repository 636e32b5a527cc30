//! A user agent server with a task of its own, which answers later: sipp calls it over UDP and TCP.

use bytes::Bytes;
use wharf_sip::{Editor, Priority, Reply};
use wharf_sip_transport::Sip;
use wharf_sip_transport::events::{Arrival, Arrivals, Message, lanes};

use crate::served::Served;
use crate::sipp::Sipp;

/// Messages that may wait for the task: fewer than there are calls at a time. Of the others, datagrams come
/// again, and connections are not read.
const LANE: usize = 16;

/// Answers each request over the flow that it came on.
async fn serve(sip: Sip, mut arrivals: Arrivals) {
    let mut editor = Editor::default();
    while let Some(arrival) = arrivals.recv().await {
        let Arrival::Message(message) = arrival else {
            continue;
        };
        let Message {
            bytes, scan, flow, ..
        } = &*message;
        let contact = format!("<sip:{}>", flow.flow.local);
        let reply = Reply {
            code: 200,
            reason: "OK",
            tag: "later",
            source: Some(message.source),
            fields: &[("Contact", &contact)],
        };
        let mut answer = Vec::new();
        let mut edit = editor.edit(bytes, scan);
        // An ACK has no answer.
        if edit
            .respond(&reply)
            .and_then(|edit| edit.write(&mut answer))
            .is_ok()
        {
            let sent = sip.send(flow, Bytes::from(answer), Priority::High);
            sent.expect("a flow with room");
        }
    }
}

#[test]
fn calls_are_answered_by_a_task_of_its_own() {
    for (listener, mode) in [("udp", "u1"), ("tcp", "tn")] {
        let (upper, arrivals) = lanes(LANE);
        let served = Served::plain(upper);
        let task = serve(served.sip.clone(), arrivals);
        served.runtime.spawn(task);
        Sipp::caller(served.address(listener), mode, 1_000).finish(1_000);
    }
}
