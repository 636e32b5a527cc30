use super::*;

fn leaf(key: &str) -> Value {
    let tree = tree::<ServerConfig>();
    let leaves = leaves(&tree);
    let found = leaves.iter().find(|(leaf, _)| leaf == key);
    (*found.expect(key).1).clone()
}

#[test]
fn every_option_is_described() {
    let tree = tree::<ServerConfig>();
    for (key, schema) in leaves(&tree) {
        assert!(description(schema).ends_with(['.', ')']), "{key}");
    }
}

#[test]
fn kinds_are_words() {
    for (key, words) in [
        ("listeners.*.socket.nodelay", "true or false"),
        (
            "listeners.*.limits.ipv4-prefix",
            "whole number from 0 to 255",
        ),
        (
            "listeners.*.socket.user-timeout",
            "duration or \"off\" such as \"90s\"",
        ),
        (
            "listeners.*.proxy.mode",
            "\"off\" or \"optional\" or \"required\"",
        ),
        (
            "listeners.*.limits.on-full",
            "\"wait\" or \"close\" or \"reset\" or { reply = text }",
        ),
        (
            "listeners.*.access",
            "list of rule such as \"allow 10.0.0.0/8\"",
        ),
        ("listeners.*.tls.alpn", "list of text"),
        (
            "listeners.*.rates.accept",
            "{ burst = whole number, per-second = whole number }",
        ),
        ("health.degraded", "number"),
    ] {
        assert_eq!(kind(&leaf(key)), words, "{key}");
    }
}
