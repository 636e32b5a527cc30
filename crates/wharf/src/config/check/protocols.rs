//! TLS, WebSocket and access rules.

use std::collections::BTreeSet;

use wharf_policy::access::{AccessRules, IdentityRules};

use super::Checker;
use super::kinds::{differing, reply_is_readable};
use crate::config::{ClientAuth, ListenerConfig, Pem, TlsOptions, WebSocketOptions};
use crate::tls::oid;

/// The longest protocol name (RFC 7301 §3.1).
const LONGEST_ALPN: usize = 255;
/// The longest DNS name in text (RFC 1035 §2.3.4).
const LONGEST_DNS_NAME: usize = 253;

pub(super) fn check(config: &ListenerConfig, checker: &mut Checker<'_>) {
    rules(config, checker);
    if checker.is_broken("transport") {
        return;
    }
    let transport = config.transport;
    let on = format!("on transport \"{}\"", transport.label());
    if config.is_secure() {
        tls(config, checker);
    } else {
        let given = differing(&config.tls, &TlsOptions::default());
        checker.idle_section("tls", &given, &on);
    }
    if config.is_websocket() {
        websocket(&config.websocket, checker);
    } else {
        let given = differing(&config.websocket, &WebSocketOptions::default());
        checker.idle_section("websocket", &given, &on);
    }
    if transport.is_secure() && transport.is_websocket() {
        // RFC 6455 §4.1: the upgrade is an HTTP/1.1 request.
        let alpn = &config.tls.alpn;
        checker.expect(
            alpn.is_empty() || alpn.iter().any(|name| name == "http/1.1"),
            "tls.alpn",
            format_args!("{alpn:?}"),
            "expected \"http/1.1\" among them, which WebSocket is spoken over",
            "",
        );
    }
    if !reply_is_readable(config) {
        let advice = "Use \"wait\", \"close\" or \"reset\".";
        checker.problem(
            "limits.on-full",
            Some("reply"),
            "is not where TLS or DTLS is spoken, whose peers could not read it",
            advice,
        );
    }
}

fn rules(config: &ListenerConfig, checker: &mut Checker<'_>) {
    let access = config.access.iter().map(|rule| rule.0).collect();
    if let Err(duplicate) = AccessRules::new(access) {
        checker.problem(
            "access",
            Some(&duplicate.rule),
            "is there twice",
            "Remove one.",
        );
    }
    let peers = config.unix.peers.iter().map(|rule| rule.0).collect();
    if let Err(duplicate) = IdentityRules::new(peers) {
        checker.problem(
            "unix.peers",
            Some(&duplicate.rule),
            "is there twice",
            "Remove one.",
        );
    }
}

