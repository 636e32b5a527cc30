//! One port, several protocols: which layers go with which transport.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Checker;
use super::kinds::differing;
use super::ranges::MILLISECOND;
use crate::config::units::format_duration;
use crate::config::{DemuxLayer, DemuxOptions, ListenerConfig, Transport};

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    let demux = &config.demux;
    let longest = Duration::from_hours(1);
    checker.time(
        "demux.deadline",
        Some(demux.deadline),
        MILLISECOND..=longest,
    );
    if checker.is_broken("transport") {
        return;
    }
    let transport = config.transport;
    let on = format!("on transport \"{}\"", transport.label());
    let given = differing(demux, &DemuxOptions::default());
    if !transport.has_choice() {
        checker.idle_section("demux", &given, &on);
        return;
    }
    if transport.has_datagrams() {
        let on = format!("{on}, whose datagrams come as a whole");
        checker.idle("demux", &given, &["deadline", "silent"], &on);
    }
    let mut seen = BTreeSet::new();
    for (index, layer) in demux.layers.iter().enumerate() {
        let key = format!("demux.layers[{index}]");
        let fits: &[Transport] = match layer {
            DemuxLayer::Tls => &[Transport::Tcp, Transport::Unix],
            DemuxLayer::Websocket => &[Transport::Tcp, Transport::Unix, Transport::Tls],
            DemuxLayer::Dtls => &[Transport::Udp],
        };
        let allowed = format!("is no layer {on}");
        checker.expect(fits.contains(&transport), &key, layer.label(), &allowed, "");
        let allowed = "is there twice";
        checker.expect(
            seen.insert(layer),
            &key,
            layer.label(),
            allowed,
            "Remove one.",
        );
    }
    if let Some(handshake) = config.timeouts.handshake
        && !transport.has_datagrams()
        && !given.is_empty()
        && demux.deadline >= handshake
    {
        let allowed = format!(
            "expected less than timeouts.handshake, {}",
            format_duration(handshake)
        );
        let advice = "Who says nothing would be refused before it can be anybody's.";
        let given = format_duration(demux.deadline);
        checker.problem("demux.deadline", Some(given), &allowed, advice);
    }
}
