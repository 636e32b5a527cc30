use super::*;
use crate::config::{ListenerConfig, Timeouts, TlsOptions};

fn lines(text: &str) -> Vec<String> {
    let problems = ServerConfig::from_toml(text).expect_err("problems");
    problems.0.iter().map(ToString::to_string).collect()
}

fn keys(text: &str) -> Vec<String> {
    let problems = ServerConfig::from_toml(text).expect_err("problems");
    problems.0.into_iter().map(|problem| problem.key).collect()
}

#[test]
fn a_file_reads() {
    let text = r#"
        limits = { max-connections = 10, memory = "1MiB" }
        health.window = "20s"
        [listeners.echo]
        bind = ["127.0.0.1:0", "[::1]:0"]
        access = ["allow 10.0.0.0/8", "deny all"]
        limits.on-full = { reply = "busy" }
        rates.accept = { per-second = 100, burst = 10 }
    "#;
    let config = ServerConfig::from_toml(text).unwrap();
    assert_eq!(config.limits.memory, Some(1 << 20));
    let echo = &config.listeners["echo"];
    assert_eq!(echo.bind.len(), 2);
    assert_eq!(echo.access[1].to_string(), "deny all");
    assert_eq!(echo.rates.accept.unwrap().burst, 10);
    let table = toml::Table::try_from(&config).unwrap();
    assert_eq!(ServerConfig::from_table(table), Ok(config));
}

#[test]
fn every_problem_is_told_at_once() {
    let text = r#"
        [limits]
        max-connection = 5
        [listeners.a]
        bind = ["nowhere", "127.0.0.1:7000", 5]
        limits.ipv4-prefix = 300
        limits.ipv6-prefix = 129
        timeouts.write = 60
        accept = "fast"
        [listeners.B]
        transport = "tcp"
        bind = ["127.0.0.1:7000"]
    "#;
    let expected = [
        "limits.max-connection",
        "listeners.a.accept",
        "listeners.a.bind[0]",
        "listeners.a.bind[2]",
        "listeners.a.limits.ipv4-prefix",
        "listeners.a.timeouts.write",
        "listeners.B",
        "listeners.a.limits.ipv6-prefix",
        "listeners.a.bind[1]",
    ];
    assert_eq!(keys(text), expected, "{:#?}", lines(text));
}

#[test]
fn a_problem_says_what_is_allowed_and_what_was_probably_meant() {
    let text = "[listeners.a]\nbind = ['127.0.0.1:0']\nproxy.mod = 'off'\nmax-connections = 1\ntransport = 'pigeon'\nlimits.ipv4-prefix = 300";
    // Each with its beginning and its end; between them is a list.
    let expected = [
        (
            "listeners.a.limits.ipv4-prefix = 300: expected whole number from 0 to 255. ",
            "Bits of an IPv4 source that name its prefix, 0 to 32. Default 32.",
        ),
        (
            "listeners.a.max-connections: unknown key; there are accept, access, bind, buffers, ",
            ", unix, websocket. Did you mean `listeners.a.limits.max-connections`?",
        ),
        (
            "listeners.a.proxy.mod: unknown key; there are mode, trusted. ",
            "Did you mean `listeners.a.proxy.mode`?",
        ),
        (
            "listeners.a.transport = \"pigeon\": expected \"tcp\" or \"tls\" or \"unix\" or ",
            ". What is spoken.",
        ),
    ];
    let lines = lines(text);
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (begin, end)) in lines.iter().zip(expected) {
        assert!(line.starts_with(begin) && line.ends_with(end), "{line}");
    }
}

#[test]
fn each_missing_key_is_told_and_none_that_was_wrong_itself() {
    let read = |text: &str| {
        let mut problems = Vec::new();
        let table: Table = text.parse().unwrap();
        let read = read::<Timeouts>(table.into(), "timeouts", &mut problems).expect("the rest");
        assert_eq!(read.minimum_rate, None);
        let keys = problems.into_iter().map(|problem| problem.key);
        keys.collect::<Vec<_>>()
    };
    let (rate, grace) = (
        "timeouts.minimum-rate.bytes-per-second",
        "timeouts.minimum-rate.grace",
    );
    assert_eq!(read("minimum-rate = {}"), [rate, grace]);
    assert_eq!(read("minimum-rate = { grace = 5 }"), [grace, rate]);
    assert_eq!(
        read("minimum-rate = { grace = 5, bytes-per-second = 'x' }"),
        [rate, grace]
    );
}

#[test]
fn secrets_are_not_repeated() {
    let secret = "-----BEGIN PRIVATE KEY-----hunter2";
    for text in [
        format!("[listeners.a]\nbind = ['{secret}']\ntransport = '{secret}'"),
        "[listeners.a.tls]\ncertificates = [{ cert = 'a', key = { pem = ['hunter2'] } }]"
            .to_owned(),
        format!(
            "[listeners.a.tls]\ncertificates = [{{ cert = 'a', kex = '{secret}', key = {{ pen = 'hunter2' }} }}]"
        ),
        format!("[listeners.a.tls]\npassword = 'hunter2'\nclient-ca = '{secret}'"),
        format!(
            "limits = '{secret}'\nhealth = [{{ pem = 'hunter2' }}]\nlisteners.a.access = ['{secret}']"
        ),
    ] {
        let lines = lines(&text);
        assert!(!lines.is_empty());
        assert!(!lines.concat().contains("hunter2"), "{lines:#?}");
    }
}

#[test]
fn a_part_that_is_wrong_hides_no_other_certificate() {
    let text = "certificates = [{ cert = 5, key = 'k' }, { cert = 'c', key = 'k' }, { key = 'k' }]";
    let mut problems = Vec::new();
    let table: Table = text.parse().unwrap();
    let tls: TlsOptions = read(table.into(), "tls", &mut problems).unwrap();
    assert_eq!(tls.certificates.len(), 1);
    let keys: Vec<String> = problems.into_iter().map(|problem| problem.key).collect();
    assert_eq!(
        keys,
        ["tls.certificates[0].cert", "tls.certificates[2].cert"]
    );
}

#[test]
fn what_is_not_toml_is_placed() {
    let problems = ServerConfig::from_toml("[limits]\nmax-connections = \n[health\n").unwrap_err();
    let keys_of: Vec<&str> = problems
        .0
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys_of, ["line 2, column 19", "line 3, column 8"]);
    let twice = keys("[health]\nwindow = '1s'\nwindow = '2s'");
    assert_eq!(twice, ["line 3, column 1"]);
}

#[test]
fn the_effort_is_bounded() {
    let many: Vec<String> = (0..1000).map(|n| format!("key{n} = {n}")).collect();
    assert_eq!(keys(&many.join("\n")).len(), MOST + 1);
    let long = " ".repeat(LONGEST + 1);
    assert_eq!(keys(&long), ["configuration"]);
}

#[test]
fn a_value_that_is_no_table_is_a_problem() {
    let mut problems = Vec::new();
    assert_eq!(
        read::<ListenerConfig>(Value::from(5), "listeners.a", &mut problems),
        None
    );
    assert_eq!(problems[0].key, "listeners.a");
    assert_eq!(problems.len(), 1);
}