fn tls(config: &ListenerConfig, checker: &mut Checker<'_>) {
    let tls = &config.tls;
    // A pre-shared key does instead.
    let by_key = config.speaks_dtls() && !config.dtls.psk.is_empty();
    if tls.certificates.is_empty() && !by_key {
        let advice = "For example [{ cert = \"/etc/app/cert.pem\", key = \"/etc/app/key.pem\" }].";
        checker.problem(
            "tls.certificates",
            None::<&str>,
            "expected at least one certificate",
            advice,
        );
    }
    let mut names = BTreeSet::new();
    for (index, certificate) in tls.certificates.iter().enumerate() {
        checker.pem(
            &format!("tls.certificates[{index}].cert"),
            &certificate.cert,
        );
        checker.pem(&format!("tls.certificates[{index}].key"), &certificate.key);
        for (n, name) in certificate.names.iter().enumerate() {
            let key = format!("tls.certificates[{index}].names[{n}]");
            let allowed = "expected a DNS name such as \"example.org\" or \"*.example.org\"";
            checker.expect(is_dns_pattern(name), &key, name, allowed, "");
            if !names.insert(name.to_ascii_lowercase()) {
                checker.problem(
                    &key,
                    Some(name),
                    "is there twice",
                    "One name has one certificate.",
                );
            }
        }
    }
    checker.distinct(
        "tls.alpn",
        &tls.alpn,
        |name| (1..=LONGEST_ALPN).contains(&name.len()),
        "expected a protocol name of 1 to 255 bytes",
    );
    if tls.client_auth != ClientAuth::Off && tls.client_ca.is_empty() {
        let allowed = "expected at least one authority, because tls.client-auth is not \"off\"";
        checker.problem(
            "tls.client-ca",
            None::<&str>,
            allowed,
            "For example [\"/etc/app/clients.pem\"].",
        );
    }
    if tls.client_auth == ClientAuth::Off
        && !tls.client_ca.is_empty()
        && !checker.is_broken("tls.client-auth")
    {
        let allowed = "has no effect while tls.client-auth is \"off\"";
        checker.problem(
            "tls.client-ca",
            None::<&str>,
            allowed,
            "Set tls.client-auth = \"required\" or \"optional\".",
        );
    }
    checker.distinct(
        "tls.client-purposes",
        &tls.client_purposes,
        |text| oid(text).is_some(),
        "expected an OID such as \"1.3.6.1.5.5.7.3.20\"",
    );
    if !tls.client_purposes.is_empty()
        && (tls.client_auth == ClientAuth::Off || config.speaks_dtls())
    {
        let allowed = "has no effect on DTLS, nor while tls.client-auth is \"off\"";
        checker.problem("tls.client-purposes", None::<&str>, allowed, "Remove it.");
    }
    for (index, authority) in tls.client_ca.iter().enumerate() {
        checker.pem(&format!("tls.client-ca[{index}]"), authority);
    }
}

fn websocket(websocket: &WebSocketOptions, checker: &mut Checker<'_>) {
    let list = &websocket.subprotocols;
    // RFC 6455 §4.1: each is a token of RFC 9110 §5.6.2.
    checker.distinct(
        "websocket.subprotocols",
        list,
        is_token,
        "expected a token of letters, digits and hyphens",
    );
    if websocket.subprotocol_required && list.is_empty() {
        let allowed = "needs websocket.subprotocols: without them every client would be refused";
        checker.problem("websocket.subprotocol-required", Some(true), allowed, "");
    }
    let is_path =
        |path: &str| path.starts_with('/') && !path.contains(['?', '#']) && is_visible(path);
    checker.distinct(
        "websocket.paths",
        &websocket.paths,
        is_path,
        "expected a path such as \"/chat\", without a query",
    );
    let is_host = |host: &str| is_visible(host) && !host.contains('/');
    checker.distinct(
        "websocket.hosts",
        &websocket.hosts,
        is_host,
        "expected a host such as \"example.org\" or \"example.org:8080\"",
    );
    let is_origin = |origin: &str| {
        // RFC 6454 §6.1: a scheme and a host, or "null"; never a path.
        let host = origin.split_once("://").map(|(_, host)| host);
        origin == "null" || host.is_some_and(is_host)
    };
    checker.distinct(
        "websocket.origins",
        &websocket.origins,
        is_origin,
        "expected an origin such as \"https://example.org\", without a path",
    );
}

impl Checker<'_> {
    /// Each value must be legal, and there once.
    fn distinct(
        &mut self,
        key: &str,
        values: &[String],
        legal: impl Fn(&str) -> bool,
        allowed: &str,
    ) {
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let key = format!("{key}[{index}]");
            self.expect(legal(value), &key, value, allowed, "");
            self.expect(
                seen.insert(value),
                &key,
                value,
                "is there twice",
                "Remove one.",
            );
        }
    }

    fn pem(&mut self, key: &str, pem: &Pem) {
        let filled = match pem {
            Pem::File(path) => !path.as_os_str().is_empty(),
            Pem::Inline { pem } => !pem.is_empty(),
        };
        self.expect(
            filled,
            key,
            "\"\"",
            "expected a file name, or { pem = \"-----BEGIN …\" }",
            "",
        );
    }
}

fn is_token(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(legal)
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())
}

fn is_dns_pattern(name: &str) -> bool {
    let label = |label: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(legal)
    };
    let rest = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= LONGEST_DNS_NAME && rest.split('.').all(label)
}
