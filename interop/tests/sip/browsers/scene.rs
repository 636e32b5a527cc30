//! Kamailio, a phone on sipp, and the phones of browsers before an edge that is somebody else's.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_interop::{Kamailio, PortBlock, Process, chromium, node_modules, tool};
use wharf_sip::Transport;

use crate::served::until;
use crate::sipp::{Sipp, is_bound};

/// How long a browser may take to start, or to call: on a machine with other work.
const BROWSER: Duration = Duration::from_mins(1);

/// The directory with the scripts.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");

/// All that is around an edge.
pub(super) struct Scene {
    pub(super) kamailio: Kamailio,
    /// Where the edge has its WebSockets.
    pub(super) ws: SocketAddr,
    /// Where it has its secure ones.
    pub(super) wss: SocketAddr,
    /// Whose certificates a phone believes.
    pub(super) ca: PathBuf,
}

impl Scene {
    fn url(&self, transport: Transport) -> String {
        match transport {
            Transport::Wss => format!("wss://{}", self.wss),
            _ => format!("ws://{}", self.ws),
        }
    }

    /// A phone in Node on `library` that does what this script of `interop/node` says.
    pub(super) fn node(
        &self,
        script: &str,
        library: &str,
        transport: Transport,
        peer: &str,
    ) -> Process {
        let mut node = tool("node");
        node.arg(format!("{SCRIPTS}/{script}"))
            .arg(node_modules())
            .args([library, &self.url(transport), "alice"])
            .arg(&self.ca)
            .arg(peer);
        Process::spawn(&node)
    }

    /// A phone in a page of Chromium over WSS, which has the conversation, and then calls another of the page,
    /// with sound and picture, by peer connections with the configuration `ice` (`interop/node/page.mjs`).
    /// What it says of that call.
    pub(super) fn browser(&self, ice: &Value) -> Value {
        let directory = TempDir::new().expect("a directory");
        let page = directory.path().join("page.html");
        let browser = self.converse(|peer| {
            let text = format!(
                "<meta charset=utf-8><script type=module>\
                 import * as SIP from \"file://{}/sip.js/lib/index.js\";\
                 import {{ run }} from \"file://{SCRIPTS}/page.mjs\";\
                 run(SIP, \"{}\", \"{peer}\", {ice});</script>",
                node_modules().display(),
                self.url(Transport::Wss)
            );
            fs::write(&page, text).expect("a file");
            let mut chromium = chromium(&directory.path().join("profile"));
            chromium
                .args([
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                    "--allow-file-access-from-files",
                    "--enable-logging=stderr",
                ])
                .arg(format!("file://{}", page.display()));
            Process::spawn(&chromium)
        });
        report(&browser, "media")
    }

    /// The conversation of `interop/node/conversation.mjs`, seen from both sides and from the edge.
    pub(super) fn converse(&self, start: impl FnOnce(&str) -> Process) -> Process {
        let mut ports = PortBlock::claim();
        let port = ports.pair();
        let asked = Sipp::asked(port, 6);
        until("phone", || is_bound(Transport::Udp, port));
        let phone = start(&format!("sip:phone@127.0.0.1:{port}"));
        phone.wait_for_line(BROWSER, |line| line.contains("to be called"));
        Sipp::asking("alice", self.kamailio.address()).finish(1);
        asked.finish(6);
        let expected = json!({
            "asked": { "OPTIONS": 200, "MESSAGE": 200 },
            "heard": ["grüße"],
            "calling": {
                "we hang up": "ended here", "you hang up": "ended there", "be busy": 486, "ring": 487,
            },
            "called": {
                "we hang up": "ended there", "you hang up": "ended here", "be busy": "refused",
                "ring": "cancelled",
            },
        });
        assert_eq!(report(&phone, "seen"), expected);
        phone
    }
}

/// What a phone has to say after `word`: JSON, which Chromium's console puts into quotes and its source
/// behind.
#[track_caller]
fn report(phone: &Process, word: &str) -> Value {
    let line = phone.wait_for_line(BROWSER, |line| line.contains(&format!("{word} {{")));
    let (from, to) = (line.find('{'), line.rfind('}'));
    let (from, to) = from.zip(to).expect("JSON has braces");
    serde_json::from_str(&line[from..=to]).expect("JSON")
}
