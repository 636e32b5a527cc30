//! What the top Via of a request says of the way that it goes.

use bytes::Bytes;
use wharf_sip::route::Attempt;
use wharf_sip::{EditError, Editor, Limits, Scan, ScanError, Transport, Via};

use super::ManagerOptions;

/// The largest bounds: the message is this element's own.
pub(super) fn scan(message: &[u8]) -> Result<Scan, ScanError> {
    let limits = Limits {
        head: u32::MAX,
        line: u32::MAX,
        fields: u16::MAX,
        ..Limits::default()
    };
    Scan::of(message, &limits)
}

/// The request as it goes over this way (RFC 3261 §18.1.1): the top Via names its transport and, where
/// they are known, this element's sent-by on it (C3) and a multicast destination (C4), and an alias that is offered (RFC 5923 §8); a stream gets the
/// Content-Length that it needs (§18.3). No other byte changes.
pub(super) fn dress(
    message: &Bytes,
    scan: &Scan,
    transport: Transport,
    multicast: Option<&Attempt>,
    options: &ManagerOptions,
) -> Result<Bytes, EditError> {
    let via = scan.via.ok_or(EditError::NoVia)?;
    let via = Via::parse(via.top.of(message))?;
    let mut editor = Editor::default();
    let mut edit = editor.edit(message, scan);
    if via.transport() != Some(transport) {
        edit.set_via_transport(transport)?;
    }
    let sent_by = options.sent_by.get(&transport);
    if let Some(sent_by) = sent_by.filter(|sent_by| !sent_by.wrote(&via)) {
        edit.set_via_sent_by(sent_by)?;
    }
    if options.offer_alias && transport == Transport::Tls && !via.has_alias() {
        edit.add_via_parameters("alias")?;
    }
    if let Some(ip) = multicast.and_then(|attempt| attempt.maddr) {
        let ttl = multicast.and_then(|attempt| attempt.ttl);
        let ttl = ttl.map_or_else(String::new, |ttl| format!(";ttl={ttl}"));
        // RFC 3261 §25.1 `via-maddr`: an address of IPv6 stands in brackets.
        let host = wharf_sip::Host::Ip(ip);
        edit.add_via_parameters(&format!("maddr={host}{ttl}"))?;
    }
    if transport.is_reliable() {
        edit.ensure_content_length()?;
    }
    let mut dressed = Vec::with_capacity(message.len() + 64);
    edit.write(&mut dressed)?;
    Ok(dressed.into())
}
