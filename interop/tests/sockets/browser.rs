//! Chromium on a WSS listener: messages both ways, close codes, and an origin that is refused.

use std::fs;
use std::sync::mpsc::Sender;

use wharf::{BoxError, Listen, Messages, Refusal, Wss};
use wharf_interop::{Process, chromium};

use crate::pki::Authority;
use crate::served::{SOON, Seen, Served};

/// What the page says last, of all it has seen.
const REPORT: &str = "report ";
/// The reason that is given when the page asks to be closed.
const CLOSED: &str = "as you asked";

/// Runs in the page; STRICT and OPEN are URLs.
const SCRIPT: &str = r#"
const big = new Uint8Array(70000).map((_, at) => at % 251);
const same = data => data.byteLength === big.length
    && new Uint8Array(data).every((byte, at) => byte === big[at]);
const open = (url, protocols) => new Promise(done => {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    const got = { protocol: "", opened: false, messages: [] };
    socket.onopen = () => {
        got.opened = true;
        got.protocol = socket.protocol;
        socket.send("grüße");
        socket.send(big);
        socket.send(protocols.includes("kick") ? "kick me" : "close me");
    };
    socket.onmessage = ({ data }) =>
        got.messages.push(typeof data === "string" ? data : same(data) ? "big" : "garbled");
    socket.onclose = ({ code, reason, wasClean }) => done({ ...got, code, reason, wasClean });
});
(async () => {
    const report = {
        closed: await open("OPEN", ["news", "chat"]),
        kicked: await open("OPEN", ["kick"]),
        refused: await open("STRICT", ["chat"]),
    };
    const socket = new WebSocket("OPEN", ["chat"]);
    socket.onopen = () => socket.send("report " + JSON.stringify(report));
})();
"#;

async fn converse(mut messages: Messages, seen: Sender<Seen>) -> Result<(), BoxError> {
    while let Some(message) = messages.recv().await {
        let message = message?;
        match message.as_text() {
            Some("close me") => return Ok(messages.close(4321, CLOSED).await?),
            Some("kick me") => {
                messages.connection().close();
                return Ok(());
            }
            Some(text) if text.starts_with(REPORT) => {
                let _ = seen.send(Seen::of(messages.connection(), text));
                return Ok(());
            }
            _ => messages.send(message).await?,
        }
    }
    Ok(())
}

#[test]
fn chromium_speaks_wss() {
    let ca = Authority::new();
    let leaf = ca.issue("localhost");
    let listen = || -> Listen {
        Wss::bind("127.0.0.1:0")
            .cert(leaf.cert.as_path(), leaf.key.as_path())
            .with(|config| {
                config.websocket.subprotocols = vec!["chat".to_owned(), "kick".to_owned()];
            })
    };
    let strict = listen().with(|config| {
        config.websocket.origins = vec!["https://a.example".to_owned()];
    });
    let served = Served::start(|builder, seen| {
        let other = seen.clone();
        builder
            .listen_messages("it", listen(), move |messages| {
                converse(messages, seen.clone())
            })
            .listen_messages("strict", strict, move |messages| {
                converse(messages, other.clone())
            })
    });
    let url = |name: &str| {
        let address = served.handle.address(name).expect("a listener").ip();
        format!("wss://localhost:{}/", address.expect("an address").port())
    };
    let script = SCRIPT
        .replace("OPEN", &url("it"))
        .replace("STRICT", &url("strict"));
    let page = ca.path().join("page.html");
    fs::write(
        &page,
        format!("<meta charset=utf-8><script>{script}</script>"),
    )
    .expect("a file");
    let mut chromium = chromium(&ca.path().join("profile"));
    let browser = Process::spawn(chromium.arg(format!("file://{}", page.display())));
    let seen = served.seen_within(3 * SOON);
    let report = seen.unwrap_or_else(|| panic!("no report:\n{}", browser.output()));
    assert_eq!(report.tls().server_name.as_deref(), Some("localhost"));
    let report = report.said.trim_start_matches(REPORT);
    let report: serde_json::Value = serde_json::from_str(report).expect("JSON");
    let expected = serde_json::json!({
        "closed": {
            "opened": true, "protocol": "chat", "messages": ["grüße", "big"],
            "code": 4321, "reason": CLOSED, "wasClean": true,
        },
        "kicked": {
            "opened": true, "protocol": "kick", "messages": ["grüße", "big"],
            "code": 1001, "reason": "", "wasClean": true,
        },
        // What a browser tells a page of any failure (RFC 6455 section 7.1.5).
        "refused": {
            "opened": false, "protocol": "", "messages": [],
            "code": 1006, "reason": "", "wasClean": false,
        },
    });
    assert_eq!(report, expected);
    drop(browser);
    let strict = served.handle.inspect("strict").expect("a listener").stats;
    assert_eq!((strict.accepted, strict.refused(Refusal::Upgrade)), (0, 1));
    assert_eq!(served.finish().accepted, 3);
}
