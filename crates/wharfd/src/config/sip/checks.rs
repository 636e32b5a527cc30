//! What must be right of `[sip]` as a whole.

use super::super::Settings;
use super::super::section::Reader;
use crate::sip;
use wharf_sip_transport::edge::EdgeError;

pub(in super::super) fn check(settings: &Settings, reader: &mut Reader) {
    let sip = &settings.sip;
    if reader.faulty("sip") {
        return;
    }
    if !sip.is_on() {
        if *sip != nothing() {
            let reason =
                "nothing would use it; set sip.udp, sip.ws or another of its lists, or remove it";
            reader.problem("sip", reason);
        }
        return;
    }
    for (key, is_missing, example) in [
        ("sip.name", sip.name.is_none(), "\"edge.example.com\""),
        (
            "sip.upstream",
            sip.upstream.is_none(),
            "\"sip:203.0.113.10:5060\"",
        ),
    ] {
        if is_missing {
            reader.problem(key, format!("is missing; write {key} = {example}"));
        }
    }
    if sip.udp.is_empty() && sip.may_use_udp() {
        let reason = "no address, and the upstream may be reached over UDP; name one, or put \
                      ;transport=tcp or ;transport=tls behind sip.upstream";
        reader.problem("sip.udp", reason);
    }
    if !sip.is_named() && !sip.name_servers.is_empty() {
        let reason = "nothing would use it: sip.upstream has no name; remove it";
        reader.problem("sip.name-servers", reason);
    }
    let turn = settings.listen.udp.iter().chain(&settings.listen.dtls);
    for address in turn.filter(|address| sip.udp.contains(address)) {
        let reason = format!(
            "{address} is TURN's (listen.udp, listen.dtls); name another port (5060 is usual)"
        );
        reader.problem("sip.udp", reason);
    }
    let edge = sip::edge_options(sip).map(|options| options.check());
    if let Some(Err(error)) = edge {
        let key = match error {
            EdgeError::Unspecified => "sip.name",
            _ => "sip.upstream",
        };
        reader.problem(key, error.to_string());
    }
}

/// `[sip]` as it is without a word about it.
fn nothing() -> super::Sip {
    let mut reader = Reader::default();
    reader.document(&toml::Table::new(), super::read)
}
