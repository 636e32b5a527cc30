//! DTLS: its ranges, and what of a listener has no effect on it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Checker;
use super::kinds::differing;
use crate::config::{DtlsOptions, ListenerConfig, Psk, TlsVersion, Transport};

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    ranges(&config.dtls, checker);
    if checker.is_broken("transport") {
        return;
    }
    if !config.speaks_dtls() {
        let on = format!("on transport \"{}\"", config.transport.label());
        let given = differing(&config.dtls, &DtlsOptions::default());
        checker.idle_section("dtls", &given, &on);
        return;
    }
    if !cfg!(feature = "dtls") {
        let advice = "Build it with the feature \"dtls\".";
        let key = if config.transport == Transport::Dtls {
            "transport"
        } else {
            "demux.layers"
        };
        checker.problem(key, Some("dtls"), "is not built in", advice);
    }
    if config.tls.min_version != TlsVersion::V1_2 {
        let allowed = "expected \"1.2\": there is no DTLS 1.3 here";
        checker.problem("tls.min-version", Some("1.3"), allowed, "Remove it.");
    }
    if config.datagrams.flow_key.is_some() {
        let allowed = "is not for DTLS, whose sessions belong to the address that was proven";
        checker.problem("datagrams.flow-key", None::<&str>, allowed, "Remove it.");
    }
}

pub(super) fn ranges(dtls: &DtlsOptions, checker: &mut Checker<'_>) {
    checker.range("dtls.mtu", dtls.mtu, 256..=16_384);
    let lifetimes = Duration::from_secs(1)..=Duration::from_hours(1);
    checker.time(
        "dtls.cookie-lifetime",
        Some(dtls.cookie_lifetime),
        lifetimes,
    );
    let mut identities = BTreeSet::new();
    for (index, psk) in dtls.psk.iter().enumerate() {
        let key = format!("dtls.psk[{index}].identity");
        let Psk { identity, .. } = psk;
        checker.expect(
            (1..=127).contains(&identity.len()) && !identity.contains('\0'),
            &key,
            identity,
            "expected 1 to 127 bytes, none of them zero",
            "",
        );
        if !identities.insert(identity) {
            let advice = "One identity has one key.";
            checker.problem(&key, Some(identity), "is there twice", advice);
        }
        if !psk.bytes().is_some_and(|key| (1..=64).contains(&key.len())) {
            checker.problem(
                &format!("dtls.psk[{index}].key"),
                None::<&str>,
                "expected 1 to 64 bytes in hexadecimal",
                "`openssl rand -hex 32` makes one.",
            );
        }
    }
}
