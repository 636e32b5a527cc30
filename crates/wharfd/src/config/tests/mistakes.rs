use super::LEAST;
use crate::config::*;

/// The problems of the least configuration with `more` below it.
fn problems(more: &str) -> Vec<String> {
    complete(&format!("{LEAST}\n{more}"))
}

fn complete(text: &str) -> Vec<String> {
    let problems = Settings::parse(text).expect_err("this configuration is wrong");
    problems.0.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn one(more: &str, expected: &str) {
    let found = problems(more);
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{found:#?}"
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = complete(
        "realm = 'x'
        [server]
        relam = 'x'
        realm = 7
        [listen]
        udp = ['nowhere', '127.0.0.1:0', '127.0.0.1:3478']
        [relay]
        ports = '60000-50000'
        [auth]
        secrets = []
        [allocations]
        per_user = 3",
    );
    assert_eq!(
        found,
        [
            "listen.udp[0] = \"nowhere\": expected an IP address with a port such as \
             \"203.0.113.5:3478\" or \"[2001:db8::1]:3478\"",
            "listen.udp[1] = \"127.0.0.1:0\": port 0 is one that no client knows; name a port \
             (3478 is usual)",
            "server.realm = 7: expected a string, not an integer",
            "relay.ports = \"60000-50000\": the range is empty; write the lower port first",
            "auth: nobody could allocate; set auth.users or auth.secrets",
            "server.relam: unknown key; did you mean `server.realm`?",
            "allocations.per_user: unknown key; did you mean `allocations.per-user`?",
            "realm: unknown key; did you mean `server.realm`?",
        ]
    );
}

#[test]
fn a_syntax_error_names_the_line() {
    assert_eq!(complete("[listen]\nudp = [\n\n[auth").len(), 1);
    assert!(complete("[listen]\nudp = 5 5\n")[0].starts_with("configuration:2: "));
}

#[test]
fn an_empty_file_says_what_is_missing() {
    let found = complete("");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("listen.udp: "));
    assert!(found[1].starts_with("auth: "));
}

#[test]
fn a_value_in_place_of_a_section_is_refused() {
    one(
        "[limits]\nipv4-prefix = 0",
        "limits.ipv4-prefix = 0: expected an integer from 1 to 32",
    );
    assert!(complete(&format!("peers = 3\n{LEAST}"))[0].contains("expected a table `[peers]`"));
}

#[test]
fn no_secret_is_repeated() {
    let found = complete(
        "[listen]
        udp = ['127.0.0.1:3478']
        [auth]
        users = { alice = 20302, bob = { key-md5 = '20302' }, carol = { key = '20302' } }
        secrets = [20302, '']
        fleet-key = '20302'",
    );
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(!found.concat().contains("20302"), "{found:#?}");
}

#[test]
fn settings_do_not_show_secrets() {
    let settings = Settings::parse(&format!(
        "{LEAST}\nsecrets = ['wonderland']\nfleet-key = '{}='",
        "AQEB".repeat(10) + "AQE"
    ));
    let shown = format!("{:?}", settings.unwrap());
    assert!(
        !shown.contains("wonderland") && !shown.contains("1, 1"),
        "{shown}"
    );
}

#[test]
fn duplicate_addresses_are_refused() {
    let found = complete(
        "[listen]
        udp = ['127.0.0.1:3478', '127.0.0.1:3478']
        [relay]
        addresses = ['192.0.2.1', { bind = '192.0.2.1', advertise = '192.0.2.2' }]
        [auth]
        users = { alice = 'wonderland' }",
    );
    assert_eq!(
        found,
        [
            "listen.udp: 127.0.0.1:3478 is listed twice; remove one",
            "relay.addresses: 192.0.2.1 is listed twice; remove one",
        ]
    );
}

#[test]
fn a_wildcard_and_an_address_that_it_covers_are_not_both_listened_on() {
    let listening = |addresses: &str| {
        let text = LEAST.replace("'127.0.0.1:3478'", addresses);
        Settings::parse(&format!("{text}[relay]\naddresses = ['192.0.2.1']"))
    };
    for (wrong, expected) in [
        (
            "'0.0.0.0:3478', '192.0.2.1:3478'",
            "listen.udp: 192.0.2.1:3478 is part of 0.0.0.0:3478; remove one",
        ),
        (
            "'[2001:db8::1]:3478', '[::]:3478'",
            "listen.udp: [2001:db8::1]:3478 is part of [::]:3478; remove one",
        ),
    ] {
        assert_eq!(listening(wrong).unwrap_err().to_string(), expected);
    }
    for fine in [
        "'0.0.0.0:3478', '192.0.2.1:3479'",
        "'0.0.0.0:3478', '[::]:3478'",
        "'0.0.0.0:3478', '[2001:db8::1]:3478'",
    ] {
        assert!(listening(fine).is_ok(), "{fine}");
    }
}

#[test]
fn a_listener_is_no_mapped_or_group_address() {
    for (wrong, expected) in [
        (
            "[::ffff:192.0.2.1]:3478",
            "is an IPv4-mapped address; write \"192.0.2.1:3478\"",
        ),
        ("224.0.0.1:3478", "not a multicast or broadcast address"),
        ("[ff02::1]:3478", "not a multicast or broadcast address"),
        (
            "255.255.255.255:3478",
            "not a multicast or broadcast address",
        ),
    ] {
        let found = complete(&LEAST.replace("127.0.0.1:3478", wrong));
        let at = format!("listen.udp[0] = \"{wrong}\": ");
        assert!(
            found.len() == 1 && found[0].starts_with(&at) && found[0].ends_with(expected),
            "{found:#?}"
        );
    }
}

#[test]
fn a_wildcard_listener_needs_relay_addresses() {
    let wildcard = LEAST.replace("127.0.0.1", "0.0.0.0");
    assert!(complete(&wildcard)[0].starts_with("relay.addresses: "));
    assert!(Settings::parse(&format!("{wildcard}[relay]\naddresses = ['192.0.2.1']")).is_ok());
}

#[test]
fn the_addresses_listened_on_are_the_default_relay_addresses() {
    let text = LEAST.replace(
        "'127.0.0.1:3478'",
        "'127.0.0.1:3478', '127.0.0.1:3479', '[::1]:3478'",
    );
    let addresses = Settings::parse(&text).unwrap().relay.addresses;
    let bound: Vec<String> = addresses
        .iter()
        .map(|address| address.bind.to_string())
        .collect();
    assert_eq!(bound, ["127.0.0.1", "::1"]);
}

#[test]
fn a_relay_address_is_one_that_peers_can_reach() {
    for wrong in [
        "'0.0.0.0'",
        "'::'",
        "'224.0.0.1'",
        "'::ffff:192.0.2.1'",
        "'host'",
        "7",
        "{ bind = '192.0.2.1' }",
        "{ advertise = '192.0.2.1' }",
        "{ bind = '192.0.2.1', advertise = '2001:db8::1' }",
        "{ bind = '192.0.2.1', advertise = '192.0.2.1', port = 3 }",
    ] {
        one(
            &format!("[relay]\naddresses = ['192.0.2.9', {wrong}]"),
            "relay.addresses[1] = ",
        );
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    one(
        "[allocations]\nmax-lifetime = '1m'",
        "is below allocations.default-lifetime",
    );
    one("[peers]\nallow-only = true", "list networks in peers.allow");
    one(
        "[metrics]\nlisten = '192.0.2.1:9478'",
        "set metrics.allow-remote = true",
    );
    let both = LEAST.replace(
        "[auth]",
        "[auth]\nsecrets = ['s']\nusername-anonymity = true",
    );
    assert!(
        complete(&both)[0].starts_with("auth.username-anonymity: cannot work with auth.secrets")
    );
}

#[test]
fn a_user_needs_a_key_for_each_algorithm() {
    let keys = "{ key-md5 = '8493fbc53ba582fb4c044c456bdc40eb' }";
    let text = LEAST.replace("'wonderland'", keys);
    assert!(complete(&text)[0].starts_with("auth.users.alice: `key-sha256` is missing"));
    assert!(Settings::parse(&format!("{text}\nalgorithms = ['md5']")).is_ok());
}

#[test]
fn algorithms_are_a_set_that_is_not_empty() {
    for (wrong, reason) in [
        ("[]", "is empty"),
        ("['md5', 'md5']", "twice"),
        ("['sha1']", "expected"),
    ] {
        let found = complete(&format!("{LEAST}\nalgorithms = {wrong}"));
        assert!(
            found[0].starts_with("auth.algorithms") && found[0].contains(reason),
            "{found:?}"
        );
    }
}

#[test]
fn loopback_peers_need_a_loopback_server() {
    let public = LEAST.replace("127.0.0.1", "192.0.2.1");
    let found = complete(&format!("{public}[peers]\nallow-loopback = true"));
    assert!(found[0].starts_with("peers.allow-loopback: "), "{found:?}");
}

#[test]
fn networks_that_no_rule_opens_are_not_listed() {
    for never in [
        "127.0.0.0/8",
        "127.1.0.0/16",
        "169.254.169.254/32",
        "224.0.0.0/4",
        "0.0.0.0/8",
        "::1/128",
        "fe80::/10",
        "ff02::/16",
    ] {
        one(
            &format!("[peers]\nallow = ['{never}']"),
            "which is never relayed to",
        );
    }
    for open in ["0.0.0.0/0", "10.0.0.0/8", "fd00::/8", "::/0", "169.0.0.0/8"] {
        assert!(
            Settings::parse(&format!("{LEAST}[peers]\nallow = ['{open}']")).is_ok(),
            "{open}"
        );
    }
}

#[test]
fn a_problem_of_both_listeners_is_told_once_at_its_key() {
    let found = complete(
        "[listen]
        udp = ['127.0.0.1:3478']
        tcp = ['127.0.0.1:3478', '127.0.0.1:0']
        tls = ['127.0.0.1:5349']
        [stream]
        limits = { ipv4-prefix = 40, per-prefx = 3 }
        [tls]
        min-version = '1.1'
        [auth]
        users = { alice = 'wonderland' }",
    );
    for start in [
        "listen.tcp[1] = ",
        "stream.limits.ipv4-prefix = 40: ",
        "stream.limits.per-prefx: ",
        "tls.min-version = ",
        "tls.certificates",
    ] {
        let count = found.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count, 1, "{start} {found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn what_nothing_would_use_is_refused() {
    one(
        "[stream]\nlimits = { per-prefix = 3 }",
        "stream: nothing would use it; set listen.tcp or listen.tls",
    );
    one(
        "[tls]\nstrict-sni = true",
        "tls: nothing would use it; set listen.tls",
    );
    one(
        "[admin]\nunix = { mode = '0666' }",
        "admin.unix: nothing would use it; set admin.listen",
    );
}

#[test]
fn the_tools_listen_on_a_unix_socket() {
    one("[server]\nhandover = 'wharfd'", "server.handover = ");
    one("[admin]\nlisten = '127.0.0.1:9'", "admin.listen = ");
    one(
        "[admin]\nlisten = 'wharfd.sock'",
        "expected a path with a slash",
    );
}

#[test]
fn the_tools_do_not_listen_where_successors_ask() {
    for admin in ["/run/wharf/h", "/run/wharf/./h", "/run/wharf/h.tools"] {
        one(
            &format!("[server]\nhandover = '/run/wharf/h'\n[admin]\nlisten = '{admin}'"),
            "server.handover: admin.listen has",
        );
    }
}

#[test]
fn dtls_needs_what_tls_needs_and_speaks_one_version() {
    let with = |listen: &str, more: &str| {
        complete(&format!(
            "[listen]
            udp = ['0.0.0.0:3478']
            {listen}
            [relay]
            addresses = ['192.0.2.1']
            [auth]
            users = {{ alice = 'wonderland' }}
            {more}"
        ))
    };
    let tls = "[tls]\ncertificates = [{ cert = '/a.pem', key = '/a.pem' }]\n";
    let newer = format!("{tls}min-version = '1.3'");
    let dtls = "dtls = ['0.0.0.0:3478']";
    for (listen, more, expected) in [
        (dtls, "", "tls.certificates"),
        (dtls, &newer[..], "tls.min-version"),
        (
            "",
            "[dtls]\nmtu = 1400",
            "dtls: nothing would use it; set listen.dtls",
        ),
        (
            "dtls = ['127.0.0.1:3478']",
            tls,
            "listen.dtls: 127.0.0.1:3478 is part of 0.0.0.0:3478",
        ),
        (
            "dtls = ['[::]:1', '[::]:1']",
            tls,
            "listen.dtls[1] = [::]:1: is taken by listen.dtls[0] = \"[::]:1\"",
        ),
    ] {
        let found = with(listen, more);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{found:#?}"
        );
    }
}
